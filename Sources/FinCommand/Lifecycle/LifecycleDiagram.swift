import Fin

/// The content of the lifecycle's drawing: arrows, and sentences for the rows whose arrows would only be clutter.
///
/// All of it is computed from the table. Each row is in exactly one arrow or one sentence.
struct LifecycleDiagram {
  /// Phases that belong together. A transition that is the same in all of them is one arrow from their frame.
  enum Frame: String, CaseIterable {
    case notConnected = "not connected"
    case conversation = "in conversation"
    case closing = "closing"
    case unacknowledged = "our FIN not yet acknowledged"
    case peerSends = "the peer still sends"
    case peerHasFinished = "the peer has finished"

    var phases: [Phase] {
      switch self {
      case .notConnected: [.fresh, .bound, .connecting, .listening, .paused, .stopping]
      case .conversation: [.connected, .sendFinished, .peerFinished, .bothFinished]
      case .closing: [.confirming, .confirmingLast, .lingering, .lingeringAcknowledged]
      case .unacknowledged: [.confirming, .confirmingLast, .lingering]
      case .peerSends: [.connected, .sendFinished]
      case .peerHasFinished: [.peerFinished, .bothFinished]
      }
    }
  }

  enum Place: Hashable, CustomStringConvertible {
    case phase(Phase)
    case frame(Frame)

    var description: String {
      switch self {
      case .phase(let phase): phase.name
      case .frame(let frame): "\(frame)"
      }
    }
  }

  struct Arrow {
    let from: Place
    let to: Phase
    let outcome: Lifecycle.Outcome?
    var events: [Lifecycle.Event]
  }

  /// The rows that are drawn as arrows.
  let drawn: [Lifecycle.Transition]
  /// The rows that are described in sentences.
  let told: [Lifecycle.Transition]
  let arrows: [Arrow]

  init(_ table: [Lifecycle.Transition] = Lifecycle.transitions) {
    drawn = table.filter { !Self.isClutter($0) }
    told = table.filter(Self.isClutter)
    arrows = Self.arrows(for: drawn)
  }

  /// Whether a row goes to closed by a call. These come from many phases, and their arrows would hide the others.
  private static func isClutter(_ row: Lifecycle.Transition) -> Bool {
    switch row.outcome {
    case .aborted, .background, .leaked, .detached: true
    case .released: row.event.kind == .call
    case .acknowledged, .peerFinished, .failure, .timedOut, nil: false
    }
  }

  private static func arrows(for rows: [Lifecycle.Transition]) -> [Arrow] {
    var rest = rows
    var arrows: [Arrow] = []
    func add(_ from: Place, _ row: Lifecycle.Transition) {
      if let index = arrows.firstIndex(where: { $0.from == from && $0.to == row.next && $0.outcome == row.outcome }) {
        arrows[index].events.append(row.event)
      } else {
        arrows.append(Arrow(from: from, to: row.next, outcome: row.outcome, events: [row.event]))
      }
    }
    for frame in Frame.allCases {
      for event in Lifecycle.Event.allCases {
        let alike = rest.filter { $0.event == event && frame.phases.contains($0.phase) }
        guard let first = alike.first, alike.count == frame.phases.count,
          alike.allSatisfy({ $0.next == first.next && $0.outcome == first.outcome })
        else { continue }
        add(.frame(frame), first)
        rest.removeAll { alike.contains($0) }
      }
    }
    for row in rest { add(.phase(row.phase), row) }
    return arrows
  }

  // MARK: Words

  /// Returns one line for each event; the ways of closing share a line if all of them are present.
  static func words(for events: [Lifecycle.Event]) -> [(text: String, kind: Lifecycle.Event.Kind)] {
    let closes: [Lifecycle.Event] = [.closeConfirmed, .closeLingering, .closeBackground, .abort]
    guard closes.allSatisfy(events.contains) else { return events.map { ($0.description, $0.kind) } }
    return [("any close", .call)] + events.filter { !closes.contains($0) }.map { ($0.description, $0.kind) }
  }

  /// The rows that are not drawn, in sentences of the form "event → outcome: phases".
  var caption: [String] {
    var lines = ["not drawn, each straight to closed:"]
    for outcome in Lifecycle.Outcome.allCases {
      let rows = told.filter { $0.outcome == outcome }
      guard !rows.isEmpty else { continue }
      // Events that are legal in the same phases share a line.
      var groups: [(phases: [Phase], events: [Lifecycle.Event])] = []
      for event in Lifecycle.Event.allCases {
        let phases = Phase.allCases.filter { phase in rows.contains { $0.phase == phase && $0.event == event } }
        if phases.isEmpty { continue }
        if let index = groups.firstIndex(where: { $0.phases == phases }) {
          groups[index].events.append(event)
        } else {
          groups.append((phases, [event]))
        }
      }
      for group in groups {
        let events = Self.words(for: group.events).map(\.text).joined(separator: " or ")
        lines.append("\(events) → \(outcome.words): \(Self.names(of: group.phases))")
      }
    }
    return lines
  }

  /// Names phases by the frames that they fill; a frame with one phase missing is named with that exception.
  private static func names(of phases: [Phase]) -> String {
    var rest = phases
    var names: [String] = []
    for frame in [Frame.notConnected, .conversation, .closing] {
      let missing = frame.phases.filter { !phases.contains($0) }
      guard missing.count < 2 else { continue }
      names.append(frame.rawValue + (missing.isEmpty ? "" : " (but not \(missing[0]))"))
      rest.removeAll { frame.phases.contains($0) }
    }
    return (names + rest.map(\.description)).joined(separator: ", ")
  }
}
