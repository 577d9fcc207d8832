import FinTerminal

/// The schema of a JSON output: a line for each key, with its type and its meaning. What is inside an object, or inside
/// the objects of a list, has a deeper margin.
///
/// A type is `text`, `number`, `flag`, `object` or `value`; brackets make it a list, and a question mark says that the
/// key may be absent.
struct JSONSchema {
  struct Line {
    var depth: Int
    var key: Substring
    var type: Substring
    var meaning: Substring
  }

  let lines: [Line]
  /// Whether the output is one object a line, and not one in all.
  let isLines: Bool
  /// The JSON and its verb, as the beginning of a sentence; nil for that of the option --json.
  let place: String?

  /// Parses the lines of a schema. A line `+name` stands for the lines of that part, with the same margin.
  init(_ text: String, parts: [Substring: String] = [:], isLines: Bool = false, place: String? = nil) {
    (self.isLines, self.place) = (isLines, place)
    let parts = Self.parts.merging(parts) { $1 }
    func expanded(_ text: String, _ depth: Int) -> [Line] {
      text.split(separator: "\n").flatMap { line -> [Line] in
        let words = line.drop { $0 == " " }
        let inside = depth + (line.count - words.count) / 2
        if words.hasPrefix("+") { return expanded(parts[words.dropFirst()] ?? "", inside) }
        let fields = words.split(separator: " ", maxSplits: 2)
        return [
          Line(
            depth: inside, key: fields[0], type: fields.count > 1 ? fields[1] : "",
            meaning: fields.count > 2 ? fields[2] : "")
        ]
      }
    }
    lines = expanded(text, 0)
  }

  /// The parts that the schemas of several commands share.
  private static let parts: [Substring: String] = [
    "head": """
    version number 1; another number means more than new keys
    fin text the version of this command
    taken number the time of the snapshot, in milliseconds since 1970
    hidden [text] what could not be seen
    unseenHolders number of sockets whose holder could not be seen
    """,
    "bounds": """
    atLeastMilliseconds number
    atMostMilliseconds number? absent if nothing bounds it
    """,
    "program": """
    pid number? absent if unknown
    program text?
    script text?
    unit text?
    container text?
    """,
  ]

  private static let keyWidth = 32
  private static let typeWidth = 10

  /// The schema for a reader: a key in each line, with its type and its meaning.
  func text(on terminal: Terminal) -> String {
    let left = Self.keyWidth + Self.typeWidth
    var text = ""
    for line in lines {
      let key = String(repeating: "  ", count: line.depth + 1) + line.key
      let meaning = Terminal.wrap(String(line.meaning), to: max(20, terminal.width - left))
      let first =
        Terminal.pad(Terminal.pad(key, to: Self.keyWidth - 1) + " " + line.type, to: left - 1) + " " + meaning[0]
      text += Terminal.trimmed(first) + "\n"
      for rest in meaning.dropFirst() { text += String(repeating: " ", count: left) + rest + "\n" }
    }
    return text
  }
}
