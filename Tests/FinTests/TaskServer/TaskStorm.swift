import Glibc
import Peers
import Synchronization
import TestTraits
import Testing

@testable import Fin

/// The storm of `Storm`, in tasks: all operations concurrently, at random, cancelled at random, and every byte
/// accounted for.
///
/// `FIN_STORM_ROUNDS` sets the number of streams (10,000), `FIN_STORM_SEED` the random seed (1). `Tests/sanitized` runs
/// it under the thread sanitizer.
@Suite("Promise 1: closed once: a storm of random operations in tasks")
struct TaskStorm {
  @Test(
    "eight tasks open, exchange, close and cancel at random: every byte arrives or is reported, and nothing is left",
    .onThreads,
    .faults(1, 2, 5, 6, 7, 8, 9, 60, 62))
  func tasks() async {
    await #expect(processExitsWith: .success) { try synchronously { try TaskStorm.blow(threads: 0, tasks: 8) } }
  }

  @Test(
    "four tasks and four threads on the same sockets, at random: every byte arrives or is reported", .onThreads,
    .faults(1, 2, 5, 6, 7, 8, 9, 60, 62))
  func mixture() async {
    await #expect(processExitsWith: .success) { try synchronously { try TaskStorm.blow(threads: 4, tasks: 4) } }
  }

  static func blow(threads: Int, tasks: Int, _ layer: StormLayer? = nil) throws {
    // In a network namespace of its own, where the machine allows one, so that the storm does not touch the machine's
    // own socket tables.
    guard Privileges.canMakeNamespaces else { return try blowHere(threads, tasks, layer) }
    try NetworkNamespace().run { try blowHere(threads, tasks, layer) }
  }

  private static func blowHere(_ threads: Int, _ tasks: Int, _ layer: StormLayer?) throws {
    let rounds = layer.rounds
    let seed = UInt64(stormNumber("FIN_STORM_SEED", 1))
    // The reactor's threads are in the network namespace of the thread that creates it, and so are the sockets opened
    // on them.
    let reactor = try Reactor(loops: 2)
    // Opens beforehand the shared reactor, where a task on no loop waits, and the watch that is kept for the next
    // close.
    _ = try Reactor.shared
    let (first, second) = try Medium.tcp.open()
    first.abort()
    second.abort()
    let before = try stormCensus()
    let ledger = Ledger()
    let sky = TaskSky(rounds: rounds, home: reactor, layer: layer)
    let crew = (0..<threads).map { index in
      onThread { try Ledger.$current.withValue(ledger) { try sky.run(seed &* 1000 &+ UInt64(index)) } }
    }
    let tasks = (0..<tasks).map { index in
      // Every fourth task is on no event loop: each of its waits takes a hop.
      Working(on: index % 4 == 3 ? globalConcurrentExecutor : reactor.executor) {
        try await Ledger.$current.withValue(ledger) { try await sky.run(seed &* 1000 &+ 100 &+ UInt64(index)) }
      }
    }
    for task in tasks { try task.join(within: .seconds(600)) }
    for thread in crew { try thread.join(within: .seconds(600)) }
    try eventually(within: .seconds(20), "descriptors", equals: before) { try stormCensus() }
    check(ledger.counts.open == 0 && ledger.counts.leaked == 0, "seed \(seed): \(ledger.counts)")
    check(sky.streams.value == rounds, "\(sky.streams.value) streams")
    check(ledger.counts.opened >= 2 * rounds, "\(ledger.counts)")
    let summary = sky.summary
    for ending in layer.endings {
      check(summary.endings[ending, default: 0] > 0, "seed \(seed): no close was \(ending): \(summary)")
    }
    check(summary.whole > rounds / 10, "seed \(seed): too few streams were read to their end: \(summary)")
    check(summary.torn > 0, "seed \(seed): no stream was cut: \(summary)")
    check(summary.cancelled > rounds / 100, "seed \(seed): hardly anything was cancelled: \(summary)")
    print(summary)
    withExtendedLifetime(reactor) {}
  }
}

