import FinDoctor
import FinTerminal

/// The texts that stand in the place of a pane.
struct WatchText {
  private let model: WatchModel
  private let terminal: Terminal

  init(_ model: WatchModel) {
    self.model = model
    terminal = Terminal(hasColour: false, page: model.columns)
  }

  func title(of overlay: WatchModel.Overlay) -> String {
    switch overlay {
    case .finding(let number, let stage):
      let name = model.finding(number).map { "\($0.finding.id)" } ?? "finding"
      switch stage {
      case .evidence: return "\(name): evidence (Enter: fix)"
      case .fix: return "\(name): fix (Enter: the oldest socket)"
      case .explanation: return "\(name): the oldest socket"
      }
    case .explanation: return "explain"
    case .help: return "help"
    case .difference: return "difference"
    case .command: return "command line"
    case .ending: return "end sockets"
    case .answer(let title, _): return title
    }
  }

  func lines(of overlay: WatchModel.Overlay) -> [String] {
    switch overlay {
    case .finding(let number, .evidence): evidence(number)
    case .finding(let number, .fix): fix(number)
    case .finding(let number, .explanation): explanation(model.finding(number)?.subject)
    case .explanation(let subject): explanation(subject)
    case .help: help
    case .difference: difference
    case .command(let lines): lines.flatMap(wrapped)
    case .ending(let targets): ending(targets)
    case .answer(_, let lines): lines.flatMap(wrapped)
    }
  }

  /// Lines no wider than the screen, with the margin of the first one.
  private func wrapped(_ line: String) -> [String] {
    let margin = String(line.prefix { $0 == " " })
    let room = max(10, model.columns - margin.count - 1)
    return CheckText.wrap(String(line.dropFirst(margin.count)), to: room).map { margin + $0 }
  }

  private func block(_ label: String, _ text: String?) -> [String] {
    guard let text, !text.isEmpty else { return [] }
    let room = max(10, model.columns - 15)
    return CheckText.wrap(text, to: room).enumerated().map { place, line in
      Terminal.pad(place == 0 ? label : "", to: 13) + " " + line
    }
  }

  // MARK: A finding

  private static let over = ["The finding is over: nothing of it is left."]

  private func evidence(_ number: Int) -> [String] {
    guard let found = model.finding(number) else { return Self.over }
    let finding = found.finding
    var lines = wrapped(finding.sentence) + [""]
    if let since = finding.since, since != .unknown { lines += block("since", "\(since)") }
    if let who = finding.who {
      lines += block("descriptors", who.descriptors.isEmpty ? nil : who.descriptorRanges())
      let others = who.others.prefix(8).map { "pid \($0)" }.joined(separator: ", ")
      lines += block("also held by", others)
      let places = [who.unit, who.container.map { "container \($0)" }].compactMap { $0 }
      lines += block("belongs to", places.joined(separator: ", "))
    }
    if let origin = finding.origin {
      lines += block("opened at", origin.siteWords) + block("phase", origin.phaseWords)
      lines += block("waiting", origin.waitWords)
    }
    lines += block("why", finding.why)
    for evidence in finding.evidence { lines += block("evidence", "\(evidence.field) \(evidence.value)") }
    let confidence = finding.confidence
    return lines + block("confidence", confidence.doubt.map { "\(confidence.word): \($0)" } ?? confidence.word)
  }

  private func fix(_ number: Int) -> [String] {
    guard let finding = model.finding(number)?.finding else { return Self.over }
    return wrapped(finding.sentence) + [""] + block("change", finding.fix.code) + [""]
      + block("with Fin", finding.fix.fin)
  }

  private func explanation(_ subject: WatchSubject?) -> [String] {
    guard let subject else { return Self.over }
    guard let explained = model.explained, explained.subject == subject else { return ["looking …"] }
    return explained.lines
  }

  // MARK: Help

  private static let keys = [
    ("1 - 6", "findings, lifecycle, sockets, listeners, ports, programs; Tab: the next one"),
    ("↑ ↓ j k", "choose a line; Page Up, Page Down, Home, End too"),
    ("Enter", "more about it: evidence, then the fix, then the life of the oldest socket"),
    ("Esc", "back; in a pane, no filter"),
    ("/", "filter: port:8080 program:api state:close-wait peer:10.0. age>5m, and any word"),
    ("s  r", "sort by the next quantity; reverse"),
    ("Space", "freeze the picture, and go on"),
    ("← →", "with --at: the look before, and the one after"),
    ("b", "with --at: the present, and back to the look of the history"),
    ("m  d", "mark this look; show the difference from the mark"),
    ("K", "end the sockets of the line, after their number was typed (as fin kill)"),
    ("w", "write the page of fin report into this folder"),
    ("y", "the command line that shows the same, and that of the program"),
    ("? q", "this text; quit"),
  ]

  private var help: [String] {
    var lines: [String] = []
    if let look = model.look {
      lines.append(look.hidden.isEmpty ? "Nothing is hidden from this look." : "What this look could not see:")
      for sentence in look.hidden { lines += wrapped("  " + sentence) }
      let took = "The look took \(Phrase.time(Int64(clamping: Int(look.took / .nanoseconds(1)))))"
      lines += wrapped("\(took): \(Phrase.noun(look.socketCount, "socket")), \(look.processCount) processes.")
    }
    lines += wrapped(Self.limits) + [""]
    for (key, effect) in Self.keys {
      let room = max(10, model.columns - 11)
      for (place, line) in Terminal.wrap(effect, to: room).enumerated() {
        lines.append(Terminal.pad(place == 0 ? key : "", to: 9) + " " + line)
      }
    }
    return lines
  }

  static let limits =
    "Rates are the differences between two looks, so they are at least what happened: a connection whose life was "
    + "shorter than the time between two looks is in none of them."

  // MARK: Difference

  private var difference: [String] {
    guard let mark = model.mark, let look = model.look else { return ["There is no mark: m sets it."] }
    return WatchDifference(mark, look).lines.flatMap(wrapped)
  }

  // MARK: Ending

  private func ending(_ targets: [WatchTarget]) -> [String] {
    let noun = Phrase.noun(targets.count, "socket")
    var lines = wrapped(
      "Type \(targets.count) and Enter to end \(targets.count == 1 ? "this socket" : "these \(noun)"); Esc leaves "
        + "everything as it is.")
    lines += wrapped(
      "The kernel compares the cookie of each: a new connection with the same addresses is not hit. The program gets "
        + "ECONNABORTED, and the peer a reset.")
    lines.append("")
    for target in targets.prefix(200) { lines += wrapped("  " + target.name) }
    if targets.count > 200 { lines.append("  and \(targets.count - 200) more") }
    return lines
  }
}
