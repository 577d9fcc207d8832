import FinDoctor
import FinTerminal

/// The answer of `fin record short` as text.
struct PassingLivesText {
  let terminal: Terminal

  /// The most rows.
  static let most = 30

  func text(_ lives: PassingLives, _ from: Int64?, _ to: Int64, now: Int64) -> String {
    let begin = from.map { "from \(LocalTime.words($0, now: now))" } ?? "from the beginning"
    let least = lives.incompleteLooks > 0 ? "At least " : ""
    let count = Phrase.noun(lives.total.all, "connection")
    var lines = [
      "\(least)\(count) began and ended between two of \(Phrase.noun(lives.looks, "look")), \(begin) to "
        + LocalTime.words(to, now: now)
    ]
    let rows = lives.sorted
    if !rows.isEmpty { lines.append("") }
    for (place, count) in rows.prefix(Self.most) {
      lines.append("  \(place.words): \(Self.numbers(count))")
    }
    let listed = rows.prefix(Self.most).reduce(0) { $0 + $1.count.all }
    if listed < lives.total.all {
      lines.append("  others: \(Phrase.number(lives.total.all - listed))")
    }
    if lives.incompleteLooks > 0 {
      let looks = Phrase.noun(lives.incompleteLooks, "look")
      lines += ["", "Before \(looks), more ended at once than the kernel had room to report."]
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private static func numbers(_ count: PassingLives.Count) -> String {
    // A look that comes later than a minute finds none of them in TIME-WAIT, whichever side closed first.
    Phrase.number(count.all) + (count.resting > 0 ? ", \(Phrase.number(count.resting)) in TIME-WAIT afterwards" : "")
  }
}

extension PassingLives.Place {
  /// `clients of nginx[812] at port 443`, `to 10.0.0.9:5432`
  fileprivate var words: String {
    if let remote { return "to \(remote.with(port: remotePort))" }
    return "clients of \(program.map { "\($0.title)[\($0.pid)] at " } ?? "")port \(localPort)"
  }
}

/// The answer of `fin record short` as JSON.
enum PassingLivesJSON {
  static func write(_ lives: PassingLives, to end: Int64, _ problems: [String]) {
    var json = JSONWriter()
    json.object { json in
      json.write("version", number: UInt(1))
      json.write("fin", string: CommandVersion.current)
      json.write("to", signed: Int(end))
      json.array("hidden") { json in for problem in problems { json.write(string: problem) } }
      json.write("connections", signed: lives.total.all)
      json.write("resting", signed: lives.total.resting)
      json.write("incomplete", flag: lives.incompleteLooks > 0)
      json.array("places") { json in
        for (place, count) in lives.sorted {
          json.beginLine()
          json.object { json in
            if let program = place.program {
              json.write("pid", number: UInt32(program.pid))
              json.write("program", string: program.name)
              if let script = program.script { json.write("script", string: script) }
              if let unit = program.unit { json.write("unit", string: unit) }
              if let container = program.container { json.write("container", string: container) }
            }
            if let remote = place.remote {
              json.write("remote", string: remote.with(port: place.remotePort))
            } else {
              json.write("localPort", number: place.localPort)
            }
            json.write("connections", signed: count.all)
            json.write("resting", signed: count.resting)
          }
        }
      }
    }
    json.text.write(ascii: "\n")
    Output.write(json.text.bytes)
  }
}
