import Dispatch
import Glibc
import Peers
import Synchronization

@testable import Fin

/// An executor that runs each job before `enqueue` returns, in the thread that enqueues it.
final class InlineExecutor: TaskExecutor {
  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    unsafe job.runSynchronously(on: asUnownedTaskExecutor())
  }
}

/// An executor that runs its jobs on a queue of libdispatch.
final class QueueExecutor: TaskExecutor {
  private let queue = DispatchQueue(label: "fin tests")

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    queue.async { unsafe job.runSynchronously(on: self.asUnownedTaskExecutor()) }
  }
}

/// An executor that takes a lock for each job. Tests hold the same lock while they call Fin.
final class LockingExecutor: TaskExecutor {
  private let lock = Mutex(())
  private let queue = DispatchQueue(label: "fin tests, behind a lock")
  private let waiting = Atomic<Int>(0)

  /// Whether jobs wait for the lock.
  var isAwaited: Bool { waiting.load(ordering: .sequentiallyConsistent) > 0 }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    waiting.wrappingAdd(1, ordering: .sequentiallyConsistent)
    lock.withLock { _ in }
    waiting.wrappingSubtract(1, ordering: .sequentiallyConsistent)
    queue.async { unsafe job.runSynchronously(on: self.asUnownedTaskExecutor()) }
  }

  /// Runs `body` with the lock held, as a program that calls Fin inside a critical section of its own.
  func withLock<R: Sendable>(_ body: () throws -> R) rethrows -> R { try lock.withLock { _ in try body() } }
}

/// The kinds of executor that a program may bring, none of which is an event loop.
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
