internal import FinBase
internal import Glibc

/// An object that can be woken from another thread.
protocol Wakeable: AnyObject, Sendable {
  /// Whether it is lent from a pool, and goes to another waiter afterwards. Then it is woken only under the lock of the
  /// list that contains it, and its wake runs no other code. All others are woken outside every lock, because an
  /// executor may run the task before `wake` returns, or take a lock that a caller of Fin holds.
  var isLent: Bool { get }
  func wake()
}

extension Wakeable {
  var isLent: Bool { false }
}

/// A place where one thread sleeps until another wakes it. A wake that comes first is not lost.
///
/// It needs no descriptor, so that a closing thread can always wait for the operations in flight.
@safe
final class Parker: Wakeable {
  @safe
  private struct Parts {
    var mutex = unsafe pthread_mutex_t()
    var condition = pthread_cond_t()
    var isWoken = false
  }

  private nonisolated(unsafe) let parts: UnsafeMutablePointer<Parts>

  init() {
    unsafe parts = .allocate(capacity: 1)
    unsafe parts.initialize(to: Parts())
    unsafe pthread_mutex_init(&parts.pointee.mutex, nil)
    var attributes = pthread_condattr_t()
    unsafe pthread_condattr_init(&attributes)
    unsafe pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    unsafe pthread_cond_init(&parts.pointee.condition, &attributes)
    unsafe pthread_condattr_destroy(&attributes)
  }

  deinit {
    unsafe pthread_cond_destroy(&parts.pointee.condition)
    unsafe pthread_mutex_destroy(&parts.pointee.mutex)
    unsafe parts.deinitialize(count: 1)
    unsafe parts.deallocate()
  }

  /// Sleeps until it is woken, or until the deadline. A wake is used up by this.
  ///
  /// - Returns: whether it was woken.
  func park(until deadline: Deadline = .never) -> Bool {
    unsafe pthread_mutex_lock(&parts.pointee.mutex)
    defer { unsafe pthread_mutex_unlock(&parts.pointee.mutex) }
    while unsafe !parts.pointee.isWoken {
      if deadline == .never {
        unsafe pthread_cond_wait(&parts.pointee.condition, &parts.pointee.mutex)
      } else {
        if deadline.hasPassed { return false }
        var time = timespec(.nanoseconds(max(0, deadline.nanoseconds)))
        unsafe pthread_cond_timedwait(&parts.pointee.condition, &parts.pointee.mutex, &time)
      }
    }
    unsafe parts.pointee.isWoken = false
    return true
  }

  func wake() {
    unsafe pthread_mutex_lock(&parts.pointee.mutex)
    unsafe parts.pointee.isWoken = true
    unsafe pthread_cond_signal(&parts.pointee.condition)
    unsafe pthread_mutex_unlock(&parts.pointee.mutex)
  }
}
