internal import CFin
internal import Synchronization

/// The task that a connection is in the hands of, as `serve` and `withConnection` give it: they hear of its cancellation for as
/// long as it lasts, so that not each wait has to arrange for that. Other tasks, its children among them, hear for themselves.
struct TaskScope: ~Copyable, Sendable {
  /// The task's identity; 0 for none.
  private let task = Atomic<UInt>(0)

  var isCurrentTask: Bool {
    let task = task.load(ordering: .relaxed)
    return task != 0 && task == TaskScope.current
  }

  /// The calling task is it, from now on.
  func enter() { task.store(TaskScope.current, ordering: .relaxed) }

  /// Nobody is.
  func leave() { task.store(0, ordering: .relaxed) }

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
      place.load()?.wake()
    }
  }
}
