import Dispatch
import Glibc
import Peers
import Synchronization

@testable import Fin

/// Runs each job before `enqueue` returns, in the thread of the one who brings it.
final class InlineExecutor: TaskExecutor {
  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    unsafe job.runSynchronously(on: asUnownedTaskExecutor())
  }
}

/// Runs its jobs on a queue of libdispatch.
final class QueueExecutor: TaskExecutor {
  private let queue = DispatchQueue(label: "fin tests")

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    queue.async { unsafe job.runSynchronously(on: self.asUnownedTaskExecutor()) }
  }
}

/// Takes a lock for each job, which others hold while they call Fin.
final class LockingExecutor: TaskExecutor {
  private let lock = Mutex(())
  private let queue = DispatchQueue(label: "fin tests, behind a lock")
  private let waiting = Atomic<Int>(0)

  /// How many jobs wait for the lock.
  var isAwaited: Bool { waiting.load(ordering: .sequentiallyConsistent) > 0 }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    waiting.wrappingAdd(1, ordering: .sequentiallyConsistent)
    lock.withLock { _ in }
    waiting.wrappingSubtract(1, ordering: .sequentiallyConsistent)
    queue.async { unsafe job.runSynchronously(on: self.asUnownedTaskExecutor()) }
  }

  /// Runs `body` with the lock held, as a program does that calls Fin in a critical section of its own.
  func withLock<R: Sendable>(_ body: () throws -> R) rethrows -> R { try lock.withLock { _ in try body() } }
}

/// The executors that a program may bring, and that no loop is.
enum Foreign: String, CaseIterable, Sendable {
  case inline, queue, locking

  func make() -> any TaskExecutor {
    switch self {
    case .inline: InlineExecutor()
    case .queue: QueueExecutor()
    case .locking: LockingExecutor()
    }
  }
}
