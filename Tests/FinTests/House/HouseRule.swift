import Testing

/// A rule of the house: which files it looks at, and what it finds wrong in one.
///
/// A rule is a pure function of a path and what stands in the file. With it come texts that break it, so that a rule that cannot fail
/// is found out, and texts that look like it and do not.
struct HouseRule: Sendable, CustomTestStringConvertible {
  /// The rule as a sentence.
  let name: String
  /// Whether the checkout has files for it; `false` for a folder that may not be there.
  var mustLookAtSomething = true
  /// Whether the file at this path, relative to the package's root, is under the rule.
  let covers: @Sendable (_ path: String) -> Bool
  /// The lines that break the rule, counted from 1, with what is wrong there.
  let find: @Sendable (_ source: SwiftText) -> [Finding]
  /// Texts that break the rule.
  let broken: [Sample]
  /// Texts that do not, close as they come.
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

  /// Every offence in this file, as `path:line: text`.
  func offences(path: String, source: SwiftText) -> [String] {
    guard covers(path) else { return [] }
    return find(source).map { "\(path):\($0.line): \($0.text)" }
  }

  func offences(path: String, text: String) -> [String] { offences(path: path, source: SwiftText(text)) }

  /// A rule about single lines of Swift code, blind to comments and strings.
  static func code(
    _ name: String, mustLookAtSomething: Bool = true, in folder: String, except excepted: String? = nil,
    breaks: @escaping @Sendable (_ code: Substring) -> Bool, broken: [Sample], sound: [Sample]
  ) -> HouseRule {
    HouseRule(
      name: name,
      mustLookAtSomething: mustLookAtSomething,
      covers: { path in
        path.hasPrefix(folder) && path.hasSuffix(".swift") && !(excepted.map(path.hasPrefix) ?? false)
      },
      find: { source in
        source.code.indices.filter { breaks(source.code[$0][...]) }
          .map { Finding(line: $0 + 1, text: source.lines[$0]) }
      },
      broken: broken, sound: sound)
  }
}
