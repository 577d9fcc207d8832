import FinDoctor
import FinTerminal

/// The pane of findings: a line for each, the whole sentence of the chosen one, and beside them the states.
struct WatchFindingsPane {
  let model: WatchModel
  let look: WatchLook

  /// The rows that the sentence of the chosen finding takes, with the line above it.
  private static let sentence = 4

  /// The number of findings that fit.
  static func room(in height: Int) -> Int { max(1, height - 1 - (height >= 12 ? sentence : 0)) }

  func draw(on screen: inout Screen, _ area: Range<Int>) {
    let isWide = screen.columns >= 76
    // On a wide screen the table of states gets more room, and on a narrow one none.
    let width = isWide ? screen.columns - WatchStates.width - 2 : screen.columns
    screen.put(summary, area.lowerBound, 0, to: width, .heading)
    list(on: &screen, area, width)
    if isWide {
      for row in area { screen.put("│", row, width, .quiet) }
      WatchStates(look: look).draw(on: &screen, area, from: width + 2, chosen: nil, top: 0)
      ports(on: &screen, area.dropFirst(look.states.count + 4), from: width + 2)
    }
    if area.count >= 12 { sentence(on: &screen, area, width) }
  }

  /// The fullest local port ranges, as far as there is room: `10.0.0.9:5432  ###==...  31%`.
  private func ports(on screen: inout Screen, _ area: Range<Int>, from start: Int) {
    guard area.count >= 2, !look.budgets.isEmpty else { return }
    let end = start + WatchStates.width
    screen.put("PORTS", area.lowerBound, start, .heading)
    for (row, line) in zip(area.dropFirst(), look.budgets) {
      let budget = line.budget
      let route = budget.route
      let name = route.isAnyOther ? "any other" : route.destination.with(port: route.port)
      screen.put(WatchDrawing.cut(name, to: 22), row, start, to: start + 22)
      screen.put(WatchTables.bar(budget, width: 10), row, start + 23, to: start + 33, WatchTables.style(budget))
      let share = "\(Int((budget.share * 100).rounded()))%"
      screen.put(share, row, endingAt: end, from: start + 33, WatchTables.style(budget))
    }
  }

  private var summary: String {
    let words = Severity.allCases.reversed().compactMap { severity -> String? in
      let count = look.count(severity)
      return count == 0 ? nil : severity == .warning ? Phrase.noun(count, "warning") : "\(count) \(severity)"
    }
    var text = words.isEmpty ? "no findings" : words.joined(separator: ", ")
    if look.below > 0 { text += "; \(look.below) below the threshold" }
    if look.muted > 0 { text += "; \(look.muted) muted" }
    return text
  }

  private func list(on screen: inout Screen, _ area: Range<Int>, _ width: Int) {
    let cursor = model.cursor
    for (place, line) in model.lines.dropFirst(cursor.top).prefix(model.room).enumerated() {
      let row = area.lowerBound + 1 + place
      let found = look.findings[line]
      let isChosen = cursor.top + place == cursor.line
      let style = WatchDrawing.style(of: found.finding.severity)
      let since = found.finding.since.map { WatchDrawing.short($0) } ?? ""
      let end = max(8, width - CellWidth.columns(of: since) - 1)
      let letter = WatchDrawing.letter(found.finding.severity)
      let column = screen.put(
        "\(letter) \(found.isEffect ? "└ " : "")\(found.finding.id.rawValue) ", row, 0, to: width, style)
      screen.put(found.finding.sentence, row, column, to: end)
      screen.put(since, row, endingAt: width, from: min(end + 1, width), style)
      if isChosen { screen.restyle(row, 0..<width) { $0.reversed } }
    }
  }

  private func sentence(on screen: inout Screen, _ area: Range<Int>, _ width: Int) {
    guard model.lines.indices.contains(model.cursor.line) else { return }
    let finding = look.findings[model.lines[model.cursor.line]].finding
    let top = area.upperBound - Self.sentence
    screen.put(String(repeating: "─", count: width), top, 0, to: width, .quiet)
    let lines = Terminal.wrap(finding.sentence, to: max(10, width - 1))
    for (place, line) in lines.prefix(Self.sentence - 1).enumerated() {
      let isLast = place == Self.sentence - 2 && lines.count > Self.sentence - 1
      screen.put(isLast ? lines[place...].joined(separator: " ") : line, top + 1 + place, 0, to: width)
    }
  }
}

/// The table of states: how many sockets, how many came and left in a second, and how old the oldest is.
struct WatchStates {
  let look: WatchLook

  static let width = 39

  /// - Parameters:
  ///   - chosen: The line that is shown as chosen.
  ///   - top: The first state.
  func draw(on screen: inout Screen, _ area: Range<Int>, from start: Int, chosen: Int?, top: Int) {
    let ends = [19, 25, 31, Self.width].map { start + $0 }
    let titles = look.flows == nil ? ["n", "", "", "oldest"] : ["n", "+/s", "-/s", "oldest"]
    screen.put("STATE", area.lowerBound, start, .heading)
    for (end, title) in zip(ends, titles) {
      screen.put(title, area.lowerBound, endingAt: end, from: start + 5, .heading)
    }
    for (place, state) in look.states.dropFirst(top).prefix(max(0, area.count - 1)).enumerated() {
      let row = area.lowerBound + 1 + place
      let style =
        state.count == 0 ? Screen.Style.quiet : WatchDrawing.style(of: state.severity)
      screen.put(state.name.lowercased(), row, start, to: start + 12, style)
      screen.put(Phrase.number(state.count), row, endingAt: ends[0], from: start + 12, style)
      if let flows = look.flows, let known = SocketState.named.first(where: { $0.description == state.name }) {
        let passing = flows.passing(known)
        screen.put(Self.rate(flows.rate(passing.came)), row, endingAt: ends[1], from: ends[0] + 1, style)
        screen.put(Self.rate(flows.rate(passing.left)), row, endingAt: ends[2], from: ends[1] + 1, style)
      }
      screen.put(WatchDrawing.least(state.oldest), row, endingAt: ends[3], from: ends[2] + 1, style)
      if place + top == chosen { screen.restyle(row, start..<ends[3]) { $0.reversed } }
    }
    let row = area.lowerBound + 2 + look.states.count
    if row < area.upperBound {
      screen.put(
        look.flows == nil ? "rates: from the next look on" : "rates: at least; see ?", row, start, .quiet)
    }
  }

  /// `38`, `0.4`; a rate that is too small for a column is 0.
  static func rate(_ perSecond: Double) -> String { perSecond < 0.01 ? "0" : Phrase.rate(perSecond) }
}
