import FinDoctor

/// The choice of findings and sockets to watch.
struct WatchChoice: Sendable {
  var programs: [ProgramName] = []
  var only: Set<FindingID> = []
  var threshold = Severity.warning
  var mutes = Mutes()

  /// Whether a process is one to watch.
  func includes(_ pid: Int32, _ program: Program?) -> Bool {
    programs.isEmpty || programs.contains { $0.matches(pid, program) }
  }

  func includes(_ finding: Finding, in census: Census) -> Bool {
    if !only.isEmpty, !only.contains(finding.id) { return false }
    if programs.isEmpty { return true }
    guard let who = finding.who else { return false }
    return ([who.pid].compactMap { $0 } + who.others).contains { includes($0, census.programs[$0]) }
  }
}

/// Makes looks out of censuses, and remembers what the next one is compared with.
struct WatchTaking: Sendable {
  private let choice: WatchChoice
  private var states: [UInt64: SocketState]?
  private var before: UInt64 = 0
  private var events = WatchEvents()

  init(_ choice: WatchChoice) { self.choice = choice }

  /// Makes the next look.
  /// - Parameters:
  ///   - budgets: The budgets of the ports, where they were counted with the findings.
  ///   - isPast: Whether it is a look of a history, which has no rates: nor has the next one in the present.
  mutating func look(
    at census: Census, _ found: [Finding], budgets: [PortBudget]? = nil, isPast: Bool = false
  ) -> WatchLook {
    var look = WatchLook(when: census.when, isPast: isPast)
    look.programs = census.programs
    look.hidden = census.gaps.sentences
    look.unseenHolders = census.gaps.unseenHolders
    look.namespaceNames = census.namespaces.map(\.name)
    look.namespaceInodes = census.namespaces.map(\.inode)
    look.processCount = census.holders.processes.count
    let chosen = found.filter { choice.includes($0, in: census) }
    let spoken = chosen.filter { !choice.mutes.mutes($0) }
    look.muted = chosen.count - spoken.count
    let shown = spoken.filter { $0.severity >= choice.threshold }
    look.below = spoken.count - shown.count
    var places: [Int32] = []
    (look.rows, places) = rows(of: census)
    look.socketCount = look.rows.count
    for (number, chain) in Diagnosis.chains(shown).enumerated() {
      for (step, finding) in chain.enumerated() {
        let members = finding.sockets.compactMap { Self.place(of: $0, in: census, places) }
        for member in members {
          look.rows[Int(member)].severity = max(look.rows[Int(member)].severity ?? .info, finding.severity)
        }
        look.findings.append(
          WatchFinding(
            finding: finding, chain: number, isEffect: step > 0, members: members,
            subject: finding.sockets.first.map { Self.subject($0, in: census) }))
      }
    }
    look.events = events.follow(&look.findings, look.rows)
    look.states = Self.states(of: look.rows)
    let now = WatchFlows.states(of: look.rows)
    if let states, !isPast {
      let seconds = Double(census.when.monotonic &- before) / 1e9
      look.flows = WatchFlows(from: states, to: now, seconds: seconds)
    }
    (states, before) = (isPast ? nil : now, census.when.monotonic)
    look.tallies = tallies(of: look, census)
    look.listeners = listeners(in: census)
    look.budgets = self.budgets(budgets ?? PortBudget.all(in: census), in: census)
    return look
  }

  /// The rows to watch, and for each socket of the census its row, or -1.
  private func rows(of census: Census) -> ([WatchRow], [Int32]) {
    let listing = Listing(census)
    var rows: [WatchRow] = []
    var places: [Int32] = []
    rows.reserveCapacity(census.sockets.count)
    places.reserveCapacity(census.sockets.count + census.detached.count)
    func add(_ row: WatchRow) {
      guard choice.includes(row.pid, census.programs[row.pid]) else { return places.append(-1) }
      places.append(Int32(rows.count))
      rows.append(row)
    }
    for index in census.sockets.indices {
      let socket = census.sockets[index]
      var row = WatchRow(identity: socket.identity, cookie: socket.cookie)
      (row.local, row.remote) = (socket.localAddress, socket.remoteAddress)
      (row.localPort, row.remotePort) = (socket.localPort, socket.remotePort)
      (row.receiveQueue, row.sendQueue) = (socket.receiveQueue, socket.sendQueue)
      (row.state, row.transport, row.namespace) = (socket.state, socket.transport, socket.namespace)
      row.user = socket.user
      row.since = listing.since(index)
      row.isWaiting = socket.isWaitingForAccept
      row.hasInode = socket.inode != 0
      let holders = census.holders(of: socket)
      if let first = holders.first { (row.pid, row.descriptor) = (first.pid, first.descriptor) }
      row.isShared = holders.count > 1
      add(row)
    }
    for socket in census.detached {
      var row = WatchRow()
      (row.pid, row.descriptor, row.transport) = (socket.pid, socket.descriptor, socket.transport)
      (row.isDetached, row.hasInode) = (true, true)
      add(row)
    }
    return (rows, places)
  }

