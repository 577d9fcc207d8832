import FinDoctor
import FinTerminal

/// The question of `fin record growth`.
struct GrowthQuestion {
  /// Only programs whose name or script has this in it, and no peers; nil for all.
  var program: String?
  /// Milliseconds since 1970; nil from the beginning.
  var from: Int64?
  var to: Int64
  var now: Int64

  /// The rows of an answer.
  struct Row {
    var name: String
    /// The state of a program's sockets; nil for a peer.
    var state: String?
    var course: HistoryGrowth.Course
  }

  /// The rows of programs and those of peers, the most telling first.
  func rows(_ growth: HistoryGrowth) -> (programs: [Row], peers: [Row]) {
    var (programs, peers): ([Row], [Row]) = ([], [])
    for (subject, course) in growth.grown {
      switch subject {
      case .program(let name, let state):
        guard program.map({ name.lowercased().contains($0.lowercased()) }) ?? true else { continue }
        programs.append(Row(name: name, state: state, course: course))
      case .peer(let address):
        if program == nil { peers.append(Row(name: address, state: nil, course: course)) }
      }
    }
    return (programs, peers)
  }
}

/// The answer of `fin record growth` as text.
struct GrowthText {
  let terminal: Terminal

  /// The most rows of a list.
  static let most = 30

  func text(_ growth: HistoryGrowth, _ question: GrowthQuestion) -> String {
    func time(_ moment: Int64?) -> String { moment.map { LocalTime.words($0, now: question.now) } ?? "-" }
    let looks = Phrase.noun(growth.looks.count, "look")
    var lines = ["From \(time(growth.looks.first)) to \(time(growth.looks.last)), \(looks) compared"]
    let (programs, peers) = question.rows(growth)
    for (title, rows) in [("Sockets of programs", programs), ("Connections with peers", peers)] where !rows.isEmpty {
      lines += ["", terminal.ink(.heading, title)]
      for row in rows.prefix(Self.most) {
        let numbers = "\(Phrase.number(row.course.first)) → \(Phrase.number(row.course.last))"
        let name = row.name + (row.state.map { " \($0)" } ?? "")
        lines.append("  \(name): \(numbers)" + (row.course.neverFell ? ", and never fell" : ""))
      }
      if rows.count > Self.most { lines.append("  and \(rows.count - Self.most) that grew less, or fell between") }
    }
    if programs.isEmpty, peers.isEmpty { lines += ["", "Nothing is more at the last look than at the first."] }
    return lines.joined(separator: "\n") + "\n"
  }
}

/// The answer of `fin record growth` as JSON.
enum GrowthJSON {
  static func write(_ growth: HistoryGrowth, _ question: GrowthQuestion, _ problems: [String]) {
    var json = JSONWriter()
    let (programs, peers) = question.rows(growth)
    json.object { json in
      json.write("version", number: UInt(1))
      json.write("fin", string: CommandVersion.current)
      json.write("to", signed: Int(question.to))
      json.array("hidden") { json in for problem in problems { json.write(string: problem) } }
      json.array("looks") { json in for look in growth.looks { json.write(signed: Int(look)) } }
      json.array("programs") { json in
        for row in programs {
          json.beginLine()
          write("program", row, to: &json)
        }
      }
      json.array("peers") { json in
        for row in peers {
          json.beginLine()
          write("peer", row, to: &json)
        }
      }
    }
    json.text.write(ascii: "\n")
    Output.write(json.text.bytes)
  }

  private static func write(_ key: JSONKey, _ row: GrowthQuestion.Row, to json: inout JSONWriter) {
    json.object { json in
      json.write(key, string: row.name)
      if let state = row.state { json.write("state", string: state) }
      json.write("first", signed: row.course.first)
      json.write("last", signed: row.course.last)
      json.write("neverFell", flag: row.course.neverFell)
      json.array("values") { json in for value in row.course.values { json.write(signed: value) } }
    }
  }
}
