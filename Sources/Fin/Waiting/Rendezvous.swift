import Synchronization

/// Where one thread waits, for a limited time, for the one value another brings.
///
/// It lives as long as either side holds it: a value that comes too late is dropped with it.
final class Rendezvous<Value: Sendable>: Sendable {
  private let value = Mutex<Value?>(nil)
  private let parker = Parker()

  /// Brings the value. Only the first one counts.
  func deliver(_ value: Value) {
    self.value.withLock { if $0 == nil { $0 = value } }
    parker.wake()
  }

  /// Waits until the value is there or the time is over.
  /// - Returns: The value, or nil when the time was over first.
  func wait(for duration: Duration) -> Value? {
    _ = parker.park(until: Deadline(after: duration))
    return value.withLock { $0 }
  }
}
