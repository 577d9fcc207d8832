/// A kind of finding, by a short code that does not change. The file of each rule declares its own.
public struct FindingID: Hashable, Sendable {
  /// The code: `L1`.
  public let rawValue: String

  init(code: String) { rawValue = code }

  /// The rule that makes these findings.
  var rule: Rule {
    guard let rule = Rule.byID[self] else { fatalError("the finding \(rawValue) has no rule in Rule.all") }
    return rule
  }

  /// The name in words: `close-wait-known`.
  public var name: String { rule.name }

  /// The finding as a sentence, for the help.
  package var summary: String { rule.summary }

  /// Parses a code or name, in upper or lower case: `L1`, `l1`, `close-wait-known`. Nil for any other text.
  public init?(_ text: String) {
    let wanted = text.lowercased()
    guard let found = Self.allCases.first(where: { $0.rawValue.lowercased() == wanted || $0.name == wanted }) else {
      return nil
    }
    self = found
  }

  /// The findings that a leak gate looks for: descriptors and sockets that were not given back.
  package static let leaks = Set(Rule.all.filter(\.isLeak).map(\.id))
}

extension FindingID: CaseIterable {
  /// All findings, in the order of the catalogue.
  public static var allCases: [FindingID] { Rule.all.map(\.id) }
}

extension FindingID: CustomStringConvertible {
  /// `L1 close-wait-known`.
  public var description: String { "\(rawValue) \(name)" }
}
