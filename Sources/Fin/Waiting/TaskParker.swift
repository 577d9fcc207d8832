internal import Synchronization

/// A parker for a task: one task waits here until it is woken, as a thread does at a ``Parker``. A wake that comes
/// first is not lost.
///
/// Neither a deadline nor a cancellation ends the wait. It is for wakes that come promptly and have to be awaited.
final class TaskParker: Wakeable {
  enum State {
    case silent
    case rung
    case awaited(Resumption<Void>)
  }

  private let state = Mutex(State.silent)

  func wait() async {
    unsafe await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
      let waiter = unsafe Resumption(continuation)
      let isRung = state.withLock { state in
        if case .rung = state { return true }
        state = .awaited(waiter)
        return false
      }
      if isRung { waiter.resume(()) }
    }
  }

  func wake() {
    let waiter: Resumption<Void>? = state.withLock { state in
      defer { state = .rung }
      if case .awaited(let waiter) = state { return waiter }
      return nil
    }
    waiter?.resume(())
  }
}
