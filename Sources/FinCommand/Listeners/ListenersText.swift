import FinDoctor
import FinTerminal

/// The listeners as text, at most 100 columns wide.
struct ListenersText {
  let terminal: Terminal
  let census: Census
  let isDetailed: Bool
  let isSecondLook: Bool

  /// - Parameter matching: The number of listeners that match; fewer may be shown.
  func report(_ panels: [ListenerOverview], matching: Int) -> String {
    if matching == 0 { return "No listener.\n" }
    var table = Columns(columns(panels))
    for panel in panels { table.append(cells(panel, panels)) }
    let lines = table.lines(width: terminal.page)
    var text = terminal.ink(.heading, lines[0]) + "\n"
    for (panel, line) in zip(panels, lines.dropFirst()) {
      let severity = panel.severity()
      text += ink(severity).map { terminal.ink($0, line) } ?? line
      text += "\n"
      if isDetailed || severity.map({ $0 >= .warning }) == true {
        for line in details(panel) { text += line + "\n" }
      }
    }
    if panels.count < matching {
      text += "\(Phrase.noun(matching, "listener")), \(Phrase.number(matching - panels.count)) not shown: "
      text += "omit --limit to show them.\n"
    }
    return text
  }

  private func ink(_ severity: Severity?) -> Terminal.Style? {
    switch severity {
    case .critical: .bad
    case .warning: .trap
    case .info, nil: nil
    }
  }

  private func isAcrossNamespaces(_ panels: [ListenerOverview]) -> Bool {
    panels.contains { !census.namespaces[Int($0.namespace)].isOwn }
  }

  private func columns(_ panels: [ListenerOverview]) -> [Columns.Column] {
    (isAcrossNamespaces(panels) ? [.init(heading: "NAMESPACE", least: 9)] : [])
      + [
        .init(heading: "LISTENER", least: 15), .init(heading: "QUEUE", isNumber: true),
        .init(heading: "OLDEST", isNumber: true), .init(heading: "GONE", isNumber: true),
        .init(heading: "SYN", isNumber: true), .init(heading: "DROPS", isNumber: true),
      ] + (isSecondLook ? [.init(heading: "/S", isNumber: true)] : [])
      + [.init(heading: "FDS", isNumber: true), .init(heading: "PROGRAM", least: 12)]
  }

  private func cells(_ panel: ListenerOverview, _ panels: [ListenerOverview]) -> [String] {
    let fullest = panel.descriptors.max { ($0.share ?? 0, $1.pid) < ($1.share ?? 0, $0.pid) }
    let descriptors = fullest.map { use in
      "\(use.used.map { "\($0)" } ?? "?")/\(use.limit.map { "\($0)" } ?? "?")"
    }
    return (isAcrossNamespaces(panels) ? [census.namespaces[Int(panel.namespace)].name] : [])
      + [
        name(panel), "\(panel.waiting)/\(panel.limit)", oldest(panel), "\(panel.gone)", "\(panel.unfinished)",
        panel.drops.map { "\($0)" } ?? "-",
      ] + (isSecondLook ? [panel.dropsPerSecond.map(Phrase.rate) ?? "-"] : [])
      + [descriptors ?? "-", program(panel)]
  }

  private func oldest(_ panel: ListenerOverview) -> String {
    guard let oldest = panel.oldest else { return "-" }
    var buffer = TextBuffer()
    oldest.write(short: &buffer)
    return buffer.text
  }

  private func name(_ panel: ListenerOverview) -> String {
    switch panel.place {
    case .inet(let place):
      let socket = census.sockets[place]
      return socket.localAddress.with(port: socket.localPort)
    case .unix(let place):
      let socket = census.unixSockets[place]
      return "\(census.name(of: socket) ?? "(no name)") \(socket.type)"
    }
  }

  private func program(_ panel: ListenerOverview) -> String {
    guard let first = panel.holders.first else {
      if case .inet(let place) = panel.place { return "user \(census.sockets[place].user)" }
      return "-"
    }
    let others = Set(panel.holders.map(\.pid)).count - 1
    return "\(Phrase.program(first.pid, in: census)) fd \(first.descriptor)" + (others > 0 ? " +\(others)" : "")
  }

