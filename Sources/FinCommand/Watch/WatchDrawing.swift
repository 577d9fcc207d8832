import FinDoctor
import FinTerminal

/// Draws the picture of `fin watch`: a pure function from the model to a screen.
struct WatchDrawing {
  let model: WatchModel
  var screen: Screen

  /// The rows above and below the pane: the head, the names of the panes, the line of messages.
  static let frame = 3

  /// The picture of a model.
  static func draw(_ model: WatchModel) -> Screen {
    var drawing = WatchDrawing(model: model, screen: Screen(columns: model.columns, rows: model.rows))
    drawing.head()
    drawing.tabs()
    drawing.body()
    drawing.foot()
    return drawing.screen
  }

  /// The rows of the pane.
  var area: Range<Int> { 2..<max(3, model.rows - 1) }

  // MARK: Head

  private mutating func head() {
    screen.restyle(0, 0..<screen.columns) { _ in Screen.Style(isReversed: true) }
    let style = Screen.Style(isBold: true, isReversed: true)
    let mode = mode
    let start = screen.columns - CellWidth.columns(of: mode.text)
    let right = max(0, start)
    let left = max(0, right - 1)
    var place = screen.put("fin watch", 0, 0, to: left, style)
    // A part that does not fit as a whole is left out.
    for part in parts where place + 2 + CellWidth.columns(of: part) <= left {
      place = screen.put(part, 0, place + 2, to: left, Screen.Style(isReversed: true))
    }
    screen.put(mode.text, 0, right, mode.style.reversed)
  }

  private var parts: [String] {
    var parts: [String] = []
    if let look = model.look {
      parts.append(model.isPast ? ReportTime.words(look.when.wall) : Self.clock(look.when.wall))
    }
    if !model.place.host.isEmpty { parts.append(model.place.host) }
    if let look = model.look, !look.hidden.isEmpty { parts.append("\(look.hidden.count) hidden: ?") }
    if !model.place.kernel.isEmpty { parts.append(model.place.kernel) }
    return parts
  }

  /// `12:04:31 UTC`
  static func clock(_ wall: Int64) -> String { String(ReportTime.words(wall).dropFirst(11)) }

  private var mode: (text: String, style: Screen.Style) {
    if model.isPast { return model.look == nil ? ("[looking]", .plain) : ("[past]", .trap) }
    if model.failure != nil { return ("[no look]", .bad) }
    if model.isFrozen { return ("[frozen]", .trap) }
    guard model.look != nil else { return ("[looking]", .plain) }
    if model.interval > model.every { return ("[every \(Self.span(model.interval)): looks are slow]", .trap) }
    return ("[live \(Self.span(model.interval))]", .plain)
  }

  /// `1s`, `2.5s`, `500ms`
  static func span(_ time: Duration) -> String {
    let milliseconds = Int(time / .milliseconds(1))
    if milliseconds < 1000 { return "\(milliseconds)ms" }
    let tenth = milliseconds % 1000 / 100
    return "\(milliseconds / 1000)\(tenth > 0 ? ".\(tenth)" : "")s"
  }

  // MARK: Names of panes

  private mutating func tabs() {
    // With counts, without, and short: the first that fits.
    func names(_ name: (WatchPane) -> String) -> [String] { WatchPane.allCases.map { "\($0.rawValue)\(name($0))" } }
    let ways = [
      names { pane in " \(pane.name)\(count(of: pane).map { " \(Phrase.number($0))" } ?? "")" },
      names { " \($0.name)" }, names { String($0.name.prefix(4)) },
    ]
    let fitting = ways.first { $0.reduce(0) { $0 + $1.count + 1 } <= screen.columns } ?? ways[2]
    var place = screen.columns >= 60 ? 1 : 0
    for (pane, name) in zip(WatchPane.allCases, fitting) {
      let style = pane == model.pane ? Screen.Style(isBold: true, isReversed: true) : .plain
      place = screen.put(name, 1, place, style) + 1
    }
  }

  private func count(of pane: WatchPane) -> Int? {
    guard let look = model.look else { return nil }
    switch pane {
    case .findings: return look.findings.count
    case .lifecycle: return nil
    case .sockets: return look.rows.count
    case .listeners: return look.listeners.count
    case .ports: return look.budgets.count
    case .programs: return look.tallies.count
    }
  }

  // MARK: Foot

