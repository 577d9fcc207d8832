internal import SystemPackage

/// Wakes a thread that waits in `poll(2)`, by an event descriptor that is polled together with the socket.
///
/// There is one for each thread that waits at this moment, and not one for each socket. The first is created with the
/// first socket that several threads share, so that a program at its descriptor limit can still wait.
final class Waker: Wakeable {
  static let pool = DescriptorPool<Waker> { () throws(Errno) in try Waker() }

  private static let first: Bool = pool.reserve()

  /// Creates the instance that a program at its descriptor limit will need.
  static func prepare() { _ = first }

  let descriptor: CInt

  var isLent: Bool { true }

  init() throws(Errno) { descriptor = try Syscalls.makeEventDescriptor() }

  deinit { Syscalls.close(descriptor) }

  func wake() { Syscalls.signal(descriptor) }

  static func borrow() throws(Errno) -> Waker { try pool.borrow() }

  /// Takes out all wakes, as if there had been none.
  func drain() { Syscalls.drain(descriptor) }

  /// Returns it to the pool, without any wake.
  func giveBack() {
    drain()
    Waker.pool.giveBack(self)
  }
}
