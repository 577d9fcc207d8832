import FinDoctor

/// The findings of a report, with those that are alike in one group.
///
/// A group consists of chains: a finding with the effects that it leads to. Chains are alike if they have the same
/// findings of the same severity.
struct CheckGroups {
  /// The number of chains of one program that make a group.
  static let ofProgram = 3
  /// The number of chains of several programs that make a group.
  static let ofPrograms = 12

  /// The groups, each with its worst chain first, in the order of these.
  let groups: [[[Finding]]]

  init(_ chains: [[Finding]]) {
    struct Kind: Hashable {
      var findings: [String]
      var program: String?
    }
    func kind(_ chain: [Finding], withProgram: Bool) -> Kind {
      Kind(
        findings: chain.map { "\($0.id) \($0.severity)" },
        program: withProgram ? chain.first?.who.map { $0.program ?? $0.unit ?? "" } : nil)
    }
    var places: [[Int]] = []
    var rest = Array(chains.indices)
    for (withProgram, least) in [(true, Self.ofProgram), (false, Self.ofPrograms)] {
      let alike = Dictionary(grouping: rest) { kind(chains[$0], withProgram: withProgram) }
      // A finding about the machine stands alone.
      let found = alike.values.filter { $0.count >= least && chains[$0[0]].first?.who != nil }
      places += found
      let grouped = Set(found.flatMap { $0 })
      rest.removeAll { grouped.contains($0) }
    }
    groups = (places + rest.map { [$0] }).sorted { $0[0] < $1[0] }.map { $0.map { chains[$0] } }
  }
}
