import Fin
import FinTerminal

/// The lifecycle's table as text.
enum LifecycleText {
  /// Returns every row, with a paragraph for each phase.
  static func table() -> String {
    let rows = Lifecycle.transitions.map { row in
      (
        event: row.event.description, next: "→ \(row.next)" + (row.outcome.map { " (\($0.words))" } ?? ""),
        actions: row.actions.description
      )
    }
    let eventWidth = rows.map(\.event.count).max() ?? 0
    let nextWidth = rows.map(\.next.count).max() ?? 0
    var text = "In each phase: event → next phase (outcome), and the actions.\n"
    text += "Any other event is refused and changes nothing.\n"
    for phase in Phase.allCases {
      text += "\n\(phase)\n"
      let own = zip(Lifecycle.transitions, rows).filter { $0.0.phase == phase }
      if own.isEmpty { text += "  nothing more happens\n" }
      for (_, row) in own {
        var line =
          "  " + Terminal.pad(row.event, to: eventWidth + 2) + Terminal.pad(row.next, to: nextWidth + 2) + row.actions
        while line.last == " " { line.removeLast() }
        text += line + "\n"
      }
    }
    return text
  }

  /// Returns a Mermaid state diagram of the rows that are drawn, with the others as comments.
  static func mermaid() -> String {
    let diagram = LifecycleDiagram()
    var text = "stateDiagram-v2\n  direction TB\n"
    for phase in Phase.allCases { text += "  state \"\(phase)\" as \(phase.name)\n" }
    text += "  [*] --> \(Phase.fresh.name)\n"
    var drawn: [(from: Phase, to: Phase)] = []
    for row in diagram.drawn where !drawn.contains(where: { $0 == (row.phase, row.next) }) {
      drawn.append((row.phase, row.next))
      let same = diagram.drawn.filter { $0.phase == row.phase && $0.next == row.next }
      let label = LifecycleDiagram.words(for: same.map(\.event)).map(\.text).joined(separator: " or ")
      text += "  \(row.phase.name) --> \(row.next.name): \(label)\n"
    }
    text += "  \(Phase.closed.name) --> [*]\n"
    for line in diagram.caption { text += "  %% \(line)\n" }
    return text
  }
}

extension Phase {
  /// The phase as it is written in Swift: an identifier that Mermaid accepts too.
  var name: String {
    var name = ""
    for word in description.split(whereSeparator: { $0 == " " || $0 == "," }) {
      name += name.isEmpty ? String(word) : word.prefix(1).uppercased() + word.dropFirst()
    }
    return name
  }
}

extension Lifecycle.Outcome {
  var words: String {
    switch self {
    case .acknowledged: "acknowledged"
    case .peerFinished: "peer finished"
    case .failure: "failure"
    case .timedOut: "timed out"
    case .aborted: "aborted"
    case .background: "background"
    case .leaked: "leaked"
    case .detached: "detached"
    case .released: "released"
    }
  }
}
