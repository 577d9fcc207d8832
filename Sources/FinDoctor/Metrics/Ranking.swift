/// The choice of the names that have series of their own, which changes as little as it can.
struct Ranking<Name: Hashable & Comparable & Sendable>: Sendable {
  /// The names that were kept last.
  private(set) var kept: Set<Name> = []

  /// The advantage of a name that was kept, so that two of about the same weight do not take turns.
  private static var advantage: Double { 1.1 }

  /// Keeps the names of the largest weights.
  /// - Returns: The names, at most `limit`.
  mutating func keep(_ weights: [Name: Double], limit: Int) -> Set<Name> {
    if weights.count <= limit {
      kept = Set(weights.keys)
      return kept
    }
    let ranked = weights.map { (name: $0.key, weight: kept.contains($0.key) ? $0.value * Self.advantage : $0.value) }
      .sorted { $0.weight != $1.weight ? $0.weight > $1.weight : $0.name < $1.name }
    kept = Set(ranked.prefix(max(0, limit)).map(\.name))
    return kept
  }
}
