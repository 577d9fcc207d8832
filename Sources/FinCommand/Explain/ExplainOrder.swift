import FinDoctor

/// The order in which several sockets are shown: by their worst finding, then by state, then the oldest first.
struct ExplainOrder {
  private let census: Census
  private let multipath: MPTCPSubflows
  /// The worst finding about each descriptor of each process.
  private var worst: [Int32: [Int32: Severity]] = [:]

  init(_ census: Census, _ findings: [Finding]) {
    self.census = census
    multipath = MPTCPSubflows(census.sockets, ages: census.recordedAges)
    for finding in findings {
      guard let pid = finding.who?.pid else { continue }
      for descriptor in finding.who?.descriptors ?? [] {
        worst[pid, default: [:]][descriptor] = max(worst[pid]?[descriptor] ?? .info, finding.severity)
      }
    }
  }

  func worstFirst(_ sockets: [SocketReference]) -> [SocketReference] {
    let ranked = sockets.enumerated().map { (key: rank($1), place: $0, socket: $1) }
    return ranked.sorted { ($0.key, $0.place) < ($1.key, $1.place) }.map(\.socket)
  }

  private struct Rank: Comparable {
    var finding: Int
    var state: Int
    var age: UInt64

    static func < (left: Rank, right: Rank) -> Bool {
      if left.finding != right.finding { return left.finding < right.finding }
      if left.state != right.state { return left.state < right.state }
      return left.age > right.age
    }
  }

  private func rank(_ socket: SocketReference) -> Rank {
    let severities = census.holders[census.inode(of: socket)].compactMap { worst[$0.pid]?[$0.descriptor] }
    let finding = severities.map { 2 - $0.rawValue }.min() ?? 3
    guard case .inet(let place) = socket else {
      if case .detached = socket { return Rank(finding: finding, state: 1, age: 0) }
      return Rank(finding: finding, state: 30, age: 0)
    }
    let row = census.sockets[place]
    let order: [SocketState] = [
      .closeWait, .closed, .finWait2, .finWait1, .lastAck, .closing, .synSent, .synReceived, .newSynReceived, .listen,
      .established, .bound, .timeWait,
    ]
    let state = row.transport == .udp ? 20 : order.firstIndex(of: row.state) ?? 19
    let limits = census.namespaces[Int(row.namespace)].limits
    let since = multipath.since(place, in: census.sockets, limits: limits)
    return Rank(finding: finding, state: state, age: since.lower)
  }
}
