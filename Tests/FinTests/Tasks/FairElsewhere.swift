import CFin
import Peers
import Synchronization
import TestTraits
import Testing

@testable import Fin

/// Fairness counted in operations of the task that never waits, on one thread: independent of the machine's load.
@Suite("Promise 5: no task keeps an executor to itself, on any thread", .onThreads)
struct FairElsewhere {
  /// Receives, byte by byte, data that has all arrived, and enqueues another job from time to time. Returns the largest
  /// number of operations that any of these jobs had to wait for.
  private static func worst(
    of count: Int = 4000, enqueueing enqueue: (@escaping @Sendable () -> Void) -> Void,
    _ isolation: isolated (any Actor)? = #isolation
  ) async throws -> Int {
    let pair = try Connection.pair()
    try await pair.second.send([UInt8](repeating: 10, count: count))
    let counts = Counts()
    for number in 1...count {
      if number % 500 == 1 {
        let began = counts.operations
        enqueue { counts.hear(since: began) }
      }
      guard try await pair.first.receiveLine() != nil else { break }
      counts.step()
    }
    pair.first.abort()
    pair.second.abort()
    precondition(counts.operations == count && counts.heard >= count / 500 - 1, "\(counts.operations), \(counts.heard)")
    return counts.worst
  }

  @MainActor private static func onMain() async throws -> Int {
    try await worst { body in Task { @MainActor in body() } }
  }

  private actor Own {
    private let executor: OwnSerialThread
    init(_ executor: OwnSerialThread) { self.executor = executor }
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe executor.asUnownedSerialExecutor() }
    func worst() async throws -> Int {
      try await FairElsewhere.worst { body in Task { self.run(body) } }
    }
    private func run(_ body: @Sendable () -> Void) { body() }
  }

  @Test("on the main actor, a job runs within 64 operations of another that never waits")
  func main() async {
    await #expect(processExitsWith: .success) {
      let worst = try await FairElsewhere.onMain()
      precondition(worst <= EventLoop.operationsAJob, "\(worst) operations")
    }
  }

  @Test("on an actor with an executor of its own, a job runs within 64 operations of another that never waits")
  func actor() throws {
    let actor = Own(OwnSerialThread())
    let worst = try inTask(on: .elsewhere) { try await actor.worst() }
    #expect(worst <= EventLoop.operationsAJob)
  }

  @Test("on a task executor of one thread, a job runs within 64 operations of another that never waits")
  func taskExecutor() throws {
    let executor = OwnThread()
    let worst = try errand(on: executor) {
      try await FairElsewhere.worst { body in Task(executorPreference: executor) { body() } }
    }.join(within: .seconds(30))
    #expect(worst <= EventLoop.operationsAJob)
  }

  @Test("a task that waits begins a new share of operations, and does not yield in addition")
  func waits() throws {
    let operations = try errand(on: OwnThread()) { () async throws -> Int in
      let pair = try Connection.pair()
      for _ in 0..<40 { try await pair.first.send([1]) }
      do { _ = try await pair.first.receive(upTo: 1, within: .milliseconds(1)) } catch {}
      // This call counts as an operation itself.
      let operations = fin_count_operation()
      pair.first.abort()
      pair.second.abort()
      return Int(operations)
    }.join(within: .seconds(30))
    #expect(operations == 1)
  }
}

/// The number of operations of the task that never waits, and the longest wait of the other jobs.
private final class Counts: Sendable {
  private let state = Mutex((operations: 0, worst: 0, heard: 0))
  var operations: Int { state.withLock { $0.operations } }
  var worst: Int { state.withLock { $0.worst } }
  var heard: Int { state.withLock { $0.heard } }
  func step() { state.withLock { $0.operations += 1 } }
  func hear(since began: Int) {
    state.withLock { state in
      state.worst = max(state.worst, state.operations - began)
      state.heard += 1
    }
  }
}
