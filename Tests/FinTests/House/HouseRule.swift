import Testing

/// A house rule: the files it covers, and what it finds wrong in one.
///
/// A rule is a pure function of a path and a file's text. Samples that break it show that it can fail; samples that
/// come close and do not break it show that it is fair.
struct HouseRule: Sendable, CustomTestStringConvertible {
  /// The rule as a sentence.
  let name: String
  /// Whether the checkout must have files that it covers; `false` for a folder that may be missing.
  var mustLookAtSomething = true
  /// Whether the file at this path, relative to the package's root, is under the rule.
  let covers: @Sendable (_ path: String) -> Bool
  /// Returns the lines that break the rule, counted from 1, with what is wrong there.
  let find: @Sendable (_ source: SwiftText) -> [Finding]
  /// Texts that break the rule.
  let broken: [Sample]
  /// Texts that come close and do not break the rule.
  let sound: [Sample]

  struct Finding {
    let line: Int
    let text: String
  }

  struct Sample: Sendable {
    let path: String
    let text: String

    init(_ path: String, _ text: String) {
      self.path = path
      self.text = text
    }
  }

  var testDescription: String { name }

  /// Every finding in this file, as `path:line: text`.
  func offences(path: String, source: SwiftText) -> [String] {
    guard covers(path) else { return [] }
    return find(source).map { "\(path):\($0.line): \($0.text)" }
  }

  func offences(path: String, text: String) -> [String] { offences(path: path, source: SwiftText(text)) }

  /// A rule about single lines of Swift code, which ignores comments and strings.
  static func code(
    _ name: String, mustLookAtSomething: Bool = true, in folders: [String], except excepted: [String] = [],
    breaks: @escaping @Sendable (_ code: Substring) -> Bool, broken: [Sample], sound: [Sample]
  ) -> HouseRule {
    HouseRule(
      name: name,
      mustLookAtSomething: mustLookAtSomething,
      covers: { path in
        path.hasSuffix(".swift") && folders.contains(where: path.hasPrefix) && !excepted.contains(where: path.hasPrefix)
      },
      find: { source in
        source.code.indices.filter { breaks(source.code[$0][...]) }
          .map { Finding(line: $0 + 1, text: source.lines[$0]) }
      },
      broken: broken, sound: sound)
  }
}
