#if FIN_TSAN
internal import Glibc

/// A replacement of `Synchronization.Mutex` for the thread sanitizer, which knows pthread's locks and cannot see into
/// the standard library's. The kernel hands those over when they are contended, and the sanitizer then reports a race
/// on the guarded value.
///
/// It is compiled only with `-Xswiftc -DFIN_TSAN`, and then takes the place of the standard one by its name.
@safe
struct Mutex<Value: ~Copyable>: ~Copyable, @unchecked Sendable {
  private let lock: UnsafeMutablePointer<pthread_mutex_t>
  private let value: UnsafeMutablePointer<Value>

  init(_ value: consuming sending Value) {
    unsafe lock = .allocate(capacity: 1)
    unsafe self.value = .allocate(capacity: 1)
    unsafe lock.initialize(to: pthread_mutex_t())
    unsafe pthread_mutex_init(lock, nil)
    unsafe self.value.initialize(to: value)
  }

  deinit {
    unsafe pthread_mutex_destroy(lock)
    unsafe lock.deallocate()
    unsafe value.deinitialize(count: 1)
    unsafe value.deallocate()
  }

  borrowing func withLock<Result: ~Copyable, E: Error>(
    _ body: (inout sending Value) throws(E) -> sending Result
  ) throws(E) -> sending Result {
    unsafe pthread_mutex_lock(lock)
    defer { unsafe _ = pthread_mutex_unlock(lock) }
    return try unsafe body(&value.pointee)
  }

  borrowing func withLockIfAvailable<Result: ~Copyable, E: Error>(
    _ body: (inout sending Value) throws(E) -> sending Result
  ) throws(E) -> sending Result? {
    guard unsafe pthread_mutex_trylock(lock) == 0 else { return nil }
    defer { unsafe _ = pthread_mutex_unlock(lock) }
    return try unsafe body(&value.pointee)
  }
}
#endif
