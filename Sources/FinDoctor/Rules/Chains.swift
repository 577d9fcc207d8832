/// Orders findings that explain each other into chains, cause first.
struct Chains {
  /// The chains, the worst first.
  let all: [[Finding]]

  init(_ findings: [Finding]) {
    let sorted = findings.sorted(by: Diagnosis.isWorse)
    // Each effect gets one cause, so that no finding is printed twice: the most direct one, which has the lowest rank.
    var effects: [[Int]] = Array(repeating: [], count: sorted.count)
    var isEffect = Array(repeating: false, count: sorted.count)
    for effect in sorted.indices {
      var best: (rank: Int, cause: Int)?
      for cause in sorted.indices where cause != effect {
        guard let rank = Self.rank(sorted[cause], sorted[effect]), rank < best?.rank ?? .max else { continue }
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

  /// Returns how directly one finding explains another (lower is more direct), or nil when it does not. A cause is
  /// always of an earlier stage than its effect, so there are no cycles.
  private static func rank(_ cause: Finding, _ effect: Finding) -> Int? {
    guard stage(cause.id) < stage(effect.id) else { return nil }
    let isSameProcess = cause.who?.pid != nil && cause.who?.pid == effect.who?.pid
    switch (cause.id, effect.id) {
    case (.closeWaitKnown, .descriptorLimit), (.closeWaitUnseen, .descriptorLimit), (.detached, .descriptorLimit):
      // A leak of three does not explain ten thousand open files.
      guard isSameProcess, cause.count * 10 >= effect.count else { return nil }
      return 1_000_000 - min(cause.count, 999_999)
    case (.unread, .closeWaitUnseen):
      return isSameProcess && !cause.links.remotes.isDisjoint(with: effect.links.remotes) ? 1 : nil
    case (.descriptorLimit, .acceptWithoutDescriptors): return isSameProcess ? 1 : nil
    case (.acceptWithoutDescriptors, .acceptStalled), (.acceptWithoutDescriptors, .acceptOverflow),
      (.acceptStalled, .acceptOverflow):
      return cause.links.listeners.isDisjoint(with: effect.links.listeners) ? nil : 10 - stage(cause.id)
    case (.acceptOverflow, .connectStuck), (.acceptStalled, .connectStuck), (.acceptWithoutDescriptors, .connectStuck):
      return reaches(cause.links.listeners, effect.links.remotes) ? 10 - stage(cause.id) : nil
    case (.unread, .peerZeroWindow), (.closeWaitUnseen, .peerZeroWindow):
      return cause.links.locals.isDisjoint(with: effect.links.remotes)
        || cause.links.remotes.isDisjoint(with: effect.links.locals) ? nil : 1
    case (.unread, .orphans):
      return cause.links.locals.isDisjoint(with: effect.links.remotes)
        || cause.links.remotes.isDisjoint(with: effect.links.locals) ? nil : 2
    case (.bindBeforeConnect, .portsExhausted): return isSameProcess ? 1 : nil
    default: return nil
    }
  }

  private static func stage(_ id: FindingID) -> Int {
    switch id {
    case .unread, .bindBeforeConnect: 0
    case .closeWaitKnown, .closeWaitUnseen, .detached: 1
    case .descriptorLimit: 2
    case .acceptWithoutDescriptors: 3
    case .acceptStalled: 4
    case .acceptOverflow: 5
    default: 6
    }
  }

  /// Whether attempts to connect to one of these addresses arrive at one of the listeners.
  private static func reaches(_ listeners: Set<Finding.Endpoint>, _ remotes: Set<Finding.Endpoint>) -> Bool {
    remotes.contains { remote in
      listeners.contains {
        $0.port == remote.port && ($0.address == remote.address || $0.address == AddressBits())
      }
    }
  }
}
