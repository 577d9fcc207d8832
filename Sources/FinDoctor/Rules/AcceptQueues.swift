/// Listeners, their owners, and the clients in their queues, for A1 to A4.
extension CensusIndex {
  /// The listeners in whose queue clients wait.
  var crowdedListeners: [Int] { listeners.filter { sockets[$0].receiveQueue > 0 } }

  /// Whether the next client of a listener is turned away.
  func isFull(_ listener: InetSocket) -> Bool { listener.receiveQueue > listener.sendQueue }

  /// The accept queue in words: `3 waiting, limit 2`.
  func words(forQueueOf listener: InetSocket) -> String { "\(listener.receiveQueue), limit \(listener.sendQueue)" }

  /// The listener in words.
  func words(_ listener: InetSocket) -> String {
    "the listener on \(listener.localAddress.with(port: listener.localPort))"
  }

  /// The link by which other findings name this listener.
  func links(to index: Int) -> Finding.Links {
    var links = Finding.Links()
    links.listeners = [sockets[index].localEndpoint]
    links.isPaused = !pausedWithoutDescriptors(index).isEmpty
    return links
  }

  /// The processes that may have paused accept on a listener by design, because they have hardly a descriptor left:
  /// nothing in them waits for clients, or only an epoll entry that reports each client once.
  private func pausedWithoutDescriptors(_ index: Int) -> [Int32] {
    let all = watchers(of: sockets[index].inode)
    let mayBePaused = all.allSatisfy { watcher in
      if watcher.isHalted { return false }
      switch watcher.way {
      case .unattended: return true
      case .epoll(_, let events): return events & 1 == 0 || events & 1 << 31 != 0
      case .blocked, .ring, .unknown: return false
      }
    }
    guard mayBePaused else { return [] }
    return Set(all.map(\.pid)).sorted().filter { pid in
      descriptorUse(of: pid).map { $0.limit - $0.count <= max(16, $0.limit / 10) } ?? false
    }
  }

  func who(ofListener index: Int) -> ProcessOwner { who(ofListener: index, owner(of: sockets[index])) }

  func who(ofListener index: Int, _ owner: OwnerKey) -> ProcessOwner {
    let holders = census.holders[sockets[index].inode]
    let descriptors = holders.filter { $0.pid == owner.pid }.map(\.descriptor)
    return who(
      owner, descriptors: descriptors.sorted(), others: Set(holders.map(\.pid)).subtracting([owner.pid]).sorted())
  }

  /// Sentences about who accepts on a listener: a thread blocked in accept, an event loop, or neither, of all processes
  /// that hold it.
  func acceptor(_ index: Int) -> String {
    let inode = sockets[index].inode
    let all = watchers(of: inode)
    var sentences =
      all.isEmpty
      ? ["The program that holds the listener could not be read."] : attention(to: inode, .client, "the listener")
    for pid in pausedWithoutDescriptors(index).prefix(4) {
      guard let use = descriptorUse(of: pid) else { continue }
      sentences.append(
        "\(who(OwnerKey(pid: pid)).name) has \(NumberText.number(use.count)) of \(NumberText.number(use.limit)) "
          + "descriptors open: a server may pause accept by design before none is left.")
    }
    return sentences.joined(separator: " ")
  }

  /// The number of open descriptors of a process, and its limit; nil when one of them could not be read.
  func descriptorUse(of pid: Int32) -> (count: Int, limit: Int)? {
    guard let count = census.holders.process(pid)?.descriptorCount, let limit = census.programs[pid]?.descriptorLimit,
      limit > 0
    else { return nil }
    return (Int(count), Int(clamping: limit))
  }

  /// The listeners in one of whose accept queues a connection waits: those on its address, or else those on every
  /// address. With `SO_REUSEPORT` they are several, and the kernel does not show in which queue it waits.
  func listeners(accepting socket: InetSocket) -> [Int] {
    guard isServerSide(socket) else { return [] }
    let all = listeners.filter {
      sockets[$0].namespace == socket.namespace && sockets[$0].localPort == socket.localPort
    }
    let own = all.filter { sockets[$0].localBits == socket.localBits && sockets[$0].isIPv6 == socket.isIPv6 }
    if !own.isEmpty { return own }
    let everywhere = all.filter { sockets[$0].localAddress.isUnspecified }
    let same = everywhere.filter { sockets[$0].isIPv6 == socket.isIPv6 }
    return same.isEmpty ? everywhere : same
  }

  /// The listeners of the same network namespace at which an attempt to connect may arrive: those on its destination,
  /// or else those on every address. With `SO_REUSEPORT` they are several. A connection to an address of the own
  /// machine has that address at both ends.
  func listeners(reachedBy socket: InetSocket) -> [Int] {
    guard isListening(socket.namespace, socket.remoteBits, socket.remotePort) else { return [] }
    let (isOwn, isIPv4) = (socket.remoteBits == socket.localBits, socket.remoteAddress.asIPv4 != nil)
    let all = listeners.filter {
      sockets[$0].namespace == socket.namespace && sockets[$0].localPort == socket.remotePort
    }
    let exact = all.filter { sockets[$0].localAddress.isSame(as: socket.remoteAddress) }
    if !exact.isEmpty || !isOwn && !socket.remoteAddress.isLoopback { return exact }
    return all.filter {
      sockets[$0].localAddress.isUnspecified
        && (isIPv4 ? !sockets[$0].isIPv6 || sockets[$0].isIPv6Only != true : sockets[$0].isIPv6)
    }
  }

  /// The connections that wait for accept, by the listeners in one of whose queues they are, in the order of rows.
  func waitingClients() -> [(listeners: [Int], clients: [Int])] {
    struct Place: Hashable {
      var namespace: UInt16
      var address: AddressBits
      var port: UInt16
      var isIPv6: Bool
    }
    var groups: [Place: [Int]] = [:]
    var clients: [[Int]: [Int]] = [:]
    for index in inQueue {
      let place = Place(
        namespace: sockets[index].namespace, address: sockets[index].localBits, port: sockets[index].localPort,
        isIPv6: sockets[index].isIPv6)
      let group = groups[place] ?? listeners(accepting: sockets[index])
      groups[place] = group
      if !group.isEmpty { clients[group, default: []].append(index) }
    }
    return clients.map { ($0.key, $0.value) }.sorted { $0.listeners[0] < $1.listeners[0] }
  }
}
