internal import FinBase
internal import Synchronization

/// Whether a listener is being stopped, as the connections that it accepted see it.
final class Drain: Sendable {
  private let flag = Atomic<Bool>(false)
  var hasBegun: Bool { flag.load(ordering: .acquiring) }
  func begin() { flag.store(true, ordering: .sequentiallyConsistent) }
}

extension Core {
  /// Begins to stop after a while, during which clients are still accepted.
  func stop(after: Duration, within: Timeout) {
    announceDrain()
    guard after > .zero else { return stop(within: within) }
    let due = Deadline(after: after)
    let code = DetachedThread.start(stack: 256 << 10) { [self] in
      let parker = Parker()
      while !due.hasPassed { _ = parker.park(until: due) }
      stop(within: within)
    }
    // Without a thread for the wait, the stop comes at once: a stop that never came would be worse.
    if code != 0 { stop(within: within) }
  }

  /// Lets the connections know that the listener is being stopped, and wakes its servers.
  func announceDrain() {
    let waiters = closing.withLock { state in
      state.drain.begin()
      return state.drainWaiters
    }
    waiters.forEach { $0.wake() }
  }

  /// Whether the listener that accepted this connection is being stopped.
  var isDraining: Bool { connectionState.drain?.hasBegun ?? false }

  /// Whether a handler that waits for the next request is to stop waiting. The first request of a client is under way
  /// once it has connected: the server gives it a moment of its own.
  @inline(__always)
  var isToldToEnd: Bool { awaitsNext.load(ordering: .sequentiallyConsistent) && isDraining && hasTraffic }

  /// One look for the next request: whether there is one, or the conversation is over.
  func lookForNext(_ access: Access) throws(SocketError) -> Attempt<Bool> {
    if buffered > 0 { return .done(true) }
    if let count = try fill(access) { return .done(count > 0) }
    return isDraining && hasTraffic ? .done(false) : .blocked(.input)
  }

  /// Whether a reader waits on this connection, on which no byte was ever received or sent.
  var isSilent: Bool {
    guard !hasTraffic, gate.snapshot.hasReader else { return false }
    return ((try? withAccess(.getOption) { (try? Syscalls.unread(number($0))) ?? 1 }) ?? 1) == 0
  }

  /// Counts bytes that were received.
  @inline(__always)
  func noteReceived(_ count: Int) {
    bytesReceived.store(bytesReceived.load(ordering: .relaxed) &+ UInt64(count), ordering: .releasing)
  }

  /// Takes received bytes back that a proxy, and no client, has sent: a client that has not spoken through a proxy is
  /// treated like one without a proxy.
  func forgetReceived(_ count: Int) {
    bytesReceived.store(bytesReceived.load(ordering: .relaxed) &- UInt64(count), ordering: .releasing)
  }

  /// Counts bytes that the kernel accepted.
  @inline(__always)
  func noteSent(_ count: Int) {
    bytesSent.store(bytesSent.load(ordering: .relaxed) &+ UInt64(count), ordering: .releasing)
  }

  var hasTraffic: Bool {
    bytesReceived.load(ordering: .acquiring) != 0 || bytesSent.load(ordering: .acquiring) != 0
  }
}
