import Synchronization

/// Where one thread, or one task, waits, for a limited time, for the one value another brings.
///
/// It lives as long as either side holds it: a value that comes too late is dropped with it.
final class Rendezvous<Value: Sendable>: Sendable {
  private let value = Mutex<Value?>(nil)
  private let parker = Parker()
  private let waker: any Wakeable

  /// - Parameter waker: who hears of the value, when it is not a thread in ``wait(for:)``.
  init(waking waker: (any Wakeable)? = nil) { self.waker = waker ?? parker }

  /// The value, if it is there.
  var delivered: Value? { value.withLock { $0 } }

  /// Brings the value. Only the first one counts.
  func deliver(_ value: Value) {
    self.value.withLock { if $0 == nil { $0 = value } }
    waker.wake()
  }

  /// Waits until the value is there or the time is over.
  /// - Returns: The value, or nil when the time was over first.
  func wait(for duration: Duration) -> Value? {
    _ = parker.park(until: Deadline(after: duration))
    return value.withLock { $0 }
  }
}
