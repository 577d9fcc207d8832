internal import Synchronization
internal import SystemPackage

/// Wakes a thread that waits in `poll(2)`: an event descriptor beside the socket's.
///
/// One for each thread that waits at this moment, not one for each socket: they are lent and taken back.
final class Waker: Wakeable {
  let descriptor: CInt

  private init() throws(Errno) { descriptor = try Syscalls.makeEventDescriptor() }

  deinit { Syscalls.close(descriptor) }

  func wake() { Syscalls.signal(descriptor) }

  /// How many are kept for the next who waits.
  private static let kept = 256
  private static let pool = Mutex<[Waker]>([])

  /// A waker that nobody else has; it may hold a late wake of its last user, which its next one takes for a false alarm.
  static func borrow() throws(Errno) -> Waker {
    if let waker = pool.withLock({ $0.popLast() }) { return waker }
    return try Waker()
  }

  /// Takes it back. The caller has left every list from which somebody could wake it.
  func giveBack() {
    Syscalls.drain(descriptor)
    Waker.pool.withLock { if $0.count < Waker.kept { $0.append(self) } }
  }

  /// One that is never lent.
  static func unpooled() throws(Errno) -> Waker { try Waker() }

  /// Makes one for a thread that will need one, while there are descriptors.
  static func provide() { (try? Waker())?.giveBack() }

  /// Closes those that nobody uses: for those who count descriptors.
  static func releaseIdle() {
    let idle = pool.withLock { pool in
      let idle = pool
      pool = []
      return idle
    }
    _ = consume idle
  }
}
