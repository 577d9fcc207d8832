import Synchronization

/// Some threads, each of which is lent to one task at a time.
public final class TestThreads: Sendable {
  private struct State {
    var free: [TestThread]
    var waiting: [CheckedContinuation<TestThread, Never>] = []
  }

  private let state: Mutex<State>

  public init(count: Int) { state = Mutex(State(free: (0..<count).map { _ in TestThread() })) }

  /// Whoever asked first is served first. A task that was cancelled waits as well: it is not for long.
  public func withOne(_ body: (TestThread) async throws -> Void) async rethrows {
    let thread = await withCheckedContinuation { continuation in
      let free = state.withLock { state in
        if state.free.isEmpty { state.waiting.append(continuation) }
        return state.free.popLast()
      }
      if let free { continuation.resume(returning: free) }
    }
    defer {
      let next = state.withLock { state -> CheckedContinuation<TestThread, Never>? in
        if state.waiting.isEmpty {
          state.free.append(thread)
          return nil
        }
        return state.waiting.removeFirst()
      }
      next?.resume(returning: thread)
    }
    try await body(thread)
  }
}

/// A thread that runs the jobs of whoever has it, one after the other.
public final class TestThread: TaskExecutor {
  private let jobs = Monitor<[UnownedJob]>([])

  public init() {
    // It lasts as long as the process does.
    _ = onThread { while true { self.runNext() } }
  }

  private func runNext() {
    let job = jobs.wait(until: .after(.seconds(60))) { $0.isEmpty ? nil : $0.removeFirst() }
    if let job { unsafe job.runSynchronously(on: asUnownedTaskExecutor()) }
  }

  public func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    jobs.change { $0.append(job) }
  }

  public func asUnownedTaskExecutor() -> UnownedTaskExecutor { unsafe UnownedTaskExecutor(ordinary: self) }
}