  private mutating func foot() {
    let row = model.rows - 1
    guard row >= 3 else { return }
    if let input = model.input {
      let (label, text) =
        switch input {
        case .filter(let text): ("/", text)
        case .count(let text): ("number of sockets to end: ", text)
        }
      let end = screen.put(label + text, row, 0, to: screen.columns - 1, .heading)
      screen.put(" ", row, end, Screen.Style(isReversed: true))
      return
    }
    if let message = model.message {
      screen.put(message, row, 0, .heading)
      return
    }
    if let failure = model.failure, !model.isPast {
      screen.put("the last look failed: \(failure)", row, 0, .bad)
      return
    }
    var hints = model.filterText.isEmpty ? "" : "filter \(model.filterText)  "
    if model.overlay != nil {
      hints += "Esc back"
      let count = model.overlayLines.count
      if count > model.overlayRoom {
        hints += "  lines \(model.scroll + 1)-\(min(count, model.scroll + model.overlayRoom)) of \(count)"
      }
    } else {
      let sort = model.pane.sorts.isEmpty ? "" : "sort:\(model.sort.rawValue)\(model.isReversed ? " reversed" : "")  "
      if model.isPast { hints += "← → other looks  b now  " }
      hints += sort + "Enter more  / filter  s sort  Space freeze  K end  ? help  q quit"
    }
    screen.put(hints, row, 0, .quiet)
  }

  // MARK: Pane

  private mutating func body() {
    if let overlay = model.overlay { return text(overlay) }
    guard let look = model.look else {
      screen.put(model.failure ?? "looking …", area.lowerBound, 0, .quiet)
      return
    }
    switch model.pane {
    case .findings: WatchFindingsPane(model: model, look: look).draw(on: &screen, area)
    case .lifecycle: WatchLifecycle(model: model, look: look).draw(on: &screen, area)
    case .sockets, .listeners, .ports, .programs: WatchTables(model: model, look: look).draw(on: &screen, area)
    }
  }

  private mutating func text(_ overlay: WatchModel.Overlay) {
    screen.put(WatchText(model).title(of: overlay), area.lowerBound, 0, .heading)
    let lines = model.overlayLines.dropFirst(model.scroll).prefix(model.overlayRoom)
    for (place, line) in lines.enumerated() where area.lowerBound + 1 + place < area.upperBound {
      screen.put(line, area.lowerBound + 1 + place, 0)
    }
  }

  // MARK: Styles

  static func style(of severity: Severity?) -> Screen.Style {
    switch severity {
    case .critical: .bad
    case .warning: .trap
    case .info, nil: .plain
    }
  }

  /// The letter of a severity: colour alone would not be enough.
  static func letter(_ severity: Severity?) -> String {
    switch severity {
    case .critical: "C"
    case .warning: "W"
    case .info: "i"
    case nil: " "
    }
  }

  /// The style of an age in a state that a socket should soon leave: yellow from a minute on, red from five.
  static func style(ofAge since: AgeBounds, in state: SocketState, isWaiting: Bool = false) -> Screen.Style {
    let isPassing =
      [.closeWait, .finWait1, .finWait2, .lastAck, .closing, .synSent, .synReceived, .newSynReceived].contains(state)
      || isWaiting
    guard isPassing, since != .unknown else { return .plain }
    return since.lower >= 300_000 ? .bad : since.lower >= 60_000 ? .trap : .plain
  }

  /// `3.2s-41min`, or `-`.
  static func short(_ since: AgeBounds?) -> String {
    guard let since else { return "-" }
    var text = TextBuffer()
    since.write(short: &text)
    return text.text.isEmpty ? "-" : text.text
  }

  /// The lower bound, for a narrow column: `>3.2s`; `3.2s` if the upper one is near.
  static func least(_ since: AgeBounds?) -> String {
    guard let since, since != .unknown else { return "-" }
    return short(since.isExact ? since : AgeBounds(atLeast: since.lower))
  }

  /// A cell that does not fit, cut in its middle, because its end matters: the port of an address.
  static func cut(_ text: String, to width: Int) -> String {
    guard CellWidth.columns(of: text) > width, width > 3 else { return text }
    let scalars = Array(text.unicodeScalars)
    func taken(_ scalars: some Sequence<Unicode.Scalar>, _ room: Int) -> [Unicode.Scalar] {
      var columns = 0
      return Array(
        scalars.prefix { scalar in
          columns += CellWidth.columns(of: scalar)
          return columns <= room
        })
    }
    let tail = (width - 1) / 2
    var cut = String.UnicodeScalarView(taken(scalars, width - 1 - tail))
    cut.append("…")
    cut.append(contentsOf: taken(scalars.reversed(), tail).reversed())
    return String(cut)
  }
}
