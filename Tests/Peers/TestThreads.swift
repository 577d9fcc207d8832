/// A fixed set of threads, each of which serves one `TestThread` at a time, from its first job to its end.
public final class TestThreads: Sendable {
  private let waiting = Monitor<[TestThread]>([])

  public init(count: Int) {
    // The threads live as long as the process.
    for _ in 0..<count { _ = onThread { while true { self.serveNext() } } }
  }

  /// An executor that requests a thread with its first job. Requests are served in order.
  public func one() -> TestThread { TestThread { thread in self.waiting.change { $0.append(thread) } } }

  private func serveNext() {
    waiting.wait(until: .after(.seconds(60))) { $0.isEmpty ? nil : $0.removeFirst() }?.serve()
  }
}

/// An executor that runs the jobs of one task in order on one thread.
///
/// A task needs no other executor to get, keep or return the thread. On Swift's pool, which has one thread per
/// processor, it would queue behind every test that has begun there.
public final class TestThread: TaskExecutor {
  private struct State {
    var jobs: [UnownedJob] = []
    var isServed = false
    var hasEnded = false
  }

  private let state = Monitor(State())
  private let ask: @Sendable (TestThread) -> Void

  fileprivate init(_ ask: @escaping @Sendable (TestThread) -> Void) { self.ask = ask }

  /// Returns the thread once it has run the jobs that are queued now.
  public func end() { state.change { $0.hasEnded = true } }

  public func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    let asks = state.change { state in
      state.jobs.append(job)
      defer { state.isServed = true }
      return !state.isServed
    }
    if asks { ask(self) }
  }

  public func asUnownedTaskExecutor() -> UnownedTaskExecutor { unsafe UnownedTaskExecutor(ordinary: self) }

  fileprivate func serve() {
    while let job = next() { unsafe job.runSynchronously(on: asUnownedTaskExecutor()) }
  }

  /// Waits for the next job; `nil` after `end`, when no job is left.
  private func next() -> UnownedJob? {
    while true {
      let found = state.wait(until: .after(.seconds(60))) { state -> Optional<UnownedJob>? in
        if !state.jobs.isEmpty { return .some(state.jobs.removeFirst()) }
        guard state.hasEnded else { return nil }
        state.isServed = false
        return .some(nil)
      }
      if let found { return found }
    }
  }
}
