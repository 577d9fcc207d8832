internal import Synchronization

/// The task that owns a connection during `serve` or `withConnection`. One cancellation handler serves the whole scope,
/// instead of one per wait. Other tasks, including its child tasks, install their own handler for each wait. A socket
/// has at most one owning task at a time; the connections of a pool have one after the other.
struct TaskScope: ~Copyable, Sendable {
  // [packed word]
  /// The identity of the owning task, 0 for none. The lowest bit, which an address leaves free, says whether it
  /// was cancelled.
  private let word = Atomic<UInt>(0)
  private static let cancelled: UInt = 1

  // Only the owning task can find its own identity here, and it wrote the identity itself. So no ordering with other
  // threads is needed.
  var isCurrentTask: Bool {
    let task = word.load(ordering: .relaxed) & ~TaskScope.cancelled
    return task != 0 && task == CurrentTask.identity
  }

  /// Makes the calling task the owner, from now on.
  func enter() { word.bitwiseOr(CurrentTask.identity, ordering: .relaxed) }

  /// Makes the calling task the owner, unless there is or was one.
  ///
  /// - Returns: whether it did.
  func enterIfFree() -> Bool {
    word.compareExchange(expected: 0, desired: CurrentTask.identity, ordering: .relaxed).exchanged
  }

  /// Removes the owner, and keeps the bit that says whether it was cancelled.
  func leave() { word.bitwiseAnd(TaskScope.cancelled, ordering: .relaxed) }

  // The cancelling thread writes here and then loads the registration; the task publishes the registration, or finds
  // it, and then loads this word. At least one of them has to see what the other wrote. Acquire and release do not
  // guarantee that: a processor may perform a load before an earlier store becomes visible to other processors. Then
  // the cancelling thread wakes no task, and the task waits. Only a single order of all four accesses, here and in
  // ``LazyRegistration``, prevents it. The runtime marks the task before it calls the cancellation handlers, but that
  // is no help: the memory order of that mark is not ours to choose.

  /// Records that the owning task was cancelled. A task that waits at `lazyRegistration` checks again, and so does one
  /// that waits there later.
  func cancel(wakingAt lazyRegistration: borrowing LazyRegistration) {
    word.bitwiseOr(TaskScope.cancelled, ordering: .sequentiallyConsistent)
    lazyRegistration.load()?.wake()
  }

  /// Whether the owning task was cancelled. Only that task may ask, and only when it has the registration.
  var isCancelled: Bool { word.load(ordering: .sequentiallyConsistent) & TaskScope.cancelled != 0 }
}

extension Core {
  /// Runs `body` with the calling task as the owner of this connection. Cancelling the task ends its waits for
  /// the connection. If the connection has or had another owner, each wait has a handler of its own.
  nonisolated(nonsending) func inScope<R, E: Error>(_ body: () async throws(E) -> R) async -> Result<R, E> {
    guard scope.enterIfFree() else {
      do throws(E) { return .success(try await body()) } catch { return .failure(error) }
    }
    defer { scope.leave() }
    return await withTaskCancellationHandler {
      do throws(E) { return .success(try await body()) } catch { return .failure(error) }
    } onCancel: {
      scope.cancel(wakingAt: lazyRegistration)
    }
  }
}
