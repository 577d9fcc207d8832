import FinDoctor
import FinTerminal

/// The panes of sockets, listeners, ports and programs: a table each.
struct WatchTables {
  let model: WatchModel
  let look: WatchLook

  private struct Column {
    var title: String
    var isNumber = false
    /// The smallest width; nil for a column that is not narrowed.
    var least: Int?
    /// The width of the screen from which on the column is shown.
    var from = 0
    /// Whether a cell is cut in its middle.
    var isCutInside = false
  }

  private struct Cell {
    var text: String
    var style = Screen.Style.plain

    init(_ text: String, _ style: Screen.Style = .plain) { (self.text, self.style) = (text, style) }
  }

  func draw(on screen: inout Screen, _ area: Range<Int>) {
    let shown = model.lines.dropFirst(model.cursor.top).prefix(max(0, area.count - 1))
    let all = columns
    let places = all.indices.filter { all[$0].from <= screen.columns }
    let columns = places.map { all[$0] }
    let rows = shown.map { line in
      let cells = cells(of: line)
      return places.map { cells[$0] }
    }
    let widths = ColumnWidths.fitted(
      columns.indices.map { place in
        rows.reduce(CellWidth.columns(of: columns[place].title)) { max($0, CellWidth.columns(of: $1[place].text)) }
      }, least: columns.map(\.least), gap: 1, to: screen.columns)
    var starts: [Int] = []
    var start = 0
    for width in widths {
      starts.append(start)
      start += width + 1
    }
    func put(_ text: String, _ row: Int, _ place: Int, _ style: Screen.Style) {
      let end = starts[place] + widths[place]
      if columns[place].isNumber {
        screen.put(text, row, endingAt: end, from: starts[place], style)
      } else {
        let text = columns[place].isCutInside ? WatchDrawing.cut(text, to: widths[place]) : text
        screen.put(text, row, starts[place], to: end, style)
      }
    }
    for place in columns.indices { put(columns[place].title, area.lowerBound, place, .heading) }
    for (number, cells) in rows.enumerated() {
      let row = area.lowerBound + 1 + number
      for place in columns.indices { put(cells[place].text, row, place, cells[place].style) }
      if model.cursor.top + number == model.cursor.line { screen.restyle(row, 0..<screen.columns) { $0.reversed } }
    }
    if rows.isEmpty { screen.put(nothing, area.lowerBound + 1, 0, .quiet) }
  }

  private var nothing: String {
    if !model.filter.isEmpty { return "nothing fits the filter \(model.filterText)" }
    switch model.pane {
    case .listeners: return "no listener"
    case .ports: return "no connection has a port that connect chose"
    case .sockets, .programs, .findings, .lifecycle: return "no socket"
    }
  }

  private var columns: [Column] {
    switch model.pane {
    case .sockets:
      [
        Column(title: "STATE", least: 6), Column(title: "LOCAL", least: 7, from: 60, isCutInside: true),
        Column(title: "REMOTE", least: 7, isCutInside: true), Column(title: "SINCE", least: 6),
        Column(title: "RECV-Q", isNumber: true, from: 70), Column(title: "SEND-Q", isNumber: true, from: 70),
        Column(title: "NAMESPACE", least: 6, from: 120), Column(title: "PROGRAM", least: 8, isCutInside: true),
      ]
    case .listeners:
      [
        Column(title: "LISTENER", least: 10, isCutInside: true), Column(title: "QUEUE", isNumber: true),
        Column(title: "OLDEST", isNumber: true, from: 60), Column(title: "GONE", isNumber: true, from: 70),
        Column(title: "SYN", isNumber: true, from: 70), Column(title: "DROPS", isNumber: true, from: 50),
        Column(title: "PROGRAM", least: 8, isCutInside: true),
      ]
    case .ports:
      [
        Column(title: "ROUTE", least: 12, isCutInside: true), Column(title: "USE"),
        Column(title: "TAKEN", isNumber: true), Column(title: "TIME-WAIT", isNumber: true, from: 90),
        Column(title: "FREE", isNumber: true, from: 60),
        Column(title: "MOST BY", least: 8, from: 76, isCutInside: true),
      ]
    case .programs:
      [
        Column(title: "PROGRAM", least: 10, isCutInside: true), Column(title: "SOCKETS", isNumber: true),
        Column(title: "ESTAB", isNumber: true, from: 60), Column(title: "CLOSE-WAIT", isNumber: true, from: 50),
        Column(title: "LISTEN", isNumber: true, from: 60), Column(title: "RECV-Q", isNumber: true, from: 90),
        Column(title: "SEND-Q", isNumber: true, from: 90), Column(title: "FDS", isNumber: true, from: 70),
      ]
    case .findings, .lifecycle: []
    }
  }

