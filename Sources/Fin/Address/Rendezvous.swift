import Glibc

/// Where one thread waits, for a limited time, for the one value another brings.
///
/// It is a condition variable on the monotonic clock, so that setting the machine's time neither shortens nor lengthens
/// the wait. It lives as long as either side holds it: a value that comes too late is dropped with it.
@safe final class Rendezvous<Value: Sendable>: @unchecked Sendable {
  private let lock: UnsafeMutablePointer<pthread_mutex_t>
  private let arrived: UnsafeMutablePointer<pthread_cond_t>
  /// Read and written under the lock only.
  private var value: Value?

  init() {
    unsafe lock = .allocate(capacity: 1)
    unsafe arrived = .allocate(capacity: 1)
    unsafe lock.initialize(to: pthread_mutex_t())
    unsafe arrived.initialize(to: pthread_cond_t())
    var attributes = pthread_condattr_t()
    unsafe pthread_condattr_init(&attributes)
    unsafe pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    unsafe pthread_mutex_init(lock, nil)
    unsafe pthread_cond_init(arrived, &attributes)
    unsafe pthread_condattr_destroy(&attributes)
  }

  deinit {
    unsafe pthread_cond_destroy(arrived)
    unsafe pthread_mutex_destroy(lock)
    unsafe arrived.deallocate()
    unsafe lock.deallocate()
  }

  /// Brings the value. Only the first one counts.
  func deliver(_ value: Value) {
    unsafe pthread_mutex_lock(lock)
    if self.value == nil { self.value = value }
    unsafe pthread_cond_signal(arrived)
    unsafe pthread_mutex_unlock(lock)
  }

  /// Waits until the value is there or the time is over.
  /// - Returns: The value, or nil when the time was over first.
  func wait(for duration: Duration) -> Value? {
    var deadline = Self.moment(after: duration)
    unsafe pthread_mutex_lock(lock)
    defer { unsafe _ = pthread_mutex_unlock(lock) }
    // It returns 0 when woken, rightly or not, and ETIMEDOUT when the time is over. It never says EINTR.
    while value == nil {
      guard unsafe pthread_cond_timedwait(arrived, lock, &deadline) == 0 else { break }
    }
    return value
  }

  private static func moment(after duration: Duration) -> timespec {
    var now = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &now)
    let (seconds, attoseconds) = max(duration, .zero).components
    let nanoseconds = now.tv_nsec + Int(attoseconds / 1_000_000_000)
    // Three hundred years from now is as good as never, and adds up in every timespec.
    let whole = now.tv_sec + Int(min(seconds, 10_000_000_000))
    return timespec(tv_sec: whole + nanoseconds / 1_000_000_000, tv_nsec: nanoseconds % 1_000_000_000)
  }
}