/// All streams, with the remaining steps, which threads and tasks draw at random.
private final class TaskSky: Sendable {
  private struct Step {
    enum Verb { case send(number: UInt64, length: Int), receive, receiveAll, look, close(ClosePolicy) }
    let stream: TaskStream
    let side: Int
    let verb: Verb
  }

  struct Summary: Sendable {
    var endings: [String: Int] = [:]
    /// Directions that were read to EOF.
    var whole = 0
    /// Directions that lost bytes, as reported.
    var torn = 0
    var bytes = 0
    /// Operations that failed as cancelled.
    var cancelled = 0
  }

  private let rounds: Int
  /// The reactor on which streams are opened.
  private let home: Reactor
  private let layer: StormLayer?
  private let steps = Mutex<[Step]>([])
  /// Steps under way, which other tasks may cancel.
  private let victims = Mutex<[Task<Void, Never>]>([])
  private let results = Mutex(Summary())
  let streams = Tally()
  private let opened = Atomic<Int>(0)

  init(rounds: Int, home: Reactor, layer: StormLayer?) {
    self.rounds = rounds
    self.home = home
    self.layer = layer
  }

  var summary: Summary { results.withLock { $0 } }

  private enum Next { case open(UInt64), step(Step), end }

  /// Opens a stream while few steps are left; otherwise draws a step at random.
  private func next(_ random: inout SeededRandom) -> Next {
    if steps.withLock({ $0.count < 60 }) {
      let number = opened.add(1, ordering: .relaxed).oldValue
      if number < rounds { return .open(UInt64(number)) }
    }
    let step = steps.withLock { steps -> Step? in
      guard !steps.isEmpty else { return nil }
      steps.swapAt(Int(random.next() % UInt64(steps.count)), steps.count - 1)
      return steps.removeLast()
    }
    return step.map { .step($0) } ?? .end
  }

  // MARK: The steps of threads and tasks

  /// Runs one thread's share of the steps.
  func run(_ seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let listener = try Listener.bind(.loopback(port: 0))
    while true {
      switch next(&random) {
      case .end:
        listener.close()
        return
      case .step(let step):
        take(step)
        finish(step)
      case .open(let id):
        var pair: ConnectionPair
        if random.next() % 2 == 0 {
          let client = try Connection.connect(to: listener.localAddress)
          pair = ConnectionPair(first: client, second: try listener.accept(within: .seconds(20)))
        } else {
          pair = try Connection.pair()
        }
        if let layer { pair = try layer.inThread(pair) }
        plan(id, pair, &random)
      }
    }
  }

  /// Runs one task's share of the steps. Each step is a task of its own, which may be cancelled before it begins, or
  /// meanwhile by another task.
  func run(_ seed: UInt64) async throws {
    var random = SeededRandom(seed: seed)
    let isOnLoop = EventLoop.current != nil
    let listener = try await Task(executorPreference: home.executor) {
      Keeper(try Listener.bind(.loopback(port: 0)))
    }.value
    while true {
      switch next(&random) {
      case .end:
        await listener.listener.handle.core.end()
        return
      case .step(let step):
        let task = Task(executorPreference: isOnLoop ? home.executor : nil) { await self.take(step) }
        switch random.next() % 12 {
        case 0: task.cancel()
        case 1, 2, 3: victims.withLock { $0.append(task) }
        default: victims.withLock { $0.popLast() }?.cancel()
        }
        await task.value
        finish(step)
      case .open(let id):
        let seed = random.next()
        try await Task(executorPreference: home.executor) {
          var random = SeededRandom(seed: seed)
          var pair: ConnectionPair
          if random.next() % 2 == 0 {
            let client = try await Connection.connect(to: listener.listener.localAddress)
            pair = ConnectionPair(first: client, second: try await listener.listener.accept(within: .seconds(20)))
          } else {
            pair = try Connection.pair()
          }
          if let layer = self.layer { pair = try await layer.inTask(pair) }
          self.plan(id, pair, &random)
        }.value
      }
    }
  }

