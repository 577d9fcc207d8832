internal import Synchronization

/// Where tasks wait for a socket: had with the first wait, and kept for the socket's life.
struct Place: ~Copyable, Sendable {
  /// The address of a seat that is retained; 0 for none.
  private let seat = Atomic<UInt>(0)

  deinit { unsafe Place.seat(at: seat.load(ordering: .acquiring))?.release() }

  // One order with those of a ``TaskScope``, which says why.
  func load() -> Seat? { unsafe Place.seat(at: seat.load(ordering: .sequentiallyConsistent))?.takeUnretainedValue() }

  /// Keeps `new`, unless somebody else was first.
  ///
  /// - Returns: the one that is kept.
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
