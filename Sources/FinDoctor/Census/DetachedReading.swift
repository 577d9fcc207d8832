extension Census {
  /// Finds the descriptors whose socket no table lists, and looks at each a second time.
  ///
  /// The tables and the descriptors were read at different moments. A socket that was made, or closed, in between is not
  /// listed in one of them; the second look tells it apart.
  /// - Parameter held: Descriptors that are namespaces.
  mutating func findDetached(
    _ options: Options, reading places: [NamespacePlace], held: ContiguousArray<Holder>
  ) {
    var places = places
    var elsewhere = Elsewhere(self, held: held, isEverythingRead: options.readsAllNamespaces)
    var candidates = descriptorsListedNowhere(options, &elsewhere)
    guard !candidates.isEmpty else { return }
    if options.readsAllNamespaces { readThreadsNamespaces(of: candidates, &places, options) }

    Clock.pause(options.secondLook)
    var brief = options
    brief.readsDetails = false
    brief.readsLimits = false
    brief.readsUnixSockets = false
    var listed = NumberSet()
    for case let dump? in NamespaceDumps.begin(places, beginsWithOwn: true, brief).join() {
      candidates.removeAll { dump.incomplete.contains($0.transport) }
      for socket in dump.sockets { listed.insert(UInt64(socket.inode)) }
    }
    candidates.removeAll { listed.contains(UInt64($0.inode)) || !$0.isStillThere }
    detached = candidates
  }

  private func descriptorsListedNowhere(
    _ options: Options, _ elsewhere: inout Elsewhere
  ) -> ContiguousArray<DetachedSocket> {
    var listed = NumberSet()
    for index in sockets.indices { listed.insert(UInt64(sockets[index].inode)) }
    for socket in unixSockets { listed.insert(UInt64(socket.inode)) }
    var found: ContiguousArray<DetachedSocket> = []
    var last: UInt32 = 0
    for holder in holders.entries where holder.inode != last {
      last = holder.inode
      if !listed.contains(UInt64(last)), !elsewhere.reaches(holder.pid), let socket = DetachedSocket(holder),
        options.transports.contains(socket.transport)
      {
        found.append(socket)
      }
    }
    return found
  }

  /// A thread may be in a namespace that its process is not in. Looked for only where sockets are missing.
  private mutating func readThreadsNamespaces(
    of candidates: ContiguousArray<DetachedSocket>, _ places: inout [NamespacePlace], _ options: Options
  ) {
    for pid in Set(candidates.map(\.pid)).sorted() {
      for place in NamespacePlace.find(threadsOf: pid, beyond: places) {
        places.append(place)
        for dump in NamespaceDumps.begin([place], beginsWithOwn: false, options).join() { take(dump) }
      }
    }
  }
}

/// Which processes may hold sockets of namespaces that were not read: of those, "no table lists it" cannot be said.
private struct Elsewhere {
  private let read: Set<UInt32>
  private let isEverythingRead: Bool
  /// Processes with a descriptor of a namespace that was not read.
  private let holders: Set<Int32>
  private var answers: [Int32: Bool] = [:]

  init(_ census: Census, held: ContiguousArray<Holder>, isEverythingRead: Bool) {
    let read = Set(census.namespaces.lazy.filter(\.isRead).map(\.inode))
    self.read = read
    self.isEverythingRead = isEverythingRead && census.blindness.skippedNamespaces == 0
    holders = Set(held.lazy.filter { !read.contains($0.inode) }.map(\.pid))
  }

  mutating func reaches(_ pid: Int32) -> Bool {
    if isEverythingRead { return false }
    if let answer = answers[pid] { return answer }
    let own = NamespacePlace.inode("/proc/\(pid)/ns/net")
    let answer =
      own.map { !read.contains($0) } ?? true || holders.contains(pid)
      || NamespacePlace.find(threadsOf: pid, beyond: []).contains { !read.contains($0.inode) }
    answers[pid] = answer
    return answer
  }
}

extension DetachedSocket {
  /// Nil for what is no socket of TCP or UDP, or has gone.
  init?(_ holder: Holder) {
    let path = "/proc/\(holder.pid)/fd/\(holder.descriptor)"
    guard let name = try? Files.attribute("system.sockprotoname", of: path) else { return nil }
    self.init(inode: holder.inode, pid: holder.pid, descriptor: holder.descriptor)
    switch String(decoding: name, as: UTF8.self) {
    case "TCP": break
    case "TCPv6": isIPv6 = true
    case "UDP": transport = .udp
    case "UDPv6": (transport, isIPv6) = (.udp, true)
    default: return nil
    }
  }

  /// Whether the descriptor is this socket still.
  fileprivate var isStillThere: Bool {
    guard let link = try? Files.link("/proc/\(pid)/fd/\(descriptor)") else { return false }
    return link.elementsEqual("socket:[\(inode)]".utf8)
  }
}
