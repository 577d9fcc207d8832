import FinDoctor
import FinTerminal

/// The looks of `fin report --for`, one after the other, until the time is over or a signal comes.
struct ReportLooks {
  /// The result: the record of the last look, the facts that it is judged with, and what the looks saw.
  struct Result {
    var record: CensusRecord
    var facts: Diagnosis.Options
    var period: ReportPeriod
  }

  /// The time, in milliseconds.
  let time: Int64
  let options: Census.Options
  let namespace: NamespaceOption
  /// The findings that the page leaves out.
  let mutes: Mutes

  /// Looks until the time is over, or until one of the signals comes.
  func run(until signals: AwaitedSignals) throws -> Result {
    var looks = RepeatedLooks(options, waits: false)
    var period = ReportPeriod(wanted: time)
    var facts = Diagnosis.Options()
    var progress = ProgressLine()
    let interval = ReportPeriod.interval(for: time)
    let begun = AwaitedSignals.now
    var stretch = begun
    while true {
      let look = try look(&looks)
      period.isCutShort = signals.wait(until: AwaitedSignals.now) != nil
      period.take(look.census, look.outcome.findings.filter { !mutes.mutes($0) })
      let now = AwaitedSignals.now
      // One look has no rates, however long it took.
      var isOver = period.isCutShort || now >= begun + time && period.looks > 1
      // Growth is what all of four looks show: the first, two in between, and the last.
      if facts.earlier == nil {
        (facts.earlier, stretch) = (look.census.forComparison(), now)
      } else if !isOver, facts.between.count < 2, now - stretch >= time / 3 {
        facts.add(between: look.census.forComparison())
        stretch = now
      }
      if !isOver {
        // A machine that is busy with looks is not looked at but burdened.
        let took = Int64(look.lookTime / .milliseconds(1)) + Int64(look.findingsTime / .milliseconds(1))
        let pause = now + max(interval - took, took)
        let next = period.looks > 1 ? min(pause, begun + time) : pause
        period.isCutShort = wait(until: next, signals, &progress) {
          let passed = min(AwaitedSignals.now - begun, time) / 1000
          return "looking: \(passed) of \(time / 1000) s, \(Phrase.noun(period.looks, "look")), "
            + "\(Phrase.noun(look.census.sockets.count, "socket")); Ctrl-C writes the page now"
        }
        isOver = period.isCutShort
      }
      guard isOver else { continue }
      progress.replace("writing the page")
      let record = CensusRecord(of: look.census, passingBefore: look.passingBefore)
      (facts.languages, facts.passingBefore) = (record.languages, record.passingBefore)
      if period.looks == 1 { facts.earlier = nil }
      return Result(record: record, facts: facts, period: period)
    }
  }

  private func look(_ looks: inout RepeatedLooks) throws -> RepeatedLooks.Look {
    var refusal: (any Error)?
    let look: RepeatedLooks.Look
    do {
      look = try looks.next { census in
        do {
          if let places = try namespace.places(in: census) { census.keep(namespaces: places) }
        } catch {
          refusal = error
        }
      }
    } catch {
      throw ExitStatus.kernelFailure.because("\(error)")
    }
    if let refusal { throw refusal }
    return look
  }

  /// Waits until a moment, and shows how far it is.
  /// - Returns: Whether a signal came.
  private func wait(
    until moment: Int64, _ signals: AwaitedSignals, _ progress: inout ProgressLine, _ words: () -> String
  ) -> Bool {
    while true {
      progress.show(words())
      let step = progress.isWanted ? min(moment, AwaitedSignals.now + 250) : moment
      if signals.wait(until: step) != nil { return true }
      if AwaitedSignals.now >= moment { return false }
    }
  }
}
