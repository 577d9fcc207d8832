import FinDoctor
import FinTerminal

/// The budgets as text, at most 100 columns wide.
struct PortsText {
  let terminal: Terminal
  private let margin = 2

  func report(_ report: PortsReport) -> String {
    var lines: [String] = []
    for budget in report.budgets { lines += story(of: budget, report) + [""] }
    return (lines + summary(report)).joined(separator: "\n") + "\n"
  }

  private func story(of budget: PortBudget, _ report: PortsReport) -> [String] {
    var lines = [heading(budget, report), String(repeating: " ", count: margin) + bar(budget)]
    func add(_ label: String, _ text: String?) {
      if let text { lines += Phrase.lines(label, text, margin: margin, on: terminal) }
    }
    add("ports", parts(budget))
    add("used by", users(budget.users, report))
    if budget.bound > 0 { add("bound by", users(budget.binders, report)) }
    if let pace = budget.pace, !budget.route.isAnyOther {
      add("rate", rate(pace))
      add("lasts", lasting(pace, budget))
    } else {
      add("rate", rate(budget))
    }
    for id in budget.remedies() { add("change", "\(id.rawValue): \(Fix(id, in: language(budget, id, report)).code)") }
    return lines
  }

  private func heading(_ budget: PortBudget, _ report: PortsReport) -> String {
    let route = budget.route
    var name =
      route.isAnyOther
      ? "to any other destination" : "\(route.source) to \(route.destination.with(port: route.port))"
    if report.isAcrossNamespaces { name = "\(report.census.namespaces[Int(route.namespace)].name): \(name)" }
    let state =
      "\(Phrase.number(budget.capacity - budget.free)) of \(Phrase.number(budget.capacity)) ports taken, "
      + "\(Phrase.number(budget.free)) free"
    let shown = budget.remedies().contains(.portsExhausted) ? terminal.ink(.bad, state) : state
    let gap = terminal.width - name.count - state.count
    if gap >= 2 { return terminal.ink(.heading, name) + String(repeating: " ", count: gap) + shown }
    return terminal.ink(.heading, name) + "\n" + String(repeating: " ", count: margin) + shown
  }

  private func bar(_ budget: PortBudget) -> String {
    let parts: [(Int, Character, Terminal.Style)] = [
      (budget.connected, "#", .fin), (budget.resting, "=", .trap), (budget.bound, "+", .bad),
      (budget.free, ".", .quiet),
    ]
    let cells = Self.cells(parts.map(\.0), in: terminal.width - 2 * margin)
    return zip(parts, cells).map { part, count in
      count == 0 ? "" : terminal.ink(part.2, String(repeating: part.1, count: count))
    }.joined()
  }

  /// Divides a width between parts: a part that is not empty gets at least one cell, and the sum is the width.
  static func cells(_ parts: [Int], in width: Int) -> [Int] {
    let all = max(1, parts.reduce(0, +))
    var cells = parts.map { $0 == 0 ? 0 : max(1, $0 * width / all) }
    // Cells left over go to the parts that lost most by rounding down; an excess is taken from the largest part.
    let byLoss = parts.indices.filter { parts[$0] * width >= all }
      .sorted { (parts[$1] * width % all, $0) < (parts[$0] * width % all, $1) }
    for place in byLoss where cells.reduce(0, +) < width { cells[place] += 1 }
    if let largest = parts.indices.max(by: { parts[$0] < parts[$1] }), parts[largest] > 0 {
      cells[largest] -= cells.reduce(0, +) - width
    }
    return cells
  }

  private func parts(_ budget: PortBudget) -> String {
    var all: [String] = []
    all.append("connected \(Phrase.number(budget.connected))")
    var resting = "TIME-WAIT \(Phrase.number(budget.resting))"
    if budget.reusable > 0 { resting += " (\(Phrase.number(budget.reusable)) reusable: tcp_tw_reuse)" }
    all.append(resting)
    var bound = "bound \(Phrase.number(budget.bound))"
    var asides: [String] = []
    if budget.boundHere > 0 {
      asides.append(
        "\(Phrase.number(budget.boundHere)) \(budget.route.isAnyOther ? "" : "on this address ")without a connection")
    }
    if budget.boundProbably > 0 { asides.append("\(Phrase.number(budget.boundProbably)) probably") }
    if !asides.isEmpty { bound += " (\(asides.joined(separator: ", ")))" }
    all.append(bound)
    all.append("free \(Phrase.number(budget.free))")
    return all.joined(separator: ", ")
  }

  private func users(_ users: [PortBudget.User], _ report: PortsReport) -> String? {
    guard !users.isEmpty else { return nil }
    let shown = users.prefix(5).map { "\(Phrase.program($0.pid, in: report.census)) \(Phrase.number($0.ports))" }
    let rest = users.dropFirst(5).reduce(0) { $0 + $1.ports }
    return (shown + (rest > 0 ? ["others \(Phrase.number(rest))"] : [])).joined(separator: ", ")
  }

  private func rate(_ budget: PortBudget) -> String? {
    if budget.resting == 0 { return nil }
    return "at least \(Phrase.rate(budget.closedPerSecond)) a second opened, and closed by this side, over the last "
      + "minute; \(Phrase.rate(budget.sustainedPerSecond)) can be sustained"
  }

  private func rate(_ pace: PortBudget.Pace) -> String {
    let least = Phrase.rate(pace.openedPerSecond)
    guard let most = pace.openedPerSecondAtMost.map(Phrase.rate) else { return "at least \(least) connects a second" }
    return most == least ? "\(least) connects a second" : "between \(least) and \(most) connects a second"
  }

  private func lasting(_ pace: PortBudget.Pace, _ budget: PortBudget) -> String {
    if budget.free == 0 { return "exhausted now" }
    guard let time = pace.exhaustion else {
      return "the ports last at this rate; \(Phrase.rate(budget.sustainedPerSecond)) a second can be sustained"
    }
    let when = time.isExact || time.atMost == nil || time.lower == 0 ? "in \(time)" : "\(time) from now"
    return "exhausted \(when) at this rate (\(Phrase.noun(pace.growth, "port")) more in \(milliseconds(pace)))"
  }

  private func milliseconds(_ pace: PortBudget.Pace) -> String {
    let time = UInt64(max(0, pace.interval / .milliseconds(1)))
    return "\(AgeBounds(atLeast: time, atMost: time))"
  }

  private func language(_ budget: PortBudget, _ id: FindingID, _ report: PortsReport) -> Language {
    let user = (id == .bindBeforeConnect ? budget.binders : budget.users).first { $0.pid != 0 }
    return user.flatMap { report.census.programs[$0.pid] }.map { Language(executable: $0.fileName) } ?? .unknown
  }

  private func summary(_ report: PortsReport) -> [String] {
    if report.matching == 0 { return ["No connection has a port that connect chose."] }
    var text = "\(Phrase.noun(report.matching, "budget"))"
    if report.budgets.count < report.matching {
      text += ", \(Phrase.number(report.matching - report.budgets.count)) not shown: --all"
    }
    text += "."
    let legend = "# connected  = TIME-WAIT  + bound  . free"
    let inked = terminal.ink(.quiet, legend)
    return text.count + 1 + legend.count <= terminal.width ? ["\(text) \(inked)"] : [text, inked]
  }
}

extension PortsReport {
  /// Whether a budget of another namespace is shown, so that each budget needs the name of its namespace.
  var isAcrossNamespaces: Bool {
    budgets.contains { !census.namespaces[Int($0.route.namespace)].isOwn }
  }
}
