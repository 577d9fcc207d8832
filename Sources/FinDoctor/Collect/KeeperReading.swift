internal import FinBase

extension Census {
  /// Finds the holders of sockets that have an inode and no descriptor, and counts those that could not be seen.
  ///
  /// The tables and the descriptors were read at different moments. A second look at these sockets excludes those that
  /// were opened, closed or handed over in between.
  /// - Parameters:
  ///   - places: The namespaces.
  ///   - isInOnePass: Whether the descriptors were read in one pass.
  mutating func findKeepers(reading places: [NamespacePlace], isInOnePass: Bool) {
    gaps.hidesProcesses = !Self.seesEveryProcess
    var unheld = UnheldSockets(self)
    if unheld.isEmpty { return }
    var links = unheld.keepExisting(self, places)
    if unheld.isEmpty { return }

    var isAllSeen = gaps.unreadableProcessCount == 0 && !gaps.hidesProcesses
    // Where very many holders are hidden, one that has just begun to hold a socket does not matter.
    if isAllSeen || unheld.count <= Self.fewUnheld {
      unheld.removeHeld(isInOnePass: isInOnePass)
      if unheld.isEmpty { return }
      // One without a descriptor may have been closed just before. If it still exists now, no descriptor held it.
      links = unheld.keepExisting(self, places)
      if unheld.isEmpty { return }
    }
    let isAnsweredByAll = readRings(of: unheld)
    let (messages, areAllMessagesKnown) = messagesWithDescriptors(at: unixReceivers) { receivers, note in
      Helpers.perform(receivers.map { fdinfo($0, limit: 4096) }, note)
    }
    // The holder may be a ring or a message of a process that did not answer.
    if !isAnsweredByAll || !areAllMessagesKnown { isAllSeen = false }
    for socket in unheld.datagrams {
      guard let link = links[socket.namespace]?.first(where: { $0.port == socket.port }) else {
        continue
      }
      keepers[socket.inode] = .interface(name: link.name, kind: link.kind)
    }
    for (namespace, inodes) in unheld.byNamespace(except: Set(keepers.keys)) {
      let waiting = messages[namespace] ?? []
      let keeper: Keeper =
        // With several receivers, the kernel does not tell whose message has which socket.
        if waiting.count == 1, waiting[0].count >= inodes.count {
          .message(waiting[0].receiver)
        } else if isAllSeen {
          messages.isEmpty ? .kernel : .unclear
        } else {
          .unseen
        }
      for inode in inodes { keepers[inode] = keeper }
    }
    gaps.unseenHolders = keepers.values.count { $0 == .unseen }
  }

  /// The number of sockets without a holder for which the descriptors are read a second time.
  private static let fewUnheld = 64

  /// Whether `/proc` shows every process of the machine: this is the machine's first PID namespace, whose number is
  /// fixed, and no `hidepid` hides the processes of other users.
  private static var seesEveryProcess: Bool {
    guard let link = try? Files.link("/proc/self/ns/pid"), link.elementsEqual("pid:[4026531836]".utf8),
      let mounts = try? Files.read("/proc/self/mounts")
    else { return false }
    for line in mounts.split(separator: 10) {
      let words = Array(Fields(line))
      guard words.count > 3, words[1].elementsEqual("/proc".utf8) else { continue }
      let settings = words[3].split(separator: UInt8(ascii: ","))
      if settings.contains(where: { $0.begins(with: "hidepid=") || $0.begins(with: "subset=") }) { return false }
    }
    return true
  }

  /// Notes the sockets that io_uring instances hold as registered files, each with the process of the ring.
  /// - Returns: Whether every process answered.
  private mutating func readRings(of unheld: UnheldSockets) -> Bool {
    let rings = Array(holders.rings)
    var silent: Set<Int32> = []
    var isAnsweredByAll = true
    Helpers.perform(rings.map { fdinfo($0, limit: Budget.ring) }) { place, answer in
      if answer.isSilent { silent.insert(rings[place].pid) }
      if let failure = answer.failure, !failure.isGone { isAnsweredByAll = false }
      Fdinfo.forEachRegisteredSocket(in: answer.bytes) { inode in
        if unheld.contains(inode) { keepers[inode] = .ring(pid: rings[place].pid) }
      }
    }
    for pid in silent { gaps.note(.rings, of: pid) }
    return isAnsweredByAll
  }

  /// A Unix socket at which messages with descriptors wait that it has not received.
  struct Waiting {
    var receiver: Holder
    var namespace: UInt16
    /// The number of descriptors in them.
    var count: Int
  }

  /// Every Unix socket with a holder, as one that may have messages with any number of descriptors.
  private var unixReceivers: [Waiting] {
    unixSockets.compactMap { socket in
      holders.first(of: socket.inode).map { Waiting(receiver: $0, namespace: socket.namespace, count: .max) }
    }
  }

