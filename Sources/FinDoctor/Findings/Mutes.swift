/// Findings that somebody has decided to live with, by program.
///
/// A line of the file is a finding, a program and, after `#`, why:
///
///     P2 pubsub-*      # these connections are idle by design
///     L5 nginx
///     *  backup?       # runs at night
///
/// The finding is a code, a name or `*`; the program, or the script that it runs, may hold `*` for any text and `?` for one
/// character.
public struct Mutes: Hashable, Sendable {
  struct Rule: Hashable, Sendable {
    var id: FindingID?
    var program: String
  }

  var rules: [Rule] = []

  /// Nothing is muted.
  public init() {}

  /// A line that makes no sense.
  public struct BadLine: Error, Hashable, Sendable, CustomStringConvertible {
    /// Counted from 1.
    public var line: Int
    /// What is wrong with it.
    public var problem: String

    public var description: String { "line \(line): \(problem)" }
  }

  /// Reads the text of a file.
  /// - Throws: The first line that makes no sense: nothing is muted by a file that is half understood.
  public init(parsing text: String) throws(BadLine) {
    for (index, line) in text.split(omittingEmptySubsequences: false, whereSeparator: { $0 == "\n" || $0 == "\r\n" })
      .enumerated()
    {
      let words = line.prefix { $0 != "#" }.split { $0 == " " || $0 == "\t" }
      if words.isEmpty { continue }
      func bad(_ problem: String) -> BadLine { BadLine(line: index + 1, problem: problem) }
      let id = words[0] == "*" ? nil : FindingID(String(words[0]))
      guard id != nil || words[0] == "*" else {
        throw bad("there is no finding '\(visible(String(words[0]), limit: 40))'")
      }
      guard words.count >= 2 else { throw bad("the program is missing; * stands for all") }
      guard words.count == 2 else { throw bad("two words are expected, and # before the reason") }
      rules.append(Rule(id: id, program: String(words[1])))
    }
  }

  /// Both.
  public func adding(_ other: Mutes) -> Mutes {
    var all = self
    all.rules += other.rules
    return all
  }

  /// Whether somebody has decided to live with it.
  public func mutes(_ finding: Finding) -> Bool {
    rules.contains { rule in
      (rule.id == nil || rule.id == finding.id)
        && [finding.who?.program ?? "", finding.who?.script ?? ""]
          .contains { Self.matches(Array($0.utf8), Array(rule.program.utf8)) }
    }
  }

  /// Whether the name is of this form. It takes no more than the product of both lengths, whatever the form.
  static func matches(_ name: [UInt8], _ form: [UInt8]) -> Bool {
    var (at, place) = (0, 0)
    // Where the last * was, and how much of the name it stands for so far.
    var star: Int?
    var taken = 0
    while at < name.count {
      if place < form.count, form[place] == UInt8(ascii: "*") {
        star = place
        taken = at
        place += 1
      } else if place < form.count, form[place] == UInt8(ascii: "?") || form[place] == name[at] {
        at += 1
        place += 1
      } else if let star {
        taken += 1
        at = taken
        place = star + 1
      } else {
        return false
      }
    }
    return form[place...].allSatisfy { $0 == UInt8(ascii: "*") }
  }
}