  private func cells(of line: Int) -> [Cell] {
    switch model.pane {
    case .sockets: socket(look.rows[line])
    case .listeners: listener(look.listeners[line])
    case .ports: budget(look.budgets[line].budget, look.budgets[line])
    case .programs: program(look.tallies[line])
    case .findings, .lifecycle: []
    }
  }

  private func socket(_ row: WatchRow) -> [Cell] {
    let style = WatchDrawing.style(of: row.severity)
    let state = row.hasState || row.isDetached ? row.stateName : "\(row.transport)"
    let names = look.namespaceNames
    let namespace = row.isDetached || !names.indices.contains(Int(row.namespace)) ? "-" : names[Int(row.namespace)]
    let queue = row.isWaiting ? "queue" : row.hasInode ? "user \(row.user)" : "-"
    let owner = row.pid == 0 ? queue : "\(look.label(row.pid)) fd \(row.descriptor)\(row.isShared ? " +" : "")"
    let since =
      row.hasState
      ? WatchDrawing.style(ofAge: row.since, in: row.state, isWaiting: row.isWaiting) : .plain
    return [
      Cell(state, style), Cell(row.isDetached ? "-" : row.local.with(port: row.localPort)),
      Cell(row.remotePort == 0 ? "-" : row.remote.with(port: row.remotePort)),
      Cell(WatchDrawing.short(row.since), since),
      Cell("\(row.receiveQueue)"), Cell("\(row.sendQueue)"), Cell(namespace), Cell(owner),
    ]
  }

  private func listener(_ listener: WatchListener) -> [Cell] {
    let overview = listener.overview
    let style = WatchDrawing.style(of: overview.severity())
    return [
      Cell(listener.name, style), Cell("\(overview.waiting)/\(overview.limit)", style),
      Cell(
        WatchDrawing.short(overview.oldest),
        overview.oldest.map { WatchDrawing.style(ofAge: $0, in: .established, isWaiting: true) } ?? .plain),
      Cell("\(overview.gone)"), Cell("\(overview.unfinished)"), Cell(overview.drops.map { "\($0)" } ?? "-"),
      Cell(listener.owner),
    ]
  }

  /// The ports of a budget: `#` connected, `=` in TIME-WAIT, `+` bound, `.` free.
  static func bar(_ budget: PortBudget, width: Int) -> String {
    let parts = [(budget.connected, "#"), (budget.resting, "="), (budget.bound, "+"), (budget.free, ".")]
    return zip(parts, PortsText.cells(parts.map(\.0), in: width)).map { part, count in
      String(repeating: part.1, count: max(0, count))
    }.joined()
  }

  static func style(_ budget: PortBudget) -> Screen.Style {
    budget.share >= 0.9 ? .bad : budget.share >= 0.7 ? .trap : .plain
  }

  private func budget(_ budget: PortBudget, _ line: WatchBudget) -> [Cell] {
    let style = Self.style(budget)
    let taken = budget.capacity - budget.free
    return [
      Cell(line.name), Cell(Self.bar(budget, width: min(30, max(8, model.columns / 5))), style),
      Cell("\(Phrase.number(taken)) \(Int((budget.share * 100).rounded()))%", style),
      Cell(Phrase.number(budget.resting)), Cell(Phrase.number(budget.free)), Cell(line.user),
    ]
  }

  private func program(_ tally: WatchTally) -> [Cell] {
    let style = WatchDrawing.style(of: tally.severity)
    let limit = tally.descriptorLimit.map { "/\($0)" } ?? ""
    let share: Screen.Style = tally.share >= 0.9 ? .bad : tally.share >= 0.7 ? .trap : .plain
    let name = tally.pid == 0 ? "no process" : tally.name
    let script = look.programs[tally.pid]?.script.map { " \($0)" } ?? ""
    return [
      Cell(name + script, style), Cell(Phrase.number(tally.sockets)), Cell(Phrase.number(tally.established)),
      Cell(Phrase.number(tally.closeWait), tally.closeWait > 0 ? style : .plain),
      Cell(Phrase.number(tally.listening)), Cell(Phrase.size(Double(tally.receiveQueue))),
      Cell(Phrase.size(Double(tally.sendQueue))), Cell(tally.descriptors.map { "\($0)\(limit)" } ?? "-", share),
    ]
  }
}
