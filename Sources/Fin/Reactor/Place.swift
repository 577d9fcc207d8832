internal import Synchronization

/// The registration of a socket at an event loop: created by the first wait, and kept for the socket's life.
struct Place: ~Copyable, Sendable {
  /// The address of a retained ``Seat``; 0 for none.
  private let seat = Atomic<UInt>(0)

  deinit { unsafe Place.seat(at: seat.load(ordering: .acquiring))?.release() }

  // In a single total order with the accesses of a ``TaskScope``, which gives the reason.
  func load() -> Seat? { unsafe Place.seat(at: seat.load(ordering: .sequentiallyConsistent))?.takeUnretainedValue() }

  /// Stores `new`, unless another thread has stored one already.
  ///
  /// - Returns: the registration that is stored.
  func storeIfNil(_ new: Seat) -> Seat {
    let retained = unsafe Unmanaged.passRetained(new)
    let (done, first) = seat.compareExchange(
      expected: 0, desired: unsafe UInt(bitPattern: retained.toOpaque()), ordering: .sequentiallyConsistent)
    if done { return new }
    unsafe retained.release()
    return unsafe Place.seat(at: first)!.takeUnretainedValue()
  }

  private static func seat(at address: UInt) -> Unmanaged<Seat>? {
    guard let pointer = unsafe UnsafeRawPointer(bitPattern: address) else { return nil }
    return unsafe Unmanaged.fromOpaque(pointer)
  }
}
