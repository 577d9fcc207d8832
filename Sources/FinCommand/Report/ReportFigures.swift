import FinDoctor

/// The numbers that a page draws, from the census alone.
struct ReportFigures {
  /// A state of TCP with its sockets.
  struct State {
    var name: String
    var count = 0
    /// The time in the state of the socket with the highest lower bound.
    var oldest: AgeBounds?
    /// An index in the findings: the worst about a socket in this state.
    var finding: Int?
  }

  struct Listener {
    var name: String
    var owner: String
    var overview: ListenerOverview
  }

  struct Descriptors {
    var process: ReportPeriod.Process
    var name: String
    var command: String
    var used: Int
    var limit: UInt64?
    var share: Double { limit.map { $0 == 0 ? 1 : Double(used) / Double($0) } ?? 0 }
  }

  struct Peer {
    var address: String
    var count = 0
    var states: [String: Int] = [:]
    var owners: [String: Int] = [:]
  }

  /// The states of TCP that have a socket.
  let states: [State]
  /// The number of sockets of every other kind, by kind and state.
  let others: [(name: String, count: Int)]
  let budgets: [PortBudget]
  /// The number of budgets, of which ``budgets`` are the fullest.
  let budgetCount: Int
  let listeners: [Listener]
  let listenerCount: Int
  let descriptors: [Descriptors]
  let peers: [Peer]
  let peerCount: Int
  /// Rows of the table whose queues have the most bytes, and the number of all that have some.
  let queues: [ReportSockets.Row]
  let queueCount: Int
  /// Rows of the table, for a timeline each.
  let timelines: [ReportSockets.Row]

  init(_ census: Census, _ sockets: ReportSockets, _ findings: [Finding]) {
    var states: [String: State] = [:]
    var others: [String: Int] = [:]
    var peers: [Int32: Peer] = [:]
    var perFinding: [Int32: Int] = [:]
    var timelines: [ReportSockets.Row] = []
    var queues: [ReportSockets.Row] = []
    for row in sockets.rows {
      let name = sockets.states[row.state]
      guard case .inet(let index) = row.socket, census.sockets[index].transport != .udp else {
        others["\(sockets.kinds[row.kind]) \(name.lowercased())", default: 0] += 1
        continue
      }
      var state = states[name] ?? State(name: name)
      state.count += 1
      if row.since != .unknown, (state.oldest?.lower ?? 0) <= row.since.lower { state.oldest = row.since }
      if row.finding >= 0 {
        let severity = findings[Int(row.finding)].severity
        if state.finding.map({ findings[$0].severity < severity }) ?? true { state.finding = Int(row.finding) }
      }
      states[name] = state
      // The queues of a listener count clients. A FIN counts as a byte.
      if row.bytesInQueues > 1, name != "LISTEN" { queues.append(row) }
      if row.remotePort != 0 {
        peers[row.remote, default: Peer(address: sockets.addresses[row.remote])].count += 1
        peers[row.remote]?.states[name, default: 0] += 1
        peers[row.remote]?.owners[sockets.owners[row.owner], default: 0] += 1
      }
      if row.since != .unknown, row.finding >= 0, perFinding[row.finding, default: 0] < 4, timelines.count < 20 {
        perFinding[row.finding, default: 0] += 1
        timelines.append(row)
      }
    }
    // Without findings, the oldest connections are the ones to look at.
    if timelines.count < 8 {
      let rest = sockets.rows.lazy.filter { $0.finding < 0 && $0.since != .unknown && $0.remotePort != 0 }
      timelines += rest.sorted { $0.least > $1.least }.prefix(8 - timelines.count)
    }
    self.timelines = timelines
    self.states = states.values.sorted { $0.name < $1.name }
    self.others = others.map { ($0.key, $0.value) }.sorted { ($1.count, $0.name) < ($0.count, $1.name) }
    self.peers = Array(peers.values.sorted { ($1.count, $0.address) < ($0.count, $1.address) }.prefix(20))
    peerCount = peers.count
    self.queues = Array(queues.sorted { $0.bytesInQueues > $1.bytesInQueues }.prefix(12))
    queueCount = queues.count
    let budgets = PortBudget.all(in: census)
    (self.budgets, budgetCount) = (Array(budgets.prefix(12)), budgets.count)
    let listeners = ListenerOverview.all(in: census)
    listenerCount = listeners.count
    self.listeners = listeners.prefix(30).map { overview in
      let owners = Set(overview.holders.map(\.pid)).sorted().map { Phrase.program($0, in: census) }
      let shown = owners.prefix(3).joined(separator: ", ") + (owners.count > 3 ? ", …" : "")
      return Listener(
        name: Self.name(of: overview, in: census), owner: owners.isEmpty ? "unknown" : shown, overview: overview)
    }
    descriptors = Array(
      census.holders.processes.compactMap { process -> Descriptors? in
        guard let used = process.descriptorCount, let program = census.programs[process.pid] else { return nil }
        return Descriptors(
          process: .init(pid: process.pid, started: program.started ?? 0),
          name: Phrase.program(process.pid, in: census), command: program.commandLine, used: Int(used),
          limit: program.descriptorLimit)
      }.sorted { ($1.share, $1.used, $0.name) < ($0.share, $0.used, $1.name) }.prefix(20))
  }

  static func name(of overview: ListenerOverview, in census: Census) -> String {
    switch overview.place {
    case .inet(let index):
      let socket = census.sockets[index]
      return "\(socket.transport) \(socket.localAddress.with(port: socket.localPort))"
    case .unix(let index): return "unix \(census.name(of: census.unixSockets[index]) ?? "without a name")"
    }
  }

  /// `from 10.0.0.1 to 10.0.0.9:5432`
  static func name(of budget: PortBudget, in census: Census) -> String {
    let namespace = census.namespaces.count > 1 ? " in \(census.namespaces[Int(budget.route.namespace)].name)" : ""
    if budget.route.isAnyOther { return "any other destination" + namespace }
    var source = TextBuffer()
    source.write(budget.route.source)
    return "from \(source.text) to \(budget.route.destination.with(port: budget.route.port))" + namespace
  }
}
