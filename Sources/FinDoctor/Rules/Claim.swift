/// One thing that a rule can say: the facts that it needs, and the other situations that would give the same rows.
///
/// The confidence in a finding follows from its claim and its readings, and is written nowhere else. Without a fact
/// that it needs, a claim is only possible. A situation that no reading excludes is the doubt that remains.
struct Claim: Sendable {
  /// The name, unique in its rule.
  let name: String
  /// The facts that the claim states.
  let needs: [Finding.Fact]
  /// The other situations with the same rows.
  let alternatives: [Alternative]

  init(_ name: String, needs: [Finding.Fact], _ alternatives: Alternative...) {
    self.name = name
    self.needs = needs
    self.alternatives = alternatives
  }

  /// Every fact that the claim relies on.
  var facts: [Finding.Fact] {
    var all = needs
    for fact in alternatives.flatMap(\.excludedBy) where !all.contains(fact) { all.append(fact) }
    return all
  }

  /// The confidence that these readings allow.
  func confidence(_ readings: [Finding.Reading]) -> Finding.Confidence {
    let missing = needs.filter { fact in !readings.contains { $0.fact == fact && $0.value != nil } }
    let open = alternatives.filter { $0.isOpen(after: readings) }
    if missing.isEmpty, open.isEmpty { return .certain }
    let doubts = missing.map { "\($0.name) could not be read" } + open.map(\.text)
    let isWeak = !missing.isEmpty || open.contains(where: \.isCommon)
    return isWeak ? .possible(doubts.joined(separator: "; ")) : .likely(doubts.joined(separator: "; "))
  }
}

/// A situation that gives the same rows as a claim.
struct Alternative: Sendable {
  /// The situation in words, to follow the confidence.
  let text: String
  /// Whether it is so common that the claim is only possible while it is not excluded, and otherwise likely.
  let isCommon: Bool
  /// The facts that can exclude it. Each of them is enough; if there is none, the claim is never certain.
  let excludedBy: [Finding.Fact]

  /// A rare situation.
  static func rare(_ text: String, unless facts: Finding.Fact...) -> Alternative {
    Alternative(text: text, isCommon: false, excludedBy: facts)
  }

  /// A common situation.
  static func common(_ text: String, unless facts: Finding.Fact...) -> Alternative {
    Alternative(text: text, isCommon: true, excludedBy: facts)
  }

  /// Whether no reading excludes it.
  func isOpen(after readings: [Finding.Reading]) -> Bool {
    !readings.contains { $0.excludes && excludedBy.contains($0.fact) }
  }
}
