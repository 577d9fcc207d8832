import FinDoctor
import FinTerminal

/// The effect of a key on the program, beside the change of the model.
enum WatchEffect: Equatable, Sendable {
  case nothing
  case quit
  /// Ctrl-C, which ends the program as SIGINT does.
  case interrupt
  /// Ctrl-Z.
  case stop
  /// Writes the whole picture again.
  case redraw
  /// Looks at once: something is missing in what is shown.
  case look
  case report
  case end([WatchTarget])
  /// Shows the look of the history before, or after.
  case step(WatchStep)
}

extension WatchModel {
  /// Answers a key.
  mutating func press(_ key: Key) -> WatchEffect {
    switch key {
    case .control("c"): return .interrupt
    case .control("z"): return .stop
    case .control("l"): return .redraw
    default: break
    }
    message = nil
    if input != nil { return type(key) }
    if overlay != nil, let effect = pressInText(key) { return effect }
    return pressInPane(key)
  }

  // MARK: Typing

  private mutating func type(_ key: Key) -> WatchEffect {
    guard let input else { return .nothing }
    var text: String
    switch input {
    case .filter(let typed), .count(let typed): text = typed
    }
    switch key {
    case .escape:
      self.input = nil
      if case .count = input { close() }
      return .nothing
    case .enter:
      self.input = nil
      switch input {
      case .filter: setFilter(text)
      case .count: return end(typed: text)
      }
      return .nothing
    case .backspace: if !text.isEmpty { text.removeLast() }
    case .control("u"): text = ""
    case .character(let character): if text.count < 200 { text.append(character) }
    case .up, .down, .left, .right, .pageUp, .pageDown, .home, .end, .tab, .control: return .nothing
    }
    switch input {
    case .filter: self.input = .filter(text)
    case .count: self.input = .count(text)
    }
    return .nothing
  }

  /// Ends the sockets of the list if their number was typed.
  private mutating func end(typed: String) -> WatchEffect {
    guard case .ending(let targets) = overlay else { return .nothing }
    close()
    guard Int(typed) == targets.count else {
      message = "nothing was ended: the number is \(targets.count)"
      return .nothing
    }
    open(.answer(title: "ending", ["Ending \(Phrase.noun(targets.count, "socket")) …"]))
    return .end(targets)
  }

  // MARK: In a text

  /// Answers a key while a text stands in the place of the pane; nil for a key that means the same as elsewhere.
  private mutating func pressInText(_ key: Key) -> WatchEffect? {
    switch key {
    case .up, .character("k"): scroll(to: scroll - 1)
    case .down, .character("j"): scroll(to: scroll + 1)
    case .pageUp: scroll(to: scroll - overlayRoom)
    case .pageDown, .character(" "): scroll(to: scroll + overlayRoom)
    case .home: scroll(to: 0)
    case .end: scroll(to: .max / 2)
    case .escape, .backspace, .left: return back()
    case .enter, .right: return further()
    case .character("?"): if case .help = overlay { close() } else { return nil }
    case .character("d"): if case .difference = overlay { close() } else { return nil }
    case .tab, .control, .character: return nil
    }
    return .nothing
  }

  private mutating func back() -> WatchEffect {
    if case .finding(let number, let stage) = overlay, let before = WatchStage(rawValue: stage.rawValue - 1) {
      open(.finding(number, before))
    } else {
      close()
    }
    return .nothing
  }

  /// Shows the next part of a finding.
  private mutating func further() -> WatchEffect {
    guard case .finding(let number, let stage) = overlay, let next = WatchStage(rawValue: stage.rawValue + 1) else {
      return .nothing
    }
    guard next != .explanation || finding(number)?.subject != nil else {
      message = "this finding is about no single socket"
      return .nothing
    }
    open(.finding(number, next))
    return next == .explanation ? .look : .nothing
  }

  // MARK: In a pane

  private mutating func pressInPane(_ key: Key) -> WatchEffect {
    switch key {
    case .up, .character("k"): move(to: cursor.line - 1)
    case .down, .character("j"): move(to: cursor.line + 1)
    case .pageUp: move(to: cursor.line - room)
    case .pageDown: move(to: cursor.line + room)
    case .home, .character("g"): move(to: 0)
    case .end, .character("G"): move(to: lines.count - 1)
    case .left where isPast: return .step(.before)
    case .right where isPast: return .step(.after)
    case .enter, .right: return enter()
    case .escape, .left, .backspace: if !filter.isEmpty { setFilter("") }
    case .tab: show(WatchPane(rawValue: pane.rawValue % WatchPane.allCases.count + 1) ?? .findings)
    case .character(let character): return press(character)
    case .control: break
    }
    return .nothing
  }