  private func details(_ panel: ListenerOverview) -> [String] {
    var lines: [String] = []
    func add(_ label: String, _ text: String?) {
      if let text { lines += Phrase.lines(label, text, margin: 4, labelWidth: 9, on: terminal) }
    }
    add("queue", queue(panel))
    add("waiting", waiting(panel))
    add("dropped", dropped(panel))
    if panel.unfinished > 0 {
      add(
        "syn",
        "\(Phrase.noun(panel.unfinished, "handshake")) not finished by the peers, "
          + "\(panel.unfinishedAgain) of them answered more than once")
    }
    for (way, pids) in ways(panel) {
      add("accepts", "\(programs(pids)): \(way)")
    }
    for sentence in panel.halted { add("accepts", sentence) }
    if panel.holders.isEmpty { add("accepts", "the process that holds it could not be read") }
    for use in panel.descriptors where isDetailed || use.share ?? 0 >= 0.7 {
      guard let used = use.used, let limit = use.limit else { continue }
      add(
        "fds",
        "\(Phrase.program(use.pid, in: census)) has \(Phrase.number(used)) of \(Phrase.number(limit)) descriptors "
          + (used >= limit ? "open: accept fails with EMFILE" : "open"))
    }
    return lines
  }

  private func queue(_ panel: ListenerOverview) -> String {
    let limit =
      switch panel.limitedBy {
      case .backlog:
        "the limit is the backlog that the program gave to listen"
          + (census.namespaces[Int(panel.namespace)].limits.listenBacklog.map { "; somaxconn is \($0)" } ?? "")
      case .somaxconn: "the limit is somaxconn, whatever backlog the program gave to listen"
      case .unknown: "the origin of the limit could not be read"
      }
    let group = panel.group > 1 ? "; one of \(panel.group) listeners with SO_REUSEPORT" : ""
    let state =
      panel.isFull ? "full: \(panel.waiting) waiting, limit \(panel.limit)" : "\(panel.waiting) of \(panel.limit)"
    return "\(state); \(limit)\(group)"
  }

  private func waiting(_ panel: ListenerOverview) -> String? {
    guard panel.waiting > 0 else { return nil }
    let group = panel.countsGroup ? " (of the whole group)" : ""
    var text = panel.oldest.map { "the first for \($0)\(group)" } ?? "Unix sockets keep no time"
    if panel.gone > 0 {
      text += "; \(Phrase.noun(panel.gone, "client has", "clients have")) already given up\(group)"
    }
    return text
  }

  private func dropped(_ panel: ListenerOverview) -> String? {
    guard let drops = panel.drops, drops > 0 || isDetailed else { return nil }
    var text = "\(Phrase.noun(drops, "attempt")) since listen"
    if let rate = panel.dropsPerSecond, let recent = panel.recentDrops {
      text += ", \(Phrase.number(recent)) between the two snapshots: \(Phrase.rate(rate)) a second"
    }
    return text
  }

  /// The ways of accepting, with the processes of each: workers that accept in the same way share a line.
  private func ways(_ panel: ListenerOverview) -> [(String, [Int32])] {
    var ways: [(String, [Int32])] = []
    for acceptor in panel.acceptors {
      // The id of a thread differs for each worker, and says little if there are several.
      let isMany = panel.acceptors.count > 1
      var way = "\(acceptor.way)"
      if isMany, case .blocked(_, let call) = acceptor.way { way = "a thread is in \(call)" }
      if let place = ways.firstIndex(where: { $0.0 == way }) {
        ways[place].1.append(acceptor.pid)
      } else {
        ways.append((way, [acceptor.pid]))
      }
    }
    return ways
  }

  private func programs(_ pids: [Int32]) -> String {
    let shown = pids.prefix(6).map { Phrase.program($0, in: census) }.joined(separator: ", ")
    return pids.count > 6 ? "\(shown) and \(pids.count - 6) more" : shown
  }
}
