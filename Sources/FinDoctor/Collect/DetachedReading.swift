internal import FinBase

extension Census {
  /// Finds the descriptors whose socket no table lists, and checks each a second time.
  ///
  /// The tables and the descriptors were read at different moments. A socket that was opened or closed in between is
  /// missing from one of them; the second check excludes it.
  /// - Parameter held: Descriptors of network namespaces.
  mutating func findDetached(
    _ options: Options, reading places: [NamespacePlace], held: ContiguousArray<Holder>
  ) {
    var places = places
    var elsewhere = UnreadNamespaces(self, held: held, isEverythingRead: options.readsAllNamespaces)
    var (candidates, unix) = descriptorsListedNowhere(options, &elsewhere)
    if options.readsUnixSockets { findMissed(unix, places, options) }
    guard !candidates.isEmpty else { return }
    if options.readsAllNamespaces { readThreadsNamespaces(of: candidates, &places, options) }

    SystemClock.pause(options.secondLook)
    var brief = options
    brief.readsDetails = false
    brief.readsLimits = false
    brief.readsUnixSockets = false
    var listed = NumberSet()
    for case let dump? in NamespaceDumps.begin(places, beginsWithOwn: true, brief).join() {
      candidates.removeAll { !dump.incomplete.isDisjoint(with: $0.tables) }
      for socket in dump.sockets { listed.insert(UInt64(socket.inode)) }
    }
    candidates.removeAll { listed.contains(UInt64($0.inode)) || !$0.isStillThere }
    detached = candidates
  }

  /// Reads the tables of Unix sockets again while descriptors refer to sockets that no table lists, at most
  /// three times.
  ///
  /// The kernel walks each table by counting, while programs insert and remove sockets, so that a dump may step over
  /// some. It does not report that; only a descriptor of such a socket shows it. Every Unix socket is in a table,
  /// whatever its state.
  /// - Parameters:
  ///   - missed: Descriptors of Unix sockets that were not listed.
  ///   - places: The namespaces to read.
  ///   - options: The options of the first dump.
  mutating func findMissed(_ missed: [Holder], _ places: [NamespacePlace], _ options: Options) {
    var missed = missed
    var brief = options
    brief.transports = []
    brief.readsLimits = false
    for _ in 0..<3 {
      missed.removeAll { !$0.isStillThere }
      if missed.isEmpty { return }
      var known = NumberSet()
      for socket in unixSockets { known.insert(socket.cookie) }
      for case let dump? in NamespaceDumps.begin(places, beginsWithOwn: true, brief).join() {
        guard let index = namespaces.firstIndex(where: { $0.inode == dump.namespace.inode }) else { continue }
        append(dump.unix, UInt16(clamping: index), except: known)
      }
      let listed = Set(unixSockets.lazy.map(\.inode))
      missed.removeAll { listed.contains($0.inode) }
    }
  }

  private mutating func descriptorsListedNowhere(
    _ options: Options, _ elsewhere: inout UnreadNamespaces
  ) -> (ContiguousArray<DetachedSocket>, unix: [Holder]) {
    var listed = NumberSet()
    for index in sockets.indices { listed.insert(UInt64(sockets[index].inode)) }
    for socket in unixSockets { listed.insert(UInt64(socket.inode)) }
    var found: ContiguousArray<DetachedSocket> = []
    var unix: [Holder] = []
    var unlisted: [Holder] = []
    var others: ContiguousArray<OtherSocket> = []
    var last: UInt32 = 0
    for holder in holders.entries where holder.inode != last {
      last = holder.inode
      if !listed.contains(UInt64(last)), options.readsAllNamespaces || !elsewhere.reaches(holder.pid) {
        unlisted.append(holder)
      }
    }
    // The kernel's names for the protocols: `TCP`, `UNIX-STREAM`. A descriptor may refer to another file by now, and to
    // one that does not answer.
    let readings = unlisted.map {
      Helpers.Reading(
        pid: $0.pid,
        request: .attribute(name: "system.sockprotoname", path: "/proc/\($0.pid)/fd/\($0.descriptor)"))
    }
    Helpers.perform(readings) { place, answer in
      guard answer.failure == nil else { return }
      let (holder, name) = (unlisted[place], answer.bytes)
      // A socket of a kind without tables is missing from all of them, also when some were not read.
      if name.begins(with: "UNIX") {
        if !elsewhere.reaches(holder.pid) { unix.append(holder) }
      } else if let socket = DetachedSocket(holder, name) {
        if options.transports.isSuperset(of: socket.tables), !elsewhere.reaches(holder.pid) { found.append(socket) }
      } else {
        others.append(OtherSocket(holder: holder, kind: visible(name)))
      }
    }
    otherSockets = others
    return (found, unix)
  }

  /// Reads the namespaces of single threads, because a thread may be in another one than its process. Done only where
  /// sockets are missing.
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

/// The processes that may hold sockets of namespaces that were not read. For a socket of such a process, it is unknown
/// whether a table lists it.
private struct UnreadNamespaces {
  private let read: Set<UInt32>
  private let isEverythingRead: Bool
  /// Processes with a descriptor of a namespace that was not read.
  private let holders: Set<Int32>
  private var answers: [Int32: Bool] = [:]

  init(_ census: Census, held: ContiguousArray<Holder>, isEverythingRead: Bool) {
    let read = Set(census.namespaces.lazy.filter(\.isRead).map(\.inode))
    self.read = read
    let gaps = census.gaps
    self.isEverythingRead =
      isEverythingRead && gaps.skippedNamespaces == 0 && gaps.vanishedNamespaces == 0
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

extension Holder {
  /// Whether the descriptor still refers to this socket.
  fileprivate var isStillThere: Bool {
    guard let link = try? Files.link("/proc/\(pid)/fd/\(descriptor)") else { return false }
    return link.elementsEqual("socket:[\(inode)]".utf8)
  }
}

extension DetachedSocket {
  fileprivate var isStillThere: Bool { Holder(inode: inode, pid: pid, descriptor: descriptor).isStillThere }

  /// The tables that could list the socket. A connection accepted without MPTCP from an MPTCP listener is in TCP's
  /// table, but the name of its protocol is MPTCP.
  fileprivate var tables: Set<Transport> { transport == .mptcp ? [.tcp, .mptcp] : [transport] }

  /// Makes one from the name of its protocol; nil unless that is TCP, UDP or MPTCP.
  fileprivate init?(_ holder: Holder, _ name: [UInt8]) {
    self.init(inode: holder.inode, pid: holder.pid, descriptor: holder.descriptor)
    switch String(decoding: name, as: UTF8.self) {
    case "TCP": break
    case "TCPv6": isIPv6 = true
    case "UDP": transport = .udp
    case "UDPv6": (transport, isIPv6) = (.udp, true)
    case "MPTCP": transport = .mptcp
    case "MPTCPv6": (transport, isIPv6) = (.mptcp, true)
    default: return nil
    }
  }
}
