import FinDoctor
import FinTerminal

/// The question of `fin record holders`.
struct HoldersQuestion {
  var end: WrittenEnd
  /// Milliseconds since 1970; nil from the beginning.
  var from: Int64?
  var to: Int64
  var now: Int64
}

extension HeldInterval {
  /// The owner: `nginx[812] fd 6`, with the number of other descriptors.
  var who: String {
    guard let owner else { return "no process that could be seen" }
    let name = program?.title ?? Phrase.ended
    let others = owners > 1 ? " and \(Phrase.noun(owners - 1, "other descriptor"))" : ""
    return "\(name)[\(owner.pid)] fd \(owner.descriptor)\(others)"
  }

  /// The place: `tcp 127.0.0.1:8080`, with the peer of a connection.
  var what: String {
    let peer = remotePort == 0 ? "" : " → \(remote.with(port: remotePort))"
    return "\(transport) \(local.with(port: localPort))\(peer)"
  }

  /// How it ended, as a sentence's end.
  var ending: String {
    switch end {
    case .lasts: "still held at the last look"
    case .closed: "closed"
    case .processEnded: "its process ended"
    case .otherOwner: "given to other descriptors"
    case .unseen: "not seen again: fin record or the machine was stopped"
    }
  }

  /// A word for it, for JSON.
  var endingWord: String {
    switch end {
    case .lasts: "lasts"
    case .closed: "closed"
    case .processEnded: "process-ended"
    case .otherOwner: "other-owner"
    case .unseen: "unseen"
    }
  }
}

/// The answer of `fin record holders` as text.
struct HoldersText {
  let terminal: Terminal

  func text(_ found: [HeldInterval], _ question: HoldersQuestion) -> String {
    func time(_ moment: Int64) -> String { LocalTime.words(moment, now: question.now) }
    let namespaces = Set(found.map(\.namespace)).count
    var lines: [String] = []
    for one in found {
      let place = namespaces > 1 ? ", network namespace \(one.namespaceName)" : ""
      lines.append(terminal.ink(.heading, one.who) + "  \(one.what) \(one.state)\(place)")
      let from =
        one.notBefore.map { "between \(time($0)) and \(time(one.from))" } ?? "at \(time(one.from)) or earlier"
      let to =
        if one.end == .lasts { "\(time(one.to)), \(one.ending)" } else if let after = one.notAfter {
          "between \(time(one.to)) and \(time(after)), \(one.ending)"
        } else { "\(time(one.to)), \(one.ending)" }
      lines += Phrase.lines("from", from, on: terminal) + Phrase.lines("to", to, on: terminal)
      if let unit = one.program?.unit { lines += Phrase.lines("unit", unit, on: terminal) }
    }
    if found.count >= HistoryReader.mostIntervals {
      lines.append("There are more than \(Phrase.number(found.count)): ask for a shorter time.")
    }
    return lines.isEmpty ? "" : lines.joined(separator: "\n") + "\n"
  }
}

/// The answer of `fin record holders` as JSON.
enum HoldersJSON {
  static func write(_ found: [HeldInterval], _ question: HoldersQuestion, _ problems: [String]) {
    var json = JSONWriter()
    json.object { json in
      json.write("version", number: UInt(1))
      json.write("fin", string: CommandVersion.current)
      json.write("port", number: question.end.port)
      json.write("to", signed: Int(question.to))
      json.array("hidden") { json in for problem in problems { json.write(string: problem) } }
      json.array("holders") { json in
        for one in found {
          json.beginLine()
          json.object { write(one, to: &$0) }
        }
      }
    }
    json.text.write(ascii: "\n")
    Output.write(json.text.bytes)
  }

  private static func write(_ one: HeldInterval, to json: inout JSONWriter) {
    if let owner = one.owner {
      json.write("pid", number: UInt32(owner.pid))
      json.write("started", number: owner.started)
      json.write("descriptor", number: UInt32(owner.descriptor))
    }
    if let program = one.program {
      json.write("program", string: program.name)
      if let script = program.script { json.write("script", string: script) }
      if let unit = program.unit { json.write("unit", string: unit) }
      if let container = program.container { json.write("container", string: container) }
    }
    json.write("descriptors", number: UInt(one.owners))
    json.write("kind", string: "\(one.transport)")
    json.write("state", string: "\(one.state)")
    json.write("local", string: one.local.with(port: one.localPort))
    if one.remotePort != 0 { json.write("remote", string: one.remote.with(port: one.remotePort)) }
    json.write("namespace", number: one.namespace)
    json.write("from", signed: Int(one.from))
    if let before = one.notBefore { json.write("notBefore", signed: Int(before)) }
    json.write("to", signed: Int(one.to))
    if let after = one.notAfter { json.write("notAfter", signed: Int(after)) }
    json.write("end", string: one.endingWord)
  }
}
