internal import CFin
internal import SystemPackage

/// Reports edges on one socket, which `poll(2)` cannot do: after `SHUT_WR` it always reports the socket as writable.
///
/// The step from FIN-WAIT-1 to FIN-WAIT-2 is one edge on an edge-triggered `EPOLLOUT`. From it a confirmed close learns
/// that everything was acknowledged, without asking the kernel again and again. Each close that has to wait uses one
/// `epoll` descriptor. The first is created with the first stream, so that a program at its descriptor limit can still
/// close without asking at intervals.
final class EdgeWatch: Sendable {
  static let pool = DescriptorPool<EdgeWatch> { () throws(Errno) in try EdgeWatch() }
  private static let first: Bool = pool.reserve()

  /// Creates the instance that a program at its descriptor limit will need.
  static func prepare() { _ = first }

  private let poller: CInt

  /// The poller's own descriptor, which is readable while there is an edge that was not taken.
  var descriptor: CInt { poller }

  init() throws(Errno) { poller = try Syscalls.makePoller() }

  deinit { Syscalls.close(poller) }

  /// Takes all edges that have been reported.
  func drain() { while Syscalls.takeEdges(poller) {} }

  /// Starts to watch a socket. Its present state counts as the first edge.
  func add(_ descriptor: CInt) throws(Errno) { try Syscalls.watch(descriptor, with: poller) }

  /// Stops watching. Called before the descriptor is closed, because `epoll` watches the open file description and not
  /// the number.
  func remove(_ descriptor: CInt) { Syscalls.unwatch(descriptor, with: poller) }

  /// Waits for edges and takes all that there are, of every descriptor that was added, a waker's too.
  ///
  /// - Parameters:
  ///   - deadline: the end of the wait, which a signal may end before.
  ///   - note: receives the number of each descriptor with an edge, and its events (`EPOLLIN` and so on).
  /// - Returns: whether there was an edge.
  func awaitEdges(until deadline: Deadline, _ note: (CInt, UInt32) -> Void) -> Bool {
    let most = Int(FIN_EDGES)
    let size = most * MemoryLayout<fin_epoll_event>.stride
    return unsafe withUnsafeTemporaryAllocation(byteCount: size, alignment: 16) { room in
      let events = room.baseAddress!
      let count = unsafe Syscalls.awaitEvents(poller, events, most: most, until: deadline)
      for index in 0..<CInt(count) {
        let number = CInt(truncatingIfNeeded: unsafe fin_epoll_token(events, index))
        note(number, unsafe fin_epoll_events(events, index))
      }
      return count > 0
    }
  }

  /// Waits for the next edge, or until `waker` is woken.
  ///
  /// - Returns: `false` when the deadline passed first.
  func wait(waker: Waker?, until deadline: Deadline) throws(Errno) -> Bool {
    try Syscalls.awaitEdge(poller, orReadable: waker?.descriptor ?? -1, until: deadline)
  }
}
