internal import FinBase
import Synchronization

/// One observation, and its source.
struct Fact: Sendable {
  enum Value: Hashable, Sendable {
    case bytes(Int)
    case count(Int)
    case seconds(Double)
    case text(String)
    case flag(Bool)
  }

  let name: String
  let value: Value
  /// The call, option or file that gave it: "recv", "SIOCOUTQ", "TCP_INFO", "/proc/net/tcp", "CloseReport".
  let source: String
  /// The value that was expected, in words; nil for a fact that decides nothing.
  let expected: String?
  /// Whether the value was as expected; nil for a fact that decides nothing.
  let met: Bool?
}

/// One attempt at one recipe: the calls that were made, and everything observed.
struct Trial: Sendable {
  enum Side: String, Codable, Sendable {
    case naive
    case fin
  }

  let side: Side
  /// The calls, as a program would make them.
  let recipe: String
  /// Whether this trial stands for its side in the table. If none does, the first one is taken.
  let isHeadline: Bool
  private(set) var facts: [Fact] = []
  /// The result, in a few words made of the observed values.
  var outcome = ""
  /// The error that ended the trial early.
  var problem: String?

  init(
    side: Side, recipe: String, isHeadline: Bool = false, facts: [Fact] = [], outcome: String = "",
    problem: String? = nil
  ) {
    self.side = side
    self.recipe = recipe
    self.isHeadline = isHeadline
    self.facts = facts
    self.outcome = outcome
    self.problem = problem
  }

  /// Whether every expectation was met. A trial without expectations does not hold, because it shows nothing.
  var held: Bool {
    problem == nil && facts.contains { $0.met != nil } && facts.allSatisfy { $0.met != false }
  }

  /// The number of expectations that were met.
  var agreement: Int { facts.count { $0.met == true } }

  /// Records an observation that decides nothing.
  mutating func note(_ name: String, _ value: Fact.Value, from source: String) {
    facts.append(Fact(name: name, value: value, source: source, expected: nil, met: nil))
  }

  /// Records an observation that decides the verdict. `expected` says in words what `met` has computed.
  mutating func expect(_ name: String, _ value: Fact.Value, from source: String, _ expected: String, _ met: Bool) {
    facts.append(Fact(name: name, value: value, source: source, expected: expected, met: met))
  }

  /// Records an observation that must have this value.
  mutating func expect(_ name: String, _ value: Fact.Value, from source: String, equals wanted: Fact.Value) {
    expect(name, value, from: source, wanted.description, value == wanted)
  }
}

/// The recorder of an experiment's trials. Each trial is handed on as soon as it is complete, so that the trials of
/// an experiment that hangs later are not lost.
final class Notebook: Sendable {
  private let side: Trial.Side
  private let world: World
  private let handOn: @Sendable (Trial) -> Void

  init(side: Trial.Side, world: World = .threads, handOn: @escaping @Sendable (Trial) -> Void) {
    self.side = side
    self.world = world
    self.handOn = handOn
  }

  /// Runs a trial. An error that the body throws is recorded in the trial, except a `Skip`, which ends the experiment.
  func trial(_ recipe: String, isHeadline: Bool = false, _ body: (inout Trial) throws -> Void) throws {
    var trial = begin(recipe, isHeadline)
    do { try body(&trial) } catch { try end(&trial, error) }
    handOn(trial)
  }

  /// Runs a trial whose body is async.
  func trial(_ recipe: String, isHeadline: Bool = false, _ body: (inout Trial) async throws -> Void) async throws {
    var trial = begin(recipe, isHeadline)
    do { try await body(&trial) } catch { try end(&trial, error) }
    handOn(trial)
  }

  private func begin(_ recipe: String, _ isHeadline: Bool) -> Trial {
    Trial(side: side, recipe: world == .tasks ? "in a task: \(recipe)" : recipe, isHeadline: isHeadline)
  }

  private func end(_ trial: inout Trial, _ error: any Error) throws {
    if error is Skip { throw error }
    trial.problem = "\(error)"
  }
}

/// The result of an experiment.
package struct Finding: Sendable {
  package enum Verdict: String, Codable, Sendable, CaseIterable {
    case kept
    case broken
    case timedOut = "timed out"
    case crashed
    case skipped

    package var isFailure: Bool {
      switch self {
      case .kept, .skipped: false
      case .broken, .timedOut, .crashed: true
      }
    }
  }

  let id: String
  let articles: [Experiment.Article]
  let claim: String
  let truth: String
  /// The world in which Fin's half ran.
  var world = World.threads
  package let verdict: Verdict
  /// The reason for the verdict skipped, crashed or timed out, or broken if no trial shows it.
  let why: String?
  let seconds: Double
  let trials: [Trial]

  var naive: [Trial] { trials.filter { $0.side == .naive } }
  var fin: [Trial] { trials.filter { $0.side == .fin } }

  /// The trial that stands for a side in the table.
  func headline(of side: Trial.Side) -> Trial? {
    let trials = trials.filter { $0.side == side }
    return trials.first { !$0.held && side == .fin } ?? trials.first(where: \.isHeadline) ?? trials.first
  }

  /// Whether the recipe did what the truth says; nil if it was not tried.
  var truthShown: Bool? { naive.isEmpty ? nil : naive.allSatisfy(\.held) }
}

extension Finding {
  /// The way in which the experiment's process ended.
  enum Ending: Sendable {
    case finished
    case skipped(String)
    /// The experiment could not be done, though nothing that it needs is missing.
    case failed(String)
    case timedOut(Duration)
    case crashed(String)
  }

  /// The verdict is computed here and nowhere else.
  init(
    of experiment: Experiment, in world: World = .threads, trials: [Trial], ending: Ending, seconds: Double
  ) {
    let fin = trials.filter { $0.side == .fin }
    let (verdict, why): (Verdict, String?) =
      switch ending {
      case .timedOut(let limit): (.timedOut, "not finished after \(limit.inSeconds.time); killed")
      case .crashed(let how): (.crashed, how)
      case .skipped(let reason) where fin.allSatisfy(\.held): (.skipped, reason)
      case .skipped(let reason): (.broken, reason)
      case .failed(let how): (.broken, how)
      case .finished where fin.isEmpty: (.broken, "Fin was not tried")
      case .finished: (fin.allSatisfy(\.held) ? .kept : .broken, nil)
      }
    self.init(
      id: experiment.id, articles: experiment.articles, claim: experiment.claim, truth: experiment.truth,
      world: experiment.world(world), verdict: verdict, why: why, seconds: seconds, trials: trials)
  }
}

extension Fact.Value: CustomStringConvertible {
  var description: String {
    switch self {
    case .bytes(let count): "\(count.grouped) byte\(count == 1 ? "" : "s")"
    case .count(let count): count.grouped
    case .seconds(let seconds): "\(seconds.time)"
    case .text(let text): text
    case .flag(let flag): flag ? "yes" : "no"
    }
  }
}
