import FinDoctor
import FinTerminal

/// The pane of the lifecycle: the states of TCP as RFC 9293 draws them (figure 5), with the number of sockets in each,
/// and on each arrow how many took it in a second.
///
/// On a screen that is too small for the drawing, the states are a table.
struct WatchLifecycle {
  let model: WatchModel
  let look: WatchLook

  /// The states of the drawing, in the order of a life.
  static let states: [SocketState] = [
    .listen, .synSent, .synReceived, .established, .finWait1, .finWait2, .closing, .timeWait, .closeWait, .lastAck,
  ]

  /// The size of the drawing.
  static let (width, height) = (76, 17)

  private static let boxWidth = 21

  private static func place(of state: SocketState) -> (row: Int, column: Int)? {
    switch state {
    case .listen: (1, 0)
    case .synSent: (1, 55)
    case .synReceived: (4, 0)
    case .established: (6, 28)
    case .finWait1: (9, 0)
    case .closeWait: (9, 55)
    case .finWait2: (12, 0)
    case .closing: (12, 28)
    case .lastAck: (12, 55)
    case .timeWait: (15, 28)
    default: nil
    }
  }

  /// The word of an arrow and its place.
  private struct Word {
    var arrow: WatchFlows.Arrow
    var text: String
    var row: Int
    var column: Int

    init(_ from: WatchFlows.Place, _ to: WatchFlows.Place, _ text: String, _ row: Int, _ column: Int) {
      arrow = WatchFlows.Arrow(from: from, to: to)
      (self.text, self.row, self.column) = (text, row, column)
    }
  }

  private static let words = [
    Word(.begin, .state(.listen), "listen", 0, 4), Word(.begin, .state(.synSent), "connect", 0, 59),
    Word(.begin, .state(.synReceived), "SYN arrives", 3, 4),
    Word(.state(.synSent), .state(.established), "answered", 3, 59),
    Word(.state(.synReceived), .state(.established), "ACK", 6, 5),
    Word(.state(.established), .state(.finWait1), "close", 8, 5),
    Word(.state(.established), .state(.closeWait), "FIN arrives", 8, 39),
    Word(.state(.finWait1), .state(.finWait2), "FIN acknowledged", 11, 4),
    Word(.state(.finWait1), .state(.closing), "both close", 11, 32),
    Word(.state(.closeWait), .state(.lastAck), "close", 11, 59),
    Word(.state(.finWait2), .state(.timeWait), "FIN arrives", 14, 4),
    Word(.state(.closing), .state(.timeWait), "ACK", 14, 32),
    Word(.state(.lastAck), .end, "gone", 14, 59), Word(.state(.timeWait), .end, "gone", 15, 52),
  ]

  /// Lines between the states; each is a row, a column, and what is drawn there.
  private static let lines: [(Int, Int, String)] = [
    (0, 2, "│"), (0, 57, "│"), (3, 2, "│"), (3, 57, "│"), (4, 57, "│"), (5, 57, "│"),
    (6, 2, "└─"), (6, 22, "────▶"), (6, 50, "◀──────┘"),
    (8, 2, "┌─"), (8, 24, "─────────────┴"), (8, 57, "│"),
    (9, 22, "────────┐"), (10, 30, "│"), (11, 2, "│"), (11, 30, "│"), (11, 57, "│"),
    (14, 2, "│"), (14, 30, "│"), (14, 73, "│"),
    (15, 2, "└────────────────────────▶"), (15, 50, "─"), (15, 69, "the end"),
  ]

  func draw(on screen: inout Screen, _ area: Range<Int>) {
    guard screen.columns >= Self.width, area.count >= Self.height else {
      let states = WatchStates(look: look)
      states.draw(on: &screen, area, from: 0, chosen: model.cursor.line, top: model.cursor.top)
      return
    }
    let top = area.lowerBound
    for (row, column, line) in Self.lines { screen.put(line, top + row, column, .quiet) }
    for word in Self.words { self.word(word, on: &screen, top) }
    for (number, state) in look.states.enumerated() { box(state, number, on: &screen, top) }
    let below = top + Self.height
    if let flows = look.flows {
      var notes = ["Rates: from two looks, at least. What lived shorter than a look is not seen."]
      let vanished = flows.vanished.prefix(4).map {
        "\($0.state.description) \(WatchStates.rate(flows.rate($0.count)))/s"
      }
      if !vanished.isEmpty { notes.append("Gone from \(vanished.joined(separator: ", ")): reset, or fast.") }
      for (place, note) in notes.enumerated() where below + 1 + place < area.upperBound {
        screen.put(note, below + 1 + place, 0, .quiet)
      }
    } else if below + 1 < area.upperBound {
      let words = model.isPast ? "A look of the history has no rates." : "Rates come with the next look."
      screen.put(words, below + 1, 0, .quiet)
    }
    // Beside the drawing, a wide screen has room for the table.
    if screen.columns >= Self.width + 2 + WatchStates.width {
      WatchStates(look: look).draw(
        on: &screen, area, from: Self.width + 2, chosen: model.cursor.line, top: 0)
    }
  }

  private func word(_ word: Word, on screen: inout Screen, _ top: Int) {
    var column = screen.put(word.text, top + word.row, word.column, .quiet)
    if let flows = look.flows {
      let rate = flows.rate(of: word.arrow)
      let style = rate > 0 ? Screen.Style.fin : .quiet
      column = screen.put(" \(WatchStates.rate(rate))/s", top + word.row, column, style)
    }
    // The arrow goes on behind the word.
    let line: (end: Int, tip: String)? =
      switch (word.row, word.column) {
      case (6, 5): (22, "")
      case (8, 5): (24, "")
      case (8, 39): (57, "")
      case (15, 52): (67, "▶")
      default: nil
      }
    guard let line, column < line.end else { return }
    if line.tip.isEmpty {
      let dashes = String(repeating: "─", count: line.end - column - 1)
      screen.put(" " + dashes + (word.column == 39 ? "┐" : ""), top + word.row, column, .quiet)
    } else {
      let dashes = String(repeating: "─", count: line.end - column - 1)
      screen.put(" " + dashes + line.tip, top + word.row, column, .quiet)
    }
  }

  private func box(_ state: WatchState, _ number: Int, on screen: inout Screen, _ top: Int) {
    guard let known = SocketState.named.first(where: { $0.description == state.name }),
      let place = Self.place(of: known)
    else { return }
    let (row, start, end) = (top + place.row, place.column, place.column + Self.boxWidth)
    let style = state.count == 0 ? Screen.Style.quiet : WatchDrawing.style(of: state.severity)
    screen.put(String(repeating: " ", count: Self.boxWidth), row, start, style)
    screen.put(state.name, row, start, to: end, state.count == 0 ? .quiet : style == .plain ? .heading : style)
    screen.put(
      WatchDrawing.letter(state.severity) + " " + Phrase.number(state.count), row, endingAt: end, from: start + 12,
      style)
    var facts: [String] = []
    if let flows = look.flows {
      let passing = flows.passing(known)
      facts.append("+\(WatchStates.rate(flows.rate(passing.came))) -\(WatchStates.rate(flows.rate(passing.left)))")
    }
    if let oldest = state.oldest { facts.append(WatchDrawing.short(oldest)) }
    screen.put(facts.joined(separator: " "), row + 1, start, to: end, .quiet)
    if model.cursor.line < model.lines.count, model.lines[model.cursor.line] == number {
      screen.restyle(row, start..<end) { $0.reversed }
    }
  }
}
