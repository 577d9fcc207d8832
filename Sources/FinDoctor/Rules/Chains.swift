/// Orders findings that explain each other into chains, cause first.
struct Chains {
  /// The chains, the worst first.
  let all: [[Finding]]

  init(_ findings: [Finding]) {
    let sorted = findings.sorted(by: Diagnosis.isWorse)
    let leadsTo = sorted.map(\.id.rule.leadsTo)
    // Each effect gets one cause, so that no finding is printed twice: the most direct one, which has the lowest rank.
    var effects: [[Int]] = Array(repeating: [], count: sorted.count)
    var isEffect = Array(repeating: false, count: sorted.count)
    for effect in sorted.indices {
      var best: (rank: Int, cause: Int)?
      for cause in sorted.indices where cause != effect {
        guard let leads = leadsTo[cause].first(where: { $0.id == sorted[effect].id }),
          let rank = leads.rank(sorted[cause], sorted[effect]), rank < best?.rank ?? .max
        else { continue }
        best = (rank, cause)
      }
      guard let best else { continue }
      effects[best.cause].append(effect)
      isEffect[effect] = true
    }
    var chains: [[Finding]] = []
    for root in sorted.indices where !isEffect[root] {
      var chain: [Finding] = []
      var toVisit = [root]
      while let next = toVisit.popLast() {
        chain.append(sorted[next])
        toVisit.append(contentsOf: effects[next].reversed())
      }
      chains.append(chain)
    }
    all = chains.sorted { left, right in
      guard let a = left.min(by: Diagnosis.isWorse), let b = right.min(by: Diagnosis.isWorse) else { return false }
      return Diagnosis.isWorse(a, b)
    }
  }
}
