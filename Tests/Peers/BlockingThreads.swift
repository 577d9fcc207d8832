import Glibc

/// Threads for tests that block: their jobs wait there for each other, and hold up nobody else's.
///
/// A synchronous test keeps the thread it runs on until it is over. On the global pool, which has one for each core, tests
/// that wait for other processes would hold every asynchronous test up, and its deadlines with it.
public final class BlockingThreads: TaskExecutor {
  private let jobs = Monitor<[UnownedJob]>([])

  /// - Parameter count: How many tests run at the same time.
  public init(count: Int) {
    for _ in 0..<count {
      // They last as long as the process does.
      _ = onThread { while true { self.runNext() } }
    }
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
