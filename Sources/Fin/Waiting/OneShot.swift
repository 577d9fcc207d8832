import Synchronization

/// A one-shot: one thread or one task waits, for a limited time, for one value from another thread.
///
/// It lives as long as either side holds it. A value that comes too late is dropped with it.
final class OneShot<Value: Sendable>: Sendable {
  private let value = Mutex<Value?>(nil)
  private let parker = Parker()
  private let waker: any Wakeable

  /// - Parameter waker: woken by the value, when the waiter is not a thread in ``wait(for:)``.
  init(waking waker: (any Wakeable)? = nil) { self.waker = waker ?? parker }

  /// The value, if it has been delivered.
  var delivered: Value? { value.withLock { $0 } }

  /// Delivers the value. Only the first one counts.
  func deliver(_ value: Value) {
    self.value.withLock { if $0 == nil { $0 = value } }
    waker.wake()
  }

  /// Blocks until the value is delivered or the time is over.
  ///
  /// - Returns: the value, or `nil` when the time was over first.
  func wait(for duration: Duration) -> Value? {
    _ = parker.park(until: Deadline(after: duration))
    return value.withLock { $0 }
  }
}