  private mutating func press(_ character: Character) -> WatchEffect {
    if let number = character.wholeNumberValue, let pane = WatchPane(rawValue: number), character.isASCII {
      show(pane)
      return .nothing
    }
    switch character {
    case "q": return .quit
    case "?": open(.help)
    case "/": input = .filter(filterText)
    case "s": sortNext()
    case "r": reverse()
    case " ": freeze()
    case "m": setMark()
    case "d": if mark == nil { message = "there is no mark: m sets it" } else { open(.difference) }
    case "w":
      message = "writing the report …"
      return .report
    case "y": showCommand()
    case "K": askToEnd()
    case "b": if goBetweenTimes() { return .look }
    default: break
    }
    return .nothing
  }

  private mutating func enter() -> WatchEffect {
    guard let look, lines.indices.contains(cursor.line) else { return .nothing }
    let line = lines[cursor.line]
    // From now on the choice stays with this thing.
    move(to: cursor.line)
    switch pane {
    case .findings: open(.finding(look.findings[line].number, .evidence))
    case .lifecycle:
      show(.sockets)
      setFilter("state:\(look.states[line].name.lowercased())")
    case .programs:
      let tally = look.tallies[line]
      guard tally.pid != 0 else { return .nothing }
      show(.sockets)
      setFilter("program:[\(tally.pid)]")
    case .sockets:
      open(.explanation(look.rows[line].subject))
      return .look
    case .listeners:
      open(.explanation(look.listeners[line].subject))
      return .look
    case .ports:
      open(.explanation(.budget(look.budgets[line].budget.route)))
      return .look
    }
    return .nothing
  }

  private mutating func showCommand() {
    guard let look else { return }
    let commands = WatchCommands(look, at: isPast ? past?.words : nil)
    if case .finding(let number, _) = overlay, let place = look.findings.firstIndex(where: { $0.number == number }) {
      open(.command(commands.lines(for: place, .findings)))
    } else if lines.indices.contains(cursor.line) {
      open(.command(commands.lines(for: lines[cursor.line], pane)))
    }
  }

  // MARK: Ending

  /// Lists the sockets of the chosen line, and asks for their number.
  private mutating func askToEnd() {
    guard let look else { return }
    if isPast { return message = "this is the past: b shows the present, where K ends sockets" }
    var rows: [WatchRow] = []
    if case .finding(let number, _) = overlay {
      rows = finding(number)?.members.map { look.rows[Int($0)] } ?? []
    } else if case .explanation(let subject) = overlay {
      rows = look.rows.filter { $0.subject == subject }
    } else if lines.indices.contains(cursor.line) {
      switch pane {
      case .findings: rows = look.findings[lines[cursor.line]].members.map { look.rows[Int($0)] }
      case .sockets: rows = [look.rows[lines[cursor.line]]]
      case .lifecycle, .listeners, .ports, .programs: break
      }
    }
    let targets = rows.compactMap { Self.target($0, in: look) }
    guard !targets.isEmpty else {
      message =
        rows.isEmpty
        ? "K is for a socket, or for a finding that has sockets"
        : "nothing here can be ended: a listener needs fin kill --listeners, a descriptor its program"
      return
    }
    open(.ending(targets))
    input = .count("")
  }

  private static func target(_ row: WatchRow, in look: WatchLook) -> WatchTarget? {
    guard !row.isDetached, row.state != .listen, row.state != .bound, row.transport != .mptcp,
      look.namespaceInodes.indices.contains(Int(row.namespace))
    else { return nil }
    let local = row.local.with(port: row.localPort)
    let peer = row.remotePort == 0 ? "" : " to \(row.remote.with(port: row.remotePort))"
    return WatchTarget(
      cookie: row.cookie, namespace: look.namespaceInodes[Int(row.namespace)], isUDP: row.transport == .udp,
      name: "\(row.transport) \(row.stateName) \(local)\(peer) of \(look.label(row.pid))")
  }
}
