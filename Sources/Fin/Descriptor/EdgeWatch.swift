internal import SystemPackage

/// Tells of edges on one socket: what `poll(2)` cannot, because after `SHUT_WR` it calls a socket writable for ever.
///
/// FIN-WAIT-1 → FIN-WAIT-2 is one edge on an edge-triggered `EPOLLOUT`: that is how a confirmed close learns, without
/// asking again and again, that everything was acknowledged. One `epoll` descriptor for each close that has to wait; the
/// first is made with the first stream, so that a program at its descriptor limit can still close without asking.
final class EdgeWatch: Sendable {
  static let pool = Lending<EdgeWatch> { () throws(Errno) in try EdgeWatch() }
  private static let first: Bool = pool.provide()

  /// Makes the one that a program at its limit will need.
  static func prepare() { _ = first }

  private let poller: CInt

  init() throws(Errno) { poller = try Syscalls.makePoller() }

  deinit { Syscalls.close(poller) }

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
