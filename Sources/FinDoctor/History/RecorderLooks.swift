internal import FinBase

/// The looks of a recorder: one census after the other, with the findings of each.
package struct RecorderLooks: Sendable {
  private var looks: RepeatedLooks
  /// The transient sockets of the look before the latest one.
  private var passingBefore: Set<UInt64>?

  /// Makes looks that have not begun.
  package init(_ options: Census.Options) { looks = RepeatedLooks(options) }

  /// Takes a census, and finds what `fin check` would find. Blocks.
  package mutating func next() throws(Census.Failure) -> HistoryWriter.Look {
    let look = try looks.next()
    passingBefore = look.passingBefore
    // The two clocks of the census were read at one moment, and findings take their time.
    let suspended = Int64(SystemClock.sinceBoot.inNanoseconds) - SystemClock.monotonic
    let sinceBoot = (Int64(look.census.when.monotonic) + suspended) / 1_000_000
    return HistoryWriter.Look(look.census, look.outcome.findings, sinceBoot: sinceBoot)
  }

  /// The whole record of the latest look. Blocks.
  package func record(of census: Census) -> CensusRecord { CensusRecord(of: census, passingBefore: passingBefore) }
}
