internal import SystemPackage

/// Wakes a thread that waits in `poll(2)`: an event descriptor beside the socket's.
///
/// One for each thread that waits at this moment, not one for each socket; the first is made with the first socket that
/// several threads share, so that a program at its descriptor limit can still wait.
final class Waker: Wakeable {
  static let pool = Lending<Waker> { () throws(Errno) in try Waker() }

  private static let first: Bool = pool.provide()

  /// Makes the one that a program at its limit will need.
  static func prepare() { _ = first }

  let descriptor: CInt

  var isLent: Bool { true }

  init() throws(Errno) { descriptor = try Syscalls.makeEventDescriptor() }

  deinit { Syscalls.close(descriptor) }

  func wake() { Syscalls.signal(descriptor) }

  static func borrow() throws(Errno) -> Waker { try pool.borrow() }

  /// Makes it as if it had never been woken.
  func drain() { Syscalls.drain(descriptor) }

  /// Takes it back, as if it had never been woken.
  func giveBack() {
    drain()
    Waker.pool.giveBack(self)
  }
}