  private static func place(of socket: SocketReference, in census: Census, _ places: [Int32]) -> Int32? {
    let place: Int32
    switch socket {
    case .inet(let index): place = places[index]
    case .detached(let index): place = places[census.sockets.count + index]
    case .unix: return nil
    }
    return place < 0 ? nil : place
  }

  private static func subject(_ socket: SocketReference, in census: Census) -> WatchSubject {
    switch socket {
    case .inet(let index): .socket(census.sockets[index].identity)
    case .unix(let index): .unix(census.unixSockets[index].cookie)
    case .detached(let index):
      .descriptor(pid: census.detached[index].pid, number: census.detached[index].descriptor)
    }
  }

  /// The states of the drawing, in its order, and any other that a socket is in.
  static func states(of rows: [WatchRow]) -> [WatchState] {
    var all = [WatchState?](repeating: nil, count: 256)
    for state in WatchLifecycle.states { all[Int(state.rawValue)] = WatchState(name: state.description) }
    for row in rows where row.hasState {
      let state = row.state == .newSynReceived ? SocketState.synReceived : row.state
      let place = Int(state.rawValue)
      var entry = all[place] ?? WatchState(name: state.description)
      entry.count += 1
      if row.since != .unknown, (entry.oldest?.lower ?? 0) <= row.since.lower { entry.oldest = row.since }
      if let severity = row.severity { entry.severity = max(entry.severity ?? .info, severity) }
      all[place] = entry
    }
    let drawn = WatchLifecycle.states.map { Int($0.rawValue) }
    return drawn.compactMap { all[$0] } + all.indices.filter { !drawn.contains($0) }.compactMap { all[$0] }
  }

  private func tallies(of look: WatchLook, _ census: Census) -> [WatchTally] {
    var all: [Int32: WatchTally] = [:]
    for row in look.rows {
      var tally = all[row.pid] ?? WatchTally(pid: row.pid, name: look.label(row.pid))
      tally.sockets += 1
      if row.state == .established, row.hasState { tally.established += 1 }
      if row.state == .closeWait { tally.closeWait += 1 }
      if row.state == .listen {
        tally.listening += 1
      } else {
        tally.receiveQueue += UInt64(row.receiveQueue)
        tally.sendQueue += UInt64(row.sendQueue)
      }
      if let severity = row.severity { tally.severity = max(tally.severity ?? .info, severity) }
      all[row.pid] = tally
    }
    // A finding about a program's descriptors has no socket.
    for finding in look.findings {
      guard let pid = finding.finding.who?.pid, var tally = all[pid] else { continue }
      tally.severity = max(tally.severity ?? .info, finding.finding.severity)
      all[pid] = tally
    }
    return all.values.map { tally in
      var tally = tally
      tally.descriptors = census.holders.process(tally.pid)?.descriptorCount.map { Int($0) }
      tally.descriptorLimit = census.programs[tally.pid]?.descriptorLimit
      return tally
    }
  }

  private func listeners(in census: Census) -> [WatchListener] {
    ListenerOverview.all(in: census).compactMap { overview in
      let pids = Set(overview.holders.map(\.pid)).sorted()
      guard choice.programs.isEmpty || pids.contains(where: { choice.includes($0, census.programs[$0]) }) else {
        return nil
      }
      let owner = pids.first.map { Phrase.program($0, in: census) } ?? "-"
      var listener = WatchListener(
        name: ReportFigures.name(of: overview, in: census),
        owner: owner + (pids.count > 1 ? " +\(pids.count - 1)" : ""), subject: .unix(0), port: 0, overview: overview)
      switch overview.place {
      case .inet(let index):
        listener.subject = .socket(census.sockets[index].identity)
        listener.port = census.sockets[index].localPort
      case .unix(let index): listener.subject = .unix(census.unixSockets[index].cookie)
      }
      return listener
    }
  }

  private func budgets(_ all: [PortBudget], in census: Census) -> [WatchBudget] {
    all.compactMap { budget in
      let users = budget.route.isAnyOther ? budget.binders : budget.users
      guard choice.programs.isEmpty || users.contains(where: { choice.includes($0.pid, census.programs[$0.pid]) })
      else { return nil }
      let user = users.first.map { Phrase.program($0.pid, in: census) } ?? "-"
      return WatchBudget(name: ReportFigures.name(of: budget, in: census), user: user, budget: budget)
    }
  }
}
