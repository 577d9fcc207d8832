internal import Glibc
internal import Synchronization
internal import SystemPackage

/// Tells of edges on one socket: what `poll(2)` cannot, because after `SHUT_WR` it calls a socket writable for ever.
///
/// FIN-WAIT-1 → FIN-WAIT-2 is one edge on an edge-triggered `EPOLLOUT`: that is how a confirmed close learns, without
/// asking again and again, that everything was acknowledged. One `epoll` descriptor for each close that has to wait, lent
/// and taken back; the first is made with the first connection, so that a program at its descriptor limit can still close.
final class EdgeWatch: Sendable {
  private let poller: CInt

  private init() throws(Errno) { poller = try Syscalls.makePoller() }

  deinit { Syscalls.close(poller) }

  private struct Pool {
    var idle: [EdgeWatch] = []
    var waiting: [Parker] = []
  }

  private static let kept = 256
  private static let pool = Mutex(Pool())
  private static let reserve: Void = {
    if let watch = try? EdgeWatch() { watch.giveBack() }
  }()

  /// Makes one for a thread that will need one, while there are descriptors.
  static func provide() { (try? EdgeWatch())?.giveBack() }

  /// Makes the one that a program at its limit will need.
  static func prepare() { _ = reserve }

  /// One that nobody else has; when no descriptor can be had, the next that is given back.
  ///
  /// - Returns: `nil` when the deadline passed first.
  static func borrow(until deadline: Deadline) -> EdgeWatch? {
    while true {
      if let watch = pool.withLock({ $0.idle.popLast() }) { return watch }
      if let watch = try? EdgeWatch() { return watch }
      let parker = Parker()
      let watch: EdgeWatch? = pool.withLock { pool in
        if let watch = pool.idle.popLast() { return watch }
        pool.waiting.append(parker)
        return nil
      }
      if let watch { return watch }
      let woken = parker.park(until: deadline)
      pool.withLock { pool in pool.waiting.removeAll { $0 === parker } }
      if !woken { return nil }
    }
  }

  func giveBack() {
    let next = EdgeWatch.pool.withLock { pool -> Parker? in
      if pool.idle.count < EdgeWatch.kept { pool.idle.append(self) }
      return pool.waiting.isEmpty ? nil : pool.waiting.removeFirst()
    }
    next?.wake()
  }

  /// Closes those that nobody uses, except one: for those who count descriptors.
  static func releaseIdle() {
    let idle = pool.withLock { pool in
      let idle = pool.idle.dropFirst()
      pool.idle.removeLast(idle.count)
      return Array(idle)
    }
    _ = consume idle
  }

  /// Watches a socket from now on; the state it is in now counts as the first edge.
  func add(_ descriptor: CInt) throws(Errno) { try Syscalls.watch(descriptor, with: poller) }

  /// Before the descriptor is closed: `epoll` watches the description, not the number.
  func remove(_ descriptor: CInt) { Syscalls.unwatch(descriptor, with: poller) }

  /// Waits for the next edge, or for `waker`.
  ///
  /// - Returns: `false` when the deadline passed first.
  func wait(waker: Waker?, until deadline: Deadline) throws(Errno) -> Bool {
    try Syscalls.awaitEdge(poller, orReadable: waker?.descriptor ?? -1, until: deadline)
  }
}