  private func plan(_ id: UInt64, _ opened: consuming ConnectionPair, _ random: inout SeededRandom) {
    var pair = opened
    if layer == nil, random.next() % 8 == 0 {
      // Detached and adopted again: the same descriptor with a new owner.
      guard let first = try? Connection.adopt(try pair.first.detach().descriptor) else {
        return check(false, "what was given away could not be taken back")
      }
      pair = ConnectionPair(first: first, second: pair.second)
    }
    var plan: [(Int, Step.Verb)] = []
    for number in 0..<(1 + random.next() % 5) {
      let length = random.next() % 12 == 0 ? 100_000 + random.next() % 300_000 : 24 + random.next() % 2_000
      plan.append((Int(random.next() % 2), .send(number: number, length: Int(length))))
      plan.append((Int(random.next() % 2), random.next() % 3 == 0 ? .look : .receive))
    }
    plan.append((0, .close(policy(&random))))
    plan.append((1, .close(policy(&random))))
    // Half of the streams are read to EOF before the close, as an orderly program does; the others are closed at any
    // point.
    if random.next() % 2 == 0 { plan[plan.count - 1].1 = .receiveAll }
    let stream = TaskStream(id: id, pair.first.share(), pair.second.share(), steps: plan.count, more: layer.causes)
    steps.withLock { $0 += plan.map { Step(stream: stream, side: $0.0, verb: $0.1) } }
  }

  private func policy(_ random: inout SeededRandom) -> ClosePolicy {
    let time = Duration.milliseconds([1, 5, 20, 200][Int(random.next() % 4)])
    switch random.next() % 8 {
    case 0, 1, 2: return .confirmed(within: time)
    case 3, 4: return .lingering(within: time, idle: .milliseconds(2), discarding: 1 << 20)
    case 5, 6: return .background(orphanTimeout: .seconds(5))
    default: return .abort
    }
  }

  private func message(_ step: Step, _ number: UInt64, _ length: Int) -> Message {
    Message(stream: step.stream.id &* 2 &+ UInt64(step.side), number: number, length: length)
  }

  private func take(_ step: Step) {
    let end = step.stream.ends[step.side]
    switch step.verb {
    case .send(let number, let length): end.send(message(step, number, length))
    case .receive: end.receive(toEnd: false)
    case .receiveAll:
      end.receive(toEnd: true)
      end.close(.confirmed(within: .milliseconds(200)))
    case .look: end.look()
    case .close(let policy): end.close(policy)
    }
  }

  private func take(_ step: Step) async {
    let end = step.stream.ends[step.side]
    switch step.verb {
    case .send(let number, let length): await end.send(message(step, number, length))
    case .receive: await end.receive(toEnd: false)
    case .receiveAll:
      await end.receive(toEnd: true)
      await end.close(.confirmed(within: .milliseconds(200)))
    case .look: await end.look()
    case .close(let policy): await end.close(policy)
    }
  }

  /// Checks every byte of a stream when its last step has closed both ends.
  private func finish(_ step: Step) {
    let stream = step.stream
    guard stream.isOver() else { return }
    streams.add()
    for side in 0..<2 {
      let (from, to) = (stream.ends[side], stream.ends[1 - side])
      guard let report = from.report, to.report != nil else {
        return check(false, "stream \(stream.id): an end was never closed")
      }
      let verdict = StormVerdict(sent: from.sent, received: to.received.bytes, stream: stream.id &* 2 &+ UInt64(side))
      check(verdict.complaint == nil, "stream \(stream.id), from \(side): \(verdict.complaint ?? "")")
      let isWhole = verdict.received == verdict.accepted
      if to.received.sawEnd { check(isWhole, "stream \(stream.id): an end of file after \(verdict)") }
      if report.isDelivered, to.received.sawEnd || to.received.sawReset {
        check(isWhole, "stream \(stream.id): said to be delivered (\(report)), but \(verdict)")
      }
      results.withLock { results in
        let name = if case .timedOut = report.ending { "timed out" } else { "\(report.ending)" }
        results.endings[name, default: 0] += 1
        results.bytes += verdict.received
        results.cancelled += from.cancelled.value
        if to.received.sawEnd { results.whole += 1 }
        if !isWhole { results.torn += 1 }
      }
    }
  }
}
