internal import FinBase

/// The looks of a recorder: a census each, with the findings of each.
package struct RecorderLooks {
  private var looks: RepeatedLooks
  /// The transient sockets of the look before the latest one.
  private var passingBefore: Set<UInt64>?
  private let ended = EndedSockets()

  /// Makes looks that have not begun.
  package init(_ options: Census.Options) { looks = RepeatedLooks(options) }

  /// Takes the kernel's reports of connections that ended, of which it keeps some seconds only.
  package func hear() { ended?.hear() }

  /// Takes a census, and finds what `fin check` would find. Blocks.
  package mutating func next() throws(Census.Failure) -> HistoryWriter.Look {
    let heard = ended?.take()
    let look = try looks.next()
    passingBefore = look.passingBefore
    // The two clocks of the census were read at one moment, and findings take their time.
    let suspended = Int64(SystemClock.sinceBoot.inNanoseconds) - SystemClock.monotonic
    let sinceBoot = (Int64(look.census.when.monotonic) + suspended) / 1_000_000
    var all = HistoryWriter.Look(look.census, look.outcome.findings, sinceBoot: sinceBoot)
    (all.ended, all.hasMoreEnded) = (heard?.ended ?? [], heard?.isIncomplete ?? false)
    return all
  }

  /// The whole record of the latest look. Blocks.
  package func record(of census: Census) -> CensusRecord { CensusRecord(of: census, passingBefore: passingBefore) }
}
