/// A census of a look that has no key frame: the sockets and their owners as the intervals have them, and everything
/// else as the nearest key frame has it.
struct RebuiltCensus {
  private(set) var record: CensusRecord
  private let frame: HistoryReader.Look
  private let look: HistoryReader.Look
  private var rows: [UInt64: Int] = [:]
  private var unixRows: [UInt64: Int] = [:]
  private var namespaces: [UInt32: Int] = [:]
  private var sockets: ContiguousArray<InetSocket> = []
  private var unixSockets: ContiguousArray<UnixSocket> = []
  private var holders: ContiguousArray<Holder> = []
  private var owners: [Int32: Observed.Owner] = [:]
  private var ages: [UInt64: AgeBounds] = [:]
  private var passing: Set<UInt64> = []

  init(_ record: CensusRecord, from frame: HistoryReader.Look, at look: HistoryReader.Look) {
    self.record = record
    (self.frame, self.look) = (frame, look)
    let census = record.census
    for place in census.sockets.indices { rows[census.sockets[place].identity] = place }
    for place in census.unixSockets.indices { unixRows[census.unixSockets[place].cookie] = place }
    for place in census.namespaces.indices.reversed() { namespaces[census.namespaces[place].inode] = place }
  }

  /// Takes the intervals that cover the look.
  /// - Parameter moments: The moments of all looks of the file, by the monotonic clock in milliseconds.
  mutating func take(_ spans: [StoredSpan], _ moments: [Int64: Int64]) {
    let multipath = MPTCPSubflows(record.census.sockets)
    for span in spans {
      for owner in span.socket.owners where span.socket.inode != 0 {
        holders.append(Holder(inode: span.socket.inode, pid: owner.pid, descriptor: owner.descriptor))
        owners[owner.pid] = owner
      }
      if span.socket.key.isUnix { takeUnix(span) } else { takeInet(span, multipath, moments) }
    }
  }

  /// Takes the connections in TIME-WAIT that the look counted.
  mutating func take(_ rests: [StoredRest]) {
    record.census.recordedRests = rests.map { rest in
      var count = rest.count
      count.namespace = namespace(rest.namespace, rest.namespaceName)
      return count
    }
  }

  private mutating func namespace(of span: StoredSpan) -> UInt16 {
    namespace(span.socket.namespace, span.namespaceName)
  }

  private mutating func namespace(_ inode: UInt32, _ name: String) -> UInt16 {
    if let known = namespaces[inode] { return UInt16(clamping: known) }
    let place = record.census.namespaces.count
    // A file may name any number of them; the last one that has a number stands for the rest.
    guard place <= UInt16.max else { return .max }
    record.census.namespaces.append(
      Namespace(inode: inode, name: name, isOwn: false))
    record.retryLimits.append(record.retryLimits.first ?? TCPRetryLimits())
    namespaces[inode] = place
    return UInt16(place)
  }

  private mutating func takeInet(_ span: StoredSpan, _ multipath: MPTCPSubflows, _ moments: [Int64: Int64]) {
    let seen = span.socket
    var socket = InetSocket()
    var age: AgeBounds?
    if let place = rows[seen.key.identity] {
      socket = record.census.sockets[place]
      if socket.state == seen.state, span.covers(frame.number) {
        // In one state from one look to the other: as old as at the frame, and as much older or younger.
        let known = multipath.since(
          place, in: record.census.sockets, limits: record.census.namespaces[Int(socket.namespace)].limits)
        age = known.shifted(by: look.monotonic - frame.monotonic)
      } else {
        // The details are those of another state.
        (socket.info, socket.timer, socket.expires, socket.retransmits) = (TCPDetail(), .off, 0, 0)
        (socket.receiveQueue, socket.sendQueue) = (seen.receiveQueue, seen.sendQueue)
      }
    } else {
      socket.cookie = seen.key.identity
      if seen.kind == Transport.mptcp.rawValue, seen.key.identity >> 63 == 1 {
        socket.info.setMultipathField(12, UInt32(truncatingIfNeeded: seen.key.identity))
      }
      (socket.receiveQueue, socket.sendQueue) = (seen.receiveQueue, seen.sendQueue)
      if let owner = seen.owners.first { socket.user = record.census.programs[owner.pid]?.user ?? 0 }
      if socket.localPort != 0 { socket.memory.drops = seen.drops }
    }
    socket.transport = Transport(rawValue: seen.kind) ?? .tcp
    socket.isIPv6 = seen.isIPv6
    (socket.localBits, socket.localPort) = (seen.local, seen.localPort)
    (socket.remoteBits, socket.remotePort) = (seen.remote, seen.remotePort)
    (socket.state, socket.inode) = (seen.state, seen.inode)
    socket.namespace = namespace(of: span)
    sockets.append(socket)
    ages[socket.identity] = age ?? Self.age(span, at: look, moments)
    if span.first < look.number { passing.insert(socket.identity) }
  }

