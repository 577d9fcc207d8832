import FinDoctor
import FinTerminal

/// The life of one socket as text, at most 100 columns wide.
struct ExplainText {
  let terminal: Terminal

  private static let margin = 2
  private static let labelWidth = 14

  /// Returns everything about one socket.
  func story(of life: SocketExplanation, in census: Census, matched: String?) -> String {
    var lines = [terminal.ink(.heading, life.state) + "  " + owner(of: life) + life.title]
    lines += Terminal.wrap(life.meaning, to: terminal.width - Self.margin).map { "  " + $0 }
    if let matched { lines += block("matched", matched) }
    if case .inet(let place) = life.socket, census.namespaces.count > 1 {
      lines += block("namespace", census.namespace(of: census.sockets[place]).name)
    }
    lines.append("")
    lines += timeline(life)
    if !life.next.isEmpty { lines += block("next", life.next.joined(separator: " ")) }
    lines += block("if left alone", life.outlook)
    lines.append("")
    lines += people(life, in: census)
    for topic in SocketExplanation.Fact.Topic.allCases {
      let facts = life.facts.filter { $0.topic == topic }.map(\.text)
      if !facts.isEmpty { lines += block(topic.rawValue, facts.joined(separator: "; ")) }
    }
    for finding in life.findings {
      lines.append("")
      lines += CheckText(terminal: terminal).story(of: finding, isEffect: false)
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private func owner(of life: SocketExplanation) -> String {
    guard let first = life.holders.first else { return "" }
    let name = first.program.map { "\($0.title) (pid \(first.pid))" } ?? "pid \(first.pid)"
    let descriptors = first.descriptors.prefix(4).map { "\($0.number)" }.joined(separator: ", ")
    return "\(name) fd \(descriptors)  "
  }

  private func timeline(_ life: SocketExplanation) -> [String] {
    if life.events.isEmpty { return block("life", "The kernel keeps no times for this socket.") }
    let times = life.events.map { Self.ago($0.ago) }
    let width = min(times.map(\.count).max() ?? 0, 40)
    var lines: [String] = []
    for (place, event) in life.events.enumerated() {
      let text = Terminal.wrap(event.text, to: terminal.width - 4 - Self.labelWidth - width)
      for (row, line) in text.enumerated() {
        let label = place == 0 && row == 0 ? "life" : ""
        let time = row == 0 ? times[place] : ""
        lines.append(
          "  " + terminal.ink(.quiet, Terminal.pad(label, to: Self.labelWidth)) + Terminal.pad(time, to: width) + "  "
            + line)
      }
    }
    return lines
  }

  /// `3.2 s ago`, `3.2 s to 41 min ago`, `at least 3.2 s ago`.
  static func ago(_ since: AgeBounds) -> String {
    if since == .unknown { return "at some time" }
    if since.isExact || since.upper == .max || since.lower == 0 { return "\(since) ago" }
    return
      "\(AgeBounds(atLeast: since.lower, atMost: since.lower)) to "
      + "\(AgeBounds(atLeast: since.upper, atMost: since.upper)) ago"
  }

  private func people(_ life: SocketExplanation, in census: Census) -> [String] {
    var lines: [String] = []
    if life.holders.isEmpty {
      lines += block("held by", noHolder(of: life, in: census))
    }
    for holding in life.holders.prefix(16) {
      let numbers = holding.descriptors.map(\.number)
      let who = ProcessOwner(descriptors: numbers)
      var text = holding.program.map { "\($0.title) (pid \(holding.pid))" } ?? "pid \(holding.pid)"
      text += ", descriptor\(numbers.count == 1 ? "" : "s") \(who.descriptorRanges())"
      if let program = holding.program {
        let places = [program.unit, program.container.map { "container \($0)" }].compactMap { $0 }
        if !places.isEmpty { text += ", of \(places.joined(separator: ", "))" }
        text += ", user \(program.user)"
      }
      lines += block("held by", text)
    }
    if life.holders.count > 16 { lines += block("", "and \(life.holders.count - 16) more processes") }
    if !life.attention.isEmpty {
      let more = life.attention.count > 8 ? " And \(life.attention.count - 8) more." : ""
      lines += block("noticed by", life.attention.prefix(8).joined(separator: " ") + more)
    }
    if let end = life.otherEnd { lines += block("other end", end.text) }
    return lines
  }

  private func noHolder(of life: SocketExplanation, in census: Census) -> String {
    switch life.state {
    case "TIME-WAIT": return "no process: it is an entry of the kernel"
    case "SYN-RECEIVED": return "no process: its handshake is not finished"
    default:
      let inode = census.inode(of: life.socket)
      if inode == 0 { return "no process: its descriptor is closed, or does not exist yet" }
      guard let keeper = census.keeper(of: inode) else { return "no process that could be read" }
      let remedy = keeper == .unseen ? "" : ". \(census.remedy(keeper))"
      return census.words(keeper) + remedy
    }
  }

  private func block(_ label: String, _ text: String) -> [String] {
    CheckText.wrap(text, to: terminal.width - Self.margin - Self.labelWidth - 2).enumerated().map { place, line in
      "  " + terminal.ink(.quiet, Terminal.pad(place == 0 ? label : "", to: Self.labelWidth)) + line
    }
  }
}

/// The short text for each of several sockets.
extension ExplainText {
  /// Returns one socket in two or three lines: its name and kind, then its condition.
  func short(_ life: SocketExplanation, name: String, title: String?, holder: String?) -> [String] {
    let since = life.since == .unknown ? "" : " for \(life.since)"
    let finding = life.findings.first
    let head = ([life.state + since, title, holder] as [String?]).compactMap { $0 }.joined(separator: ", ")
    var lines = Self.hanging(name, head, to: terminal.width)
    lines[0] = terminal.ink(.heading, name) + lines[0].dropFirst(name.count)
    // An acknowledgement is less informative than the data before it.
    let last = life.events.last { $0.kind != .acknowledged && $0.kind != .finishAcknowledged }
    let event = last.map { "\($0.text.prefix(1).uppercased())\($0.text.dropFirst()), \(Self.ago($0.ago)). " } ?? ""
    lines += Terminal.wrap(
      event + (finding == nil ? life.meaning : life.attention.first ?? life.meaning), to: terminal.width - 4
    )
    .map { "    " + $0 }
    if let finding {
      let word = finding.severity.description.uppercased()
      lines.append(
        "    " + terminal.ink(CheckText.ink(of: finding.severity), word) + "  \(finding.id.rawValue) \(finding.id.name)"
      )
    }
    return lines
  }

  private static func hanging(_ name: String, _ text: String, to width: Int) -> [String] {
    let lines = Terminal.wrap(text, to: max(20, width - name.count - 2))
    return [name + "  " + lines[0]] + lines.dropFirst().map { "    " + $0 }
  }
}

/// The text that says whether a bind would succeed.
extension ExplainText {
  func bind(_ outlook: BindForecast) -> String {
    let place = "\(outlook.request)"
    var lines: [String] = []
    let (reusing, plain) = (outlook.reusing, outlook.plain)
    switch (reusing, plain) {
    case (.free, .free):
      let isTried = outlook.trial?.plain == .succeeded
      lines.append(
        terminal.ink(.good, isTried ? "Nothing stands in the way of \(place)." : "No socket is in the way of \(place).")
      )
    case (.free, _):
      lines.append(terminal.ink(.trap, "\(place) can be bound with SO_REUSEADDR only."))
    case (.taken, _): lines.append(terminal.ink(.bad, "\(place) is taken."))
    case (.unsure, _): lines.append(terminal.ink(.trap, "\(place) may be taken."))
    case (.refused(let name), _): lines.append(terminal.ink(.bad, "\(place) cannot be bound: \(name)."))
    }
    lines.append("")
    lines += block("plain", Self.words(plain))
    if reusing != plain || outlook.request.transport == .tcp,
      outlook.trial?.address == .succeeded || outlook.trial == nil
    {
      lines += block("SO_REUSEADDR", Self.words(reusing))
    }
    if let trial = outlook.trial {
      let tried = [
        Self.tried("the address alone", trial.address), Self.tried("without options", trial.plain),
        Self.tried("with SO_REUSEADDR", trial.reusing),
      ].compactMap { $0 }
      lines += block("tried", tried.joined(separator: "; ") + (outlook.whyUntried == nil ? "; closed at once" : ""))
    }
    if let why = outlook.whyUntried { lines += block("not tried", "\(outlook.trial == nil ? "" : "the port: ")\(why)") }
    for note in outlook.notes { lines += block("note", note) }
    for finding in outlook.obstacles {
      lines.append("")
      lines += CheckText(terminal: terminal).story(of: finding, isEffect: false)
    }
    return lines.joined(separator: "\n") + "\n"
  }

  static func word(_ answer: BindForecast.Answer) -> String {
    switch answer {
    case .free: "free"
    case .taken: "taken"
    case .unsure: "unsure"
    case .refused(let name): name
    }
  }

  private static func words(_ answer: BindForecast.Answer) -> String {
    switch answer {
    case .free: "succeeds"
    case .taken: "refused: EADDRINUSE"
    case .unsure:
      "succeeds if the socket in the way has the option too, which only its own program knows (--deep reads it)"
    case .refused(let name): "refused: \(reason(name))"
    }
  }

  private static func reason(_ name: String) -> String {
    switch name {
    case "EADDRNOTAVAIL":
      "the machine does not have this address (EADDRNOTAVAIL); ip_nonlocal_bind or IP_FREEBIND allow it"
    case "EACCES": "this user may not bind a port this low (EACCES)"
    case "EINVAL":
      "the kernel does not accept such an address (EINVAL); a link-local one needs its interface: [fe80::1%2]"
    case "EAFNOSUPPORT": "the machine has no IPv6 (EAFNOSUPPORT)"
    default: name
    }
  }

  private static func tried(_ what: String, _ answer: BindProbe.Answer) -> String? {
    switch answer {
    case .untried: nil
    case .succeeded: "\(what): bound"
    case .refused(let name): "\(what): \(name)"
    }
  }
}
