/// Some threads, each of which serves one `TestThread` at a time, from its first job to its end.
public final class TestThreads: Sendable {
  private let waiting = Monitor<[TestThread]>([])

  public init(count: Int) {
    // They last as long as the process does.
    for _ in 0..<count { _ = onThread { while true { self.serveNext() } } }
  }

  /// An executor that gets a thread with its first job; the first that asks is the first that is served.
  public func one() -> TestThread { TestThread { thread in self.waiting.change { $0.append(thread) } } }

  private func serveNext() {
    waiting.wait(until: .after(.seconds(60))) { $0.isEmpty ? nil : $0.removeFirst() }?.serve()
  }
}

/// A thread that runs the jobs of one task, one after the other.
///
/// To get it, to keep it and to give it back a task needs no other executor: on Swift's pool, with its thread a processor, it
/// would stand behind every test that has begun there.
public final class TestThread: TaskExecutor {
  private struct State {
    var jobs: [UnownedJob] = []
    var isServed = false
    var hasEnded = false
  }

  private let state = Monitor(State())
  private let ask: @Sendable (TestThread) -> Void

  fileprivate init(_ ask: @escaping @Sendable (TestThread) -> Void) { self.ask = ask }

  /// Gives the thread back when it has run the jobs that it has now.
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

  /// The next job, for which it waits; `nil` when it is over.
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