  /// The time in the state by the looks: since the first one that saw it, and not since the one before.
  private static func age(
    _ span: StoredSpan, at look: HistoryReader.Look, _ moments: [Int64: Int64]
  ) -> AgeBounds {
    guard let first = moments[span.first] else { return .unknown }
    let least = UInt64(max(0, look.monotonic - first))
    if let since = span.since { return since.shifted(by: Int64(clamping: least)) }
    let most = moments[span.first - 1].map { UInt64(max(0, look.monotonic - $0)) }
    return AgeBounds(atLeast: least, atMost: most)
  }

  private mutating func takeUnix(_ span: StoredSpan) {
    let seen = span.socket
    var socket = UnixSocket()
    if let place = unixRows[seen.key.identity] {
      socket = record.census.unixSockets[place]
    } else {
      socket.cookie = seen.key.identity
      socket.type = UnixSocketType(rawValue: UInt8(truncatingIfNeeded: seen.kind - Observed.unixKind))
      let start = UInt32(record.census.unixNames.count)
      record.census.unixNames += unescaped(seen.name)
      socket.name = start..<UInt32(record.census.unixNames.count)
      (socket.receiveQueue, socket.sendQueue) = (seen.receiveQueue, seen.sendQueue)
    }
    (socket.state, socket.inode) = (seen.state, seen.inode)
    socket.namespace = namespace(of: span)
    unixSockets.append(socket)
    if span.first < look.number { passing.insert(socket.cookie) }
  }

  /// Puts the sockets into the census, and their programs.
  /// - Parameter program: Reads the program of a process that the key frame does not have.
  mutating func finish(_ program: (Observed.Owner) throws(Database.Failure) -> Program?) throws(Database.Failure) {
    let before = record.census
    record.census.sockets = sockets
    record.census.unixSockets = unixSockets
    record.census.recordedAges = ages
    record.census.when = Census.Moment(
      monotonic: UInt64(max(0, look.monotonic)) * 1_000_000, wall: look.at * 1_000_000)
    var others: Set<Int32> = []
    let shift = Duration.milliseconds(look.monotonic - frame.monotonic)
    for (pid, known) in before.programs {
      record.census.programs[pid]?.age = known.age.map { max(.zero, $0 + shift) }
    }
    for (pid, owner) in owners {
      if let known = before.programs[pid], known.started == owner.started || owner.started == 0 { continue }
      // Another process has, or had, the number.
      others.insert(pid)
      record.census.programs[pid] = try program(owner)
      record.languages[pid] = record.census.programs[pid].map { Language(executable: $0.name) }
    }
    func same(_ all: ContiguousArray<Holder>) -> ContiguousArray<Holder> { all.filter { !others.contains($0.pid) } }
    var processes = ContiguousArray(before.holders.processes.filter { !others.contains($0.pid) })
    let known = Set(processes.lazy.map(\.pid))
    for pid in owners.keys where !known.contains(pid) {
      processes.append(HoldingProcess(pid: pid, user: record.census.programs[pid]?.user ?? 0))
    }
    // Those that no table lists have no intervals.
    record.census.detached = before.detached.filter { !others.contains($0.pid) }
    let detached = Set(record.census.detached.lazy.map(\.inode))
    let inodes = Set(holders.lazy.map(\.inode))
    holders += before.holders.entries.filter { detached.contains($0.inode) && !inodes.contains($0.inode) }
    record.census.holders = Holders(
      sockets: holders, processes: processes, epolls: same(before.holders.epolls),
      ledgers: same(before.holders.ledgers), rings: same(before.holders.rings))
    for pid in others {
      record.census.watchers[pid] = nil
      record.census.ledgers[pid] = nil
    }
    let held = Set(holders.lazy.map(\.inode))
    record.census.keepers = before.keepers.filter { !held.contains($0.key) }
    record.passingBefore = passing
  }
}

extension AgeBounds {
  /// The bounds at a moment that is later by this many milliseconds, or earlier.
  func shifted(by milliseconds: Int64) -> AgeBounds {
    func shifted(_ value: UInt64) -> UInt64 {
      milliseconds >= 0 ? value + UInt64(milliseconds) : value - min(value, milliseconds.magnitude)
    }
    return AgeBounds(atLeast: shifted(lower), atMost: upper == .max ? nil : shifted(upper))
  }
}