  /// The receivers of messages with descriptors that were not received, by the namespace of the receiving Unix socket,
  /// and whether every process answered.
  ///
  /// The kernel counts them in the `fdinfo` of the receiver. They are counted twice: most messages are received at
  /// once, and were only passing at the moment of the first look.
  /// - Parameter read: Reads the `fdinfo` of each holder, and passes each answer with the holder's place.
  func messagesWithDescriptors(
    at all: [Waiting], read: ([Holder], (Int, HelperAnswer) -> Void) -> Void
  ) -> (found: [UInt16: [Waiting]], isAnsweredByAll: Bool) {
    var receivers = all
    var isAnsweredByAll = true
    for _ in 0..<2 {
      var still: [Waiting] = []
      read(receivers.map(\.receiver)) { place, answer in
        if let failure = answer.failure, !failure.isGone { isAnsweredByAll = false }
        var one = receivers[place]
        one.count = min(one.count, Fdinfo.descriptorsInMessages(in: answer.bytes) ?? 0)
        if one.count > 0 { still.append(one) }
      }
      receivers = still
    }
    return (Dictionary(grouping: receivers) { $0.namespace }, isAnsweredByAll)
  }

  private func fdinfo(_ holder: Holder, limit: Int) -> Helpers.Reading {
    Helpers.Reading(
      pid: holder.pid, user: holders.process(holder.pid)?.user,
      request: .read(path: "/proc/\(holder.pid)/fdinfo/\(holder.descriptor)", limit: limit))
  }
}

/// The sockets that have an inode and no descriptor.
private struct UnheldSockets {
  struct Datagram {
    var inode: UInt32
    var namespace: UInt16
    var port: UInt16
  }

  /// The namespace and the row of each, by inode.
  private var all: [UInt32: (namespace: UInt16, row: SocketReference)] = [:]
  private(set) var datagrams: [Datagram] = []

  var isEmpty: Bool { all.isEmpty }
  var count: Int { all.count }

  init(_ census: Census) {
    for index in census.sockets.indices where census.isWithoutDescriptor(index) {
      let socket = census.sockets[index]
      all[socket.inode] = (socket.namespace, .inet(index))
      if socket.transport == .udp {
        datagrams.append(Datagram(inode: socket.inode, namespace: socket.namespace, port: socket.localPort))
      }
    }
    for (index, socket) in census.unixSockets.enumerated()
    where socket.inode != 0 && census.holders.first(of: socket.inode) == nil {
      all[socket.inode] = (socket.namespace, .unix(index))
    }
  }

  func contains(_ inode: UInt32) -> Bool { all[inode] != nil }

  /// Removes the sockets that do not exist any more.
  /// - Returns: The network interfaces of each namespace that have a UDP socket of the kernel.
  mutating func keepExisting(_ census: Census, _ places: [NamespacePlace]) -> [UInt16: [LinkDump.Link]] {
    var looks: [UInt16: SecondLook] = [:]
    for (namespace, row) in all.values {
      switch row {
      case .inet(let place): looks[namespace, default: SecondLook()].add(census.sockets[place])
      case .unix(let place): looks[namespace, default: SecondLook()].add(census.unixSockets[place])
      case .detached: break
      }
    }
    var asked: [(namespace: UInt16, place: NamespacePlace, look: SecondLook)] = []
    for place in places {
      guard let index = census.namespaces.firstIndex(where: { $0.inode == place.inode }),
        let look = looks[UInt16(clamping: index)]
      else { continue }
      asked.append((UInt16(clamping: index), place, look))
    }
    let own = census.namespaces.first?.inode
    let byInode = Dictionary(asked.map { ($0.place.inode, $0.look) }) { first, _ in first }
    let visits = NamespaceVisits<SecondLook.Seen>.begin(
      asked.map(\.place), beginsWithOwn: asked.first.map { $0.place.inode == own } ?? false
    ) { place, isOwn in byInode[place.inode]?.look(in: place, isOwn: isOwn) ?? SecondLook.Seen() }
    var existing: Set<UInt32> = []
    var links: [UInt16: [LinkDump.Link]] = [:]
    for (question, seen) in zip(asked, visits.join()) {
      existing.formUnion(seen?.inodes ?? [])
      links[question.namespace] = seen?.links
    }
    remove { !existing.contains($0) }
    return links
  }

  /// Removes the sockets that a descriptor holds now.
  /// - Parameter isInOnePass: Whether a BPF program lists the descriptors; otherwise their links are read.
  mutating func removeHeld(isInOnePass: Bool) {
    var holders = isInOnePass ? DescriptorReading.holdersInOnePass(of: Array(all.keys)) : nil
    if holders == nil, let pids = try? DescriptorReading.processes(in: Descriptor("/proc")) {
      holders = DescriptorReading.read(pids, threads: ParallelChunks.usefulThreads).sockets
    }
    var held: Set<UInt32> = []
    for holder in holders ?? [] where all[holder.inode] != nil { held.insert(holder.inode) }
    remove { held.contains($0) }
  }

  private mutating func remove(where condition: (UInt32) -> Bool) {
    all = all.filter { !condition($0.key) }
    datagrams.removeAll { condition($0.inode) }
  }

  func byNamespace(except known: Set<UInt32>) -> [UInt16: [UInt32]] {
    Dictionary(grouping: all.keys.filter { !known.contains($0) }) { all[$0]?.namespace ?? 0 }
  }
}
