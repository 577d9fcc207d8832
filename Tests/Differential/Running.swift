import Dispatch
import Peers
import Synchronization

/// A step that runs in a thread or task, and its answer.
final class Running: Sendable {
  private struct State {
    var answer: Answer?
    var elapsed = Duration.zero
    var thread: CInt = 0
    var task: Task<Void, Never>?
    var executor: (any TaskExecutor)?
  }

  private let state = Mutex(State())
  private let finished = DispatchSemaphore(value: 0)
  private let began = ContinuousClock.now

  func thread(_ body: @escaping @Sendable () -> Answer) {
    let known = DispatchSemaphore(value: 0)
    _ = onThread {
      self.state.withLock { $0.thread = Kernel.thread() }
      known.signal()
      self.end(with: body())
    }
    known.wait()
  }

  func task(on executor: any TaskExecutor, _ body: @escaping @Sendable () async -> Answer) {
    let task = Task(executorPreference: executor) { self.end(with: await body()) }
    state.withLock {
      $0.task = task
      $0.executor = executor
    }
  }

  private func end(with answer: Answer) {
    let elapsed = ContinuousClock.now - began
    state.withLock {
      $0.answer = answer
      $0.elapsed = elapsed
    }
    finished.signal()
  }

  var answer: Answer? { state.withLock { $0.answer } }
  var elapsed: Duration { state.withLock { $0.elapsed } }

  func cancel() { state.withLock { $0.task }?.cancel() }

  /// Waits for the step to end.
  ///
  /// - Returns: Whether it ended within `limit`.
  func wait(within limit: Duration) -> Bool {
    if answer != nil { return true }
    let (seconds, attoseconds) = limit.components
    let nanoseconds = Int(seconds) * 1_000_000_000 + Int(attoseconds / 1_000_000_000)
    guard finished.wait(timeout: .now() + .nanoseconds(nanoseconds)) == .success else { return false }
    finished.signal()
    return true
  }

  /// Waits until the step waits, as far as that is visible from outside, so that the next step comes after it.
  func settle() {
    let (thread, executor) = state.withLock { ($0.thread, $0.executor) }
    if let executor {
      // A job that is enqueued behind the task runs once the task has suspended.
      for _ in 0..<3 where answer == nil {
        let passed = DispatchSemaphore(value: 0)
        Task(executorPreference: executor) { passed.signal() }
        passed.wait()
      }
      return
    }
    try? eventually(within: .seconds(10), "the thread sleeps") { self.answer != nil || Kernel.sleeps(thread) }
  }
}
