import FinDoctor

/// The command lines of a line of a pane: that of `fin` which shows the same, and that of the program.
struct WatchCommands {
  private let look: WatchLook
  /// The words for the moment of a look of the history.
  private let moment: String?

  init(_ look: WatchLook, at moment: String? = nil) {
    (self.look, self.moment) = (look, moment)
  }

  /// The command lines, each below a sentence about it.
  func lines(for line: Int, _ pane: WatchPane) -> [String] {
    var (command, pid) = ("", Int32(0))
    switch pane {
    case .findings:
      let finding = look.findings[line].finding
      pid = finding.who?.pid ?? 0
      command = "fin check " + (pid != 0 ? "\(pid) " : "") + "--only \(finding.id.rawValue)"
    case .lifecycle: command = "fin list --state \(look.states[line].name.lowercased())"
    case .sockets:
      let row = look.rows[line]
      pid = row.pid
      command = Self.explain(row)
    case .listeners:
      let listener = look.listeners[line]
      pid = listener.overview.holders.first?.pid ?? 0
      command = "fin listeners --details" + (pid != 0 ? " \(pid)" : "")
    case .ports:
      let budget = look.budgets[line].budget
      pid = budget.users.first?.pid ?? 0
      command =
        budget.route.isAnyOther
        ? "fin ports --all" : "fin ports --address \(budget.route.destination) --port \(budget.route.port)"
    case .programs:
      pid = look.tallies[line].pid
      command = "fin list" + (pid != 0 ? " \(pid)" : "")
    }
    var lines = ["shows the same:", "  \(command)" + (moment.map { " \($0)" } ?? "")]
    if let program = look.programs[pid] {
      lines += ["", "the program, process \(pid):", "  \(program.commandLine)"]
    }
    return lines
  }

  static func explain(_ row: WatchRow) -> String {
    if row.pid != 0 { return "fin explain \(row.pid):\(row.descriptor)" }
    let local = row.local.with(port: row.localPort)
    return "fin explain \(local)" + (row.remotePort != 0 ? ",\(row.remote.with(port: row.remotePort))" : "")
  }
}
