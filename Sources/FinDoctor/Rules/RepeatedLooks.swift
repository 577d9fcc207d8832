internal import FinBase

/// Looks at the machine, one census after the other, and judges each as `fin check` does: the same findings with the
/// same thresholds. From the second look on, it also finds growth and events since an earlier one.
package struct RepeatedLooks: Sendable {
  /// A census with its findings.
  package struct Look: Sendable {
    package var census: Census
    package var outcome: Diagnosis.Outcome
    /// The sockets that were in a transient state in the look before.
    package var passingBefore: Set<UInt64>?
    /// The time that the census took.
    package var lookTime: Duration
    /// The time that the findings took.
    package var findingsTime: Duration
  }

  private let options: Census.Options
  private let waits: Bool
  private var passing: Set<UInt64>?
  private var earlier: Census?

  /// Makes looks that have not begun.
  /// - Parameters:
  ///   - options: The data to read.
  ///   - waits: Whether the first look takes a second census if sockets are in a state that passes, as `fin check`
  ///     does. Without it, the first look has no finding about such sockets, and the second one may have.
  package init(_ options: Census.Options, waits: Bool = true) {
    self.options = options
    self.waits = waits
  }

  /// The time between two censuses that are compared, at least: two looks may come a second after each other.
  private static let interval: UInt64 = 10 * 1_000_000_000

  /// Takes a census and judges it. Blocks.
  /// - Parameter select: Removes what the caller does not want to look at.
  package mutating func next(_ select: (inout Census) -> Void = { _ in }) throws(Census.Failure) -> Look {
    let clock = ContinuousClock()
    let begun = clock.now
    var census = try Census.takeOfOthers(options)
    select(&census)
    var facts = Diagnosis.Options()
    if passing == nil {
      // As `fin check` does: a socket that is being closed at the moment of the census is not there in the next.
      let first = Diagnosis.passing(in: census)
      if !first.isEmpty, waits {
        SystemClock.pause(.milliseconds(250))
        census = try Census.takeOfOthers(options)
        select(&census)
      }
      passing = waits ? first : []
    }
    let looked = clock.now
    facts.passingBefore = passing
    facts.earlier = earlier
    let passingNow = Diagnosis.passing(in: census)
    Diagnosis.prepare(&census, &facts)
    let outcome = Diagnosis.examine(census, facts)
    passing = passingNow
    if earlier.map({ census.when.monotonic >= $0.when.monotonic + Self.interval }) ?? true {
      earlier = census.forComparison()
    }
    return Look(
      census: census, outcome: outcome, passingBefore: facts.passingBefore, lookTime: looked - begun,
      findingsTime: clock.now - looked)
  }
}

extension Census {
  /// The part of a census that a later one is compared with: listeners, leaked connections, datagram sockets, and the
  /// numbers of descriptors. It is a small part of a hundred thousand sockets.
  package func forComparison() -> Census {
    var rest = self
    rest.unixSockets = []
    rest.unixNames = []
    rest.unixWaiting = []
    rest.watchers = [:]
    rest.ledgers = [:]
    // The subflows of an MPTCP connection are needed to tell its age.
    if !sockets.contains(where: { $0.transport == .mptcp }) {
      rest.sockets = ContiguousArray(
        sockets.lazy.filter { $0.state == .closeWait || $0.state == .listen || $0.transport == .udp })
    }
    var inodes = Set(rest.sockets.lazy.map(\.inode))
    inodes.formUnion(detached.lazy.map(\.inode))
    rest.holders = Holders(
      sockets: holders.entries.filter { inodes.contains($0.inode) }, processes: holders.processes)
    return rest
  }
}
