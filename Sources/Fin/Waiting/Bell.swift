internal import Synchronization

/// A place for one task to wait until somebody wakes it; what ``Parker`` is for a thread. A wake that comes first is not lost.
///
/// Nothing else ends the wait, no deadline and no cancellation: for what comes promptly and has to be awaited.
final class Bell: Wakeable {
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
