/// Findings that the user has accepted, by program.
///
/// A line of the file is a finding, a program and, after `#`, the reason:
///
///     P2 pubsub-*      # these connections are idle by design
///     L5 nginx
///     *  backup?       # runs at night
///
/// The finding is a code, a name or `*`. The pattern is compared with the program's name and with the script that it
/// runs; in it, `*` stands for any text and `?` for one character.
package struct Mutes: Hashable, Sendable {
  struct Entry: Hashable, Sendable {
    var id: FindingID?
    var program: String
  }

  var entries: [Entry] = []

  /// Creates a list that mutes nothing.
  package init() {}

  /// A line that cannot be parsed.
  package struct BadLine: Error, Hashable, Sendable, CustomStringConvertible {
    /// The number of the line, from 1.
    package var line: Int
    /// The reason why it cannot be parsed.
    package var problem: String

    package var description: String { "line \(line): \(problem)" }
  }

  /// Parses the text of a file.
  /// - Throws: A ``BadLine`` for the first line that cannot be parsed: a file that is only half understood
  ///   mutes nothing.
  package init(parsing text: String) throws(BadLine) {
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
      entries.append(Entry(id: id, program: String(words[1])))
    }
  }

  /// Returns a list with the entries of both.
  package func adding(_ other: Mutes) -> Mutes {
    var all = self
    all.entries += other.entries
    return all
  }

  /// Whether an entry mutes this finding.
  package func mutes(_ finding: Finding) -> Bool {
    entries.contains { entry in
      (entry.id == nil || entry.id == finding.id)
        && [finding.who?.program ?? "", finding.who?.script ?? ""]
          .contains { Self.matches(Array($0.utf8), Array(entry.program.utf8)) }
    }
  }

  /// Whether the name matches the pattern. Takes at most time proportional to the product of both lengths.
  static func matches(_ name: [UInt8], _ form: [UInt8]) -> Bool {
    var (at, place) = (0, 0)
    // The position of the last `*`, and how much of the name it has consumed so far.
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
