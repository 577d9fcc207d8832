import Synchronization

/// One thing that was observed, and where it was read.
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
  /// What the value had to be, and whether it was; nil for a fact that decides nothing.
  let expected: String?
  let met: Bool?
}

/// One way of doing it, tried once: what was done, and everything observed.
struct Trial: Sendable {
  enum Side: String, Codable, Sendable {
    case naive
    case fin
  }

  let side: Side
  /// The calls, as a program would have them.
  let recipe: String
  /// Whether this is the trial that stands for its side in the table; if none is, the first does.
  let isHeadline: Bool
  private(set) var facts: [Fact] = []
  /// What came out, in a few words made of the observed values.
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

  /// Whether everything that had to be observed was; a trial that had to show nothing shows nothing.
  var held: Bool {
    problem == nil && facts.contains { $0.met != nil } && facts.allSatisfy { $0.met != false }
  }

  /// How many of the facts that had to be so are so.
  var agreement: Int { facts.count { $0.met == true } }

  /// Keeps an observation that decides nothing.
  mutating func note(_ name: String, _ value: Fact.Value, from source: String) {
    facts.append(Fact(name: name, value: value, source: source, expected: nil, met: nil))
  }

  /// Keeps an observation that decides the verdict. `expected` says in words what `met` has computed.
  mutating func expect(_ name: String, _ value: Fact.Value, from source: String, _ expected: String, _ met: Bool) {
    facts.append(Fact(name: name, value: value, source: source, expected: expected, met: met))
  }

  /// Keeps an observation that must have this value.
  mutating func expect(_ name: String, _ value: Fact.Value, from source: String, equals wanted: Fact.Value) {
    expect(name, value, from: source, wanted.description, value == wanted)
  }
}

/// Where an experiment writes its trials. Each goes on to the reader as soon as it is complete, so that an
/// experiment that hangs later has not been for nothing.
final class Notebook: Sendable {
  private let side: Trial.Side
  private let world: World
  private let handOn: @Sendable (Trial) -> Void

  init(side: Trial.Side, world: World = .threads, handOn: @escaping @Sendable (Trial) -> Void) {
    self.side = side
    self.world = world
    self.handOn = handOn
  }

  /// Makes a trial. What the body throws is part of the trial, except that it cannot be made here at all.
  func trial(_ recipe: String, isHeadline: Bool = false, _ body: (inout Trial) throws -> Void) throws {
    var trial = begin(recipe, isHeadline)
    do { try body(&trial) } catch { try end(&trial, error) }
    handOn(trial)
  }

  /// The same when something in it has to be awaited.
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

/// What came of an experiment.
struct Finding: Sendable {
  enum Verdict: String, Codable, Sendable, CaseIterable {
    case kept
    case broken
    case timedOut = "timed out"
    case crashed
    case skipped

    var isFailure: Bool {
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
  /// Where Fin's half ran.
  var world = World.threads
  let verdict: Verdict
  /// Why it was skipped, crashed, timed out or is broken without a trial that says so.
  let why: String?
  let seconds: Double
  let trials: [Trial]

  var naive: [Trial] { trials.filter { $0.side == .naive } }
  var fin: [Trial] { trials.filter { $0.side == .fin } }

  /// What stands in the table.
  func headline(of side: Trial.Side) -> Trial? {
    let trials = trials.filter { $0.side == side }
    return trials.first { !$0.held && side == .fin } ?? trials.first(where: \.isHeadline) ?? trials.first
  }

  /// Whether the recipe did what the truth says; nil if it was not tried.
  var truthShown: Bool? { naive.isEmpty ? nil : naive.allSatisfy(\.held) }
}

extension Finding {
  /// How the process that made the experiment ended.
  enum Ending: Sendable {
    case finished
    case skipped(String)
    /// The experiment could not be made, though nothing it needs is missing.
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
