import FinDoctor

/// The lines of a pane: which of a look's findings, sockets and so on it shows, in which order.
enum WatchOrder {
  /// Returns the positions in the look's list of this pane.
  static func lines(of pane: WatchPane, in look: WatchLook, _ filter: WatchFilter, by sort: WatchSort, reversed: Bool)
    -> [Int]
  {
    var lines = chosen(pane, look, filter)
    switch pane {
    case .lifecycle: return lines
    case .findings where sort == .worst: break
    case .listeners where sort == .worst, .ports where sort == .worst: break
    case .findings, .listeners, .ports, .sockets, .programs: lines = sorted(lines, pane, look, sort)
    }
    return reversed ? lines.reversed() : lines
  }

  private static func chosen(_ pane: WatchPane, _ look: WatchLook, _ filter: WatchFilter) -> [Int] {
    switch pane {
    case .findings: look.findings.indices.filter { filter.isEmpty || filter.allows(look.findings[$0], in: look) }
    case .lifecycle: Array(look.states.indices)
    case .sockets: look.rows.indices.filter { filter.isEmpty || filter.allows(look.rows[$0], in: look) }
    case .listeners: look.listeners.indices.filter { filter.isEmpty || filter.allows(look.listeners[$0]) }
    case .ports: look.budgets.indices.filter { filter.isEmpty || filter.allows(look.budgets[$0], in: look) }
    case .programs: look.tallies.indices.filter { filter.isEmpty || filter.allows(look.tallies[$0], in: look) }
    }
  }

  private static func sorted(_ lines: [Int], _ pane: WatchPane, _ look: WatchLook, _ sort: WatchSort) -> [Int] {
    if isName(sort) {
      // A name is made once for each line, and not for each comparison.
      return lines.map { (name($0, pane, look, sort), $0) }.sorted { ($0.0, $0.1) < ($1.0, $1.1) }.map(\.1)
    }
    return lines.map { (quantity($0, pane, look, sort), $0) }
      .sorted { $0.0 != $1.0 ? $0.0 > $1.0 : $0.1 < $1.1 }.map(\.1)
  }

  private static func isName(_ sort: WatchSort) -> Bool {
    switch sort {
    case .program, .state, .port, .peer: true
    case .worst, .age, .count, .drops, .descriptors, .receiveQueue, .sendQueue, .closeWait: false
    }
  }

  private static func name(_ line: Int, _ pane: WatchPane, _ look: WatchLook, _ sort: WatchSort) -> String {
    func padded(_ port: UInt16) -> String { String(repeating: "0", count: 5 - "\(port)".count) + "\(port)" }
    switch (pane, sort) {
    case (.sockets, .state): return look.rows[line].stateName
    case (.sockets, .port): return padded(look.rows[line].localPort)
    case (.sockets, .peer): return "\(look.rows[line].remote) \(padded(look.rows[line].remotePort))"
    case (.sockets, _): return look.label(look.rows[line].pid)
    case (.listeners, .port): return padded(look.listeners[line].port)
    case (.listeners, _): return look.listeners[line].owner
    case (.findings, _): return look.findings[line].finding.who?.name ?? ""
    case (.ports, _): return look.budgets[line].user
    case (.programs, _): return look.tallies[line].name
    case (.lifecycle, _): return ""
    }
  }

  private static func quantity(_ line: Int, _ pane: WatchPane, _ look: WatchLook, _ sort: WatchSort) -> UInt64 {
    func rank(_ severity: Severity?) -> UInt64 { severity.map { UInt64($0.rawValue) + 1 } ?? 0 }
    switch (pane, sort) {
    case (.sockets, .worst):
      // By severity, then the oldest first.
      let row = look.rows[line]
      return rank(row.severity) << 56 | min(row.since.lower, 1 << 55)
    case (.sockets, .age): return look.rows[line].since.lower
    case (.sockets, .receiveQueue): return UInt64(look.rows[line].receiveQueue)
    case (.sockets, .sendQueue): return UInt64(look.rows[line].sendQueue)
    case (.findings, .age): return look.findings[line].finding.since?.lower ?? 0
    case (.findings, _): return UInt64(max(0, look.findings[line].finding.count))
    case (.listeners, .drops): return UInt64(max(0, look.listeners[line].overview.drops ?? 0))
    case (.listeners, _): return UInt64(max(0, look.listeners[line].overview.waiting))
    case (.ports, _): return UInt64(max(0, look.budgets[line].budget.capacity - look.budgets[line].budget.free))
    case (.programs, .worst): return rank(look.tallies[line].severity) << 32 | UInt64(look.tallies[line].sockets)
    case (.programs, .descriptors): return UInt64((min(look.tallies[line].share, 1e6) * 1e6).rounded())
    case (.programs, .closeWait): return UInt64(look.tallies[line].closeWait)
    case (.programs, _): return UInt64(look.tallies[line].sockets)
    case (.sockets, _), (.lifecycle, _): return 0
    }
  }

  /// The name of a line that stays the same from look to look.
  static func key(of line: Int, _ pane: WatchPane, in look: WatchLook) -> WatchKey {
    switch pane {
    case .findings: .finding(look.findings[line].number)
    case .lifecycle: .state(look.states[line].name)
    case .sockets: .subject(look.rows[line].subject)
    case .listeners: .subject(look.listeners[line].subject)
    case .ports: .subject(.budget(look.budgets[line].budget.route))
    case .programs: .program(look.tallies[line].pid)
    }
  }
}
