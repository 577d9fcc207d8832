internal import Synchronization

/// The registration of a socket at an event loop: created by the first wait, and kept for the socket's life.
struct LazyRegistration: ~Copyable, Sendable {
  // [atomic pointer]
  /// The address of a retained ``Registration``; 0 for none.
  private let registration = Atomic<UInt>(0)

  deinit { unsafe LazyRegistration.registration(at: registration.load(ordering: .acquiring))?.release() }

  // In a single total order with the accesses of a ``TaskScope``, which gives the reason.
  func load() -> Registration? { unsafe borrow()?.takeUnretainedValue() }

  /// The same without a retain, for an operation inside the gate: it has the socket, and the socket has this.
  @inline(__always)
  func borrow() -> Unmanaged<Registration>? {
    unsafe LazyRegistration.registration(at: registration.load(ordering: .sequentiallyConsistent))
  }

  /// Stores `new`, unless another thread has stored one already.
  ///
  /// - Returns: the registration that is stored.
  func storeIfNil(_ new: Registration) -> Registration {
    let retained = unsafe Unmanaged.passRetained(new)
    let (done, first) = registration.compareExchange(
      expected: 0, desired: unsafe UInt(bitPattern: retained.toOpaque()), ordering: .sequentiallyConsistent)
    if done { return new }
    unsafe retained.release()
    return unsafe LazyRegistration.registration(at: first)!.takeUnretainedValue()
  }

  @inline(__always)
  private static func registration(at address: UInt) -> Unmanaged<Registration>? {
    guard let pointer = unsafe UnsafeRawPointer(bitPattern: address) else { return nil }
    return unsafe Unmanaged.fromOpaque(pointer)
  }
}
