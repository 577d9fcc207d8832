/// A time in which a socket had one owner: as long as the socket was open in that owner's hands, whatever its state.
package struct HeldInterval: Sendable {
  /// The end of an interval.
  package enum End: Hashable, Sendable {
    /// It lasts at the last look before the end of the question, or of the history.
    case lasts
    /// The socket was gone at the next look; its process was not.
    case closed
    /// The socket was gone, and so was its process.
    case processEnded
    /// Other descriptors held it at the next look.
    case otherOwner
    /// The recorder stopped, or the machine: no later look saw it.
    case unseen
  }

  /// The first owner; nil for a socket that no process held, as far as could be seen.
  package var owner: Observed.Owner?
  /// The number of descriptors that held it.
  package var owners: Int
  package var program: Program?
  package var transport: Transport
  package var local: NetworkAddress
  package var localPort: UInt16
  package var remote: NetworkAddress
  package var remotePort: UInt16
  package var state: SocketState
  /// The network namespace: its inode and its name.
  package var namespace: UInt32
  package var namespaceName: String
  /// The first look that saw it, in milliseconds since 1970, and the look before, which did not; nil if no look was
  /// before, so that it may be older.
  package var from: Int64
  package var notBefore: Int64?
  /// The last look that saw it, and the next one, which did not.
  package var to: Int64
  package var notAfter: Int64?
  package var end: End

  fileprivate var identity: UInt64
  fileprivate var boot: String
}

extension HistoryReader {
  /// The most intervals that one question has for an answer.
  package static let mostIntervals = 10_000

  /// The owners of a port, one after the other.
  ///
  /// Sockets that listen, are bound or are of UDP hold a port. If there is none, the connections that have it are
  /// returned.
  /// - Parameters:
  ///   - port: The local port.
  ///   - address: Only this address, and those that stand for every one; nil for all.
  ///   - from: The beginning, in milliseconds since 1970.
  ///   - to: The end.
  package func holders(of port: UInt16, _ address: NetworkAddress?, from: Int64, to: Int64) -> [HeldInterval] {
    let holding = intervals("AND (s.kind = 17 OR s.state IN (7, 10, 13))", port, address, from, to)
    return holding.isEmpty ? intervals("", port, address, from, to) : holding
  }

  private func intervals(
    _ kinds: String, _ port: UInt16, _ address: NetworkAddress?, _ from: Int64, _ to: Int64
  ) -> [HeldInterval] {
    var all: [HeldInterval] = []
    for file in files(from: from, to: to).reversed() {
      let found = reading(file) { (open) throws(Database.Failure) -> [HeldInterval]? in
        var found: [HeldInterval] = []
        let times = try open.times()
        let later = self.next(after: file)?.firstLook
        let earlier = self.previous(before: file)?.last
        try open.spans("WHERE s.lp = ? \(kinds) LIMIT \(Self.mostIntervals)", [[Int64(port)]]) {
          (span) throws(Database.Failure) in
          guard address.map({ span.socket.matches($0) }) ?? true else { return }
          var span = span
          try open.complete(&span)
          guard var interval = open.interval(span, times, earlier, later) else { return }
          if let owner = interval.owner { interval.program = try open.program(owner) }
          found.append(interval)
        }
        return found
      }
      for interval in found ?? [] { Self.add(interval, to: &all) }
    }
    return all.filter { $0.from <= to && ($0.notAfter ?? .max) >= from && $0.to >= $0.from }
      .sorted { ($0.from, $0.to, $0.identity) < ($1.from, $1.to, $1.identity) }
  }

  /// Adds an interval, or continues the one that it goes on from: the same socket of the same owner, in another state,
  /// in the next file, or after the recorder was started again.
  private static func add(_ interval: HeldInterval, to all: inout [HeldInterval]) {
    let place = all.lastIndex {
      $0.identity == interval.identity && $0.boot == interval.boot && $0.owner == interval.owner
        && $0.transport == interval.transport
    }
    guard let place, all[place].end == .unseen || all[place].end == .lasts || all[place].notAfter == interval.from
    else {
      // A row that only says how an interval of the file before ended.
      if interval.to >= interval.from { all.append(interval) }
      return
    }
    if interval.to >= interval.from {
      all[place].to = interval.to
      all[place].state = interval.state
      all[place].owners = max(all[place].owners, interval.owners)
    }
    (all[place].notAfter, all[place].end) = (interval.notAfter, interval.end)
  }
}

extension Observed {
  /// Whether it has this local address, or one that stands for every address.
  fileprivate func matches(_ address: NetworkAddress) -> Bool {
    let own = NetworkAddress(local, isIPv6: isIPv6)
    return own.isUnspecified || own.isSame(as: address)
  }
}

extension HistoryReader.OpenFile {
  /// The times of the looks, in milliseconds since 1970, by number.
  fileprivate func times() throws(Database.Failure) -> [Int64: Int64] {
    var all: [Int64: Int64] = [:]
    try database.prepare("SELECT id, at FROM look").run([]) { all[$0.bounded(0)] = $0.bounded(1) }
    return all
  }

  fileprivate var firstLook: (at: Int64, boot: String)? {
    ((try? look("ORDER BY id LIMIT 1")) ?? nil).map { ($0.at, boot) }
  }

  /// An interval with its times.
  /// - Parameters:
  ///   - earlier: The last look of the file before.
  ///   - later: The first look of the next file.
  fileprivate func interval(
    _ span: StoredSpan, _ times: [Int64: Int64], _ earlier: HistoryReader.Look?, _ later: (at: Int64, boot: String)?
  ) -> HeldInterval? {
    guard let from = times[span.first], let transport = Transport(rawValue: span.socket.kind) else { return nil }
    let isOpen = span.ending == .open || span.ending == .continued
    let end: HeldInterval.End =
      switch span.ending {
      case .open, .continued: later == nil ? .lasts : .unseen
      case .closed, .otherState: .closed
      case .otherOwners: .otherOwner
      case .processEnded: .processEnded
      }
    let lastLook = isOpen ? last.number : span.last
    let socket = span.socket
    return HeldInterval(
      owner: socket.owners.first.map { .init(pid: $0.pid, started: $0.started, descriptor: $0.descriptor) },
      owners: span.owners, program: nil, transport: transport,
      local: NetworkAddress(socket.local, isIPv6: socket.isIPv6), localPort: socket.localPort,
      remote: NetworkAddress(socket.remote, isIPv6: socket.isIPv6), remotePort: socket.remotePort,
      state: socket.state, namespace: socket.namespace, namespaceName: span.namespaceName, from: from,
      notBefore: times[span.first - 1] ?? (span.since == nil ? earlier?.at : nil),
      // A row with no look of its own ended before the first one of its file.
      to: lastLook < span.first ? from - 1 : times[lastLook] ?? from,
      notAfter: isOpen ? later?.at : lastLook < span.first ? from : times[lastLook + 1], end: end,
      identity: socket.key.identity, boot: boot)
  }
}
