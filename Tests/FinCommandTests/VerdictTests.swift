import FinBase
import Synchronization
import TestTraits
import Testing

@testable import FinLab

@Suite("A verdict of fin lab is computed from the observed facts", .onThreads)
struct VerdictTests {
  private let experiment = Experiment(id: "x", articles: [.a], claim: "", truth: "", naive: { _ in }, fin: { _, _ in })

  private func trial(_ side: Trial.Side, expecting wanted: Int?) -> Trial {
    var trial = Trial(side: side, recipe: "")
    if let wanted {
      trial.expect("bytes", .bytes(5), from: "recv", equals: .bytes(wanted))
    } else {
      trial.note("bytes", .bytes(5), from: "recv")
    }
    return trial
  }

  private func verdict(_ trials: [Trial], _ ending: Finding.Ending = .finished) -> Finding.Verdict {
    Finding(of: experiment, trials: trials, ending: ending, seconds: 0).verdict
  }

  @Test("every value as expected: kept")
  func kept() { #expect(verdict([trial(.fin, expecting: 5)]) == .kept) }

  @Test("one unexpected value of Fin: broken")
  func broken() { #expect(verdict([trial(.fin, expecting: 5), trial(.fin, expecting: 6)]) == .broken) }

  @Test("a trial without an expectation: broken")
  func empty() { #expect(verdict([trial(.fin, expecting: nil)]) == .broken) }

  @Test("no trial of Fin: broken")
  func missing() { #expect(verdict([trial(.naive, expecting: 5)]) == .broken) }

  @Test("an unexpected result of the usual recipe is reported, and is no failure of Fin")
  func truth() {
    let trials = [trial(.naive, expecting: 6), trial(.fin, expecting: 5)]
    let finding = Finding(of: experiment, trials: trials, ending: .finished, seconds: 0)
    #expect(finding.truthShown == false)
    #expect(finding.verdict == .kept)
  }

  @Test("an error during a trial: broken, whatever was observed before")
  func problem() throws {
    let told = Told()
    try Notebook(side: .fin, handOn: told.append).trial("throws") { trial in
      trial.expect("bytes", .bytes(5), from: "recv", equals: .bytes(5))
      throw SetupError("connect: ECONNREFUSED")
    }
    #expect(verdict(told.trials) == .broken)
  }

  private final class Told: Sendable {
    private let list = Mutex<[Trial]>([])
    var trials: [Trial] { list.withLock { $0 } }
    @Sendable func append(_ trial: Trial) { list.withLock { $0.append(trial) } }
  }

  @Test("verdicts of skipped, failed, timed out and crashed experiments")
  func endings() {
    let good = trial(.fin, expecting: 5)
    #expect(verdict([], .skipped("needs root")) == .skipped)
    #expect(verdict([trial(.fin, expecting: 6)], .skipped("needs root")) == .broken)
    #expect(verdict([good], .failed("bind: EADDRINUSE")) == .broken)
    #expect(verdict([good], .timedOut(.seconds(1))) == .timedOut)
    #expect(verdict([good], .crashed("signal 5")) == .crashed)
    #expect(Finding.Verdict.allCases.filter(\.isFailure) == [.broken, .timedOut, .crashed])
  }

  @Test(
    "numbers are grouped by thousands",
    arguments: [(0, "0"), (999, "999"), (4_000_045, "4,000,045"), (-1234, "-1,234")])
  func grouped(number: Int, text: String) { #expect(number.grouped == text) }

  @Test(
    "durations are rounded to the digits that matter",
    arguments: [(0, "0 ms"), (0.0042, "4.2 ms"), (0.31, "0.31 s"), (12.34, "12.3 s"), (108.2, "108 s")])
  func time(seconds: Double, text: String) { #expect(seconds.time == text) }

  @Test("an id with one wrong letter suggests the right one")
  func nearest() {
    for experiment in Catalogue.all {
      #expect(Catalogue.nearest(to: "x" + experiment.id.dropFirst()).contains(experiment.id))
    }
  }
}
