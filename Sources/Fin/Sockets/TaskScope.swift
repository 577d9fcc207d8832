internal import CFin
internal import Synchronization

/// The task that a connection is in the hands of, as `serve` and `withConnection` give it: they hear of its cancellation for as
/// long as it lasts, so that not each wait has to arrange for that. Other tasks, its children among them, hear for themselves.
/// A socket has one in its life, or none.
struct TaskScope: ~Copyable, Sendable {
  /// The task's identity, 0 for none, and in the lowest bit, which an address leaves free, whether it was cancelled.
  private let word = Atomic<UInt>(0)
  private static let cancelled: UInt = 1

  // Only the task itself finds its own identity here, and it wrote it: no other thread's order matters.
  var isCurrentTask: Bool {
    let task = word.load(ordering: .relaxed) & ~TaskScope.cancelled
    return task != 0 && task == TaskScope.current
  }

  /// The calling task is it, from now on.
  func enter() { word.bitwiseOr(TaskScope.current, ordering: .relaxed) }

  /// Nobody is.
  func leave() { word.bitwiseAnd(TaskScope.cancelled, ordering: .relaxed) }

  // Who cancels writes here and then looks for the place; the task offers the place, or finds it, and then looks here. At least
  // one of them has to see what the other wrote. Acquiring and releasing do not give that: a processor may do a load before a
  // store that stands in front of it is seen by others, and then the one wakes nobody and the other waits. Only a
  // single order of all four, here and in ``Place``, does. That the runtime marks the task before it calls whoever hears is
  // no help: the mark's own order is not ours to choose.

  /// Its task was cancelled: whoever waits at `place` looks again, and so does whoever would wait there from now on.
  func cancel(wakingAt place: borrowing Place) {
    word.bitwiseOr(TaskScope.cancelled, ordering: .sequentiallyConsistent)
    place.load()?.wake()
  }

  /// Whether its task was cancelled, for that task, when it has the place.
  var isCancelled: Bool { word.load(ordering: .sequentiallyConsistent) & TaskScope.cancelled != 0 }

  private static var current: UInt { unsafe UInt(bitPattern: swift_task_getCurrent()) }
}

extension Core {
  /// Runs `body`, in whose hands this connection is. When the calling task is cancelled, what it waits for here ends.
  nonisolated(nonsending) func inScope<R>(_ body: () async throws -> R) async throws -> R {
    scope.enter()
    defer { scope.leave() }
    return try await withTaskCancellationHandler {
      try await body()
    } onCancel: {
      scope.cancel(wakingAt: place)
    }
  }
}
