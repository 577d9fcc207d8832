internal import CFin
internal import Glibc
internal import SystemPackage

/// A connect attempt: `connect(2)`, once, and the wait for its result.
struct ConnectAttempt: OperationState {
  let peer: SocketAddress
  let timeouts: Timeouts
  /// The range that the local port has to be in.
  let sourcePorts: ClosedRange<UInt16>?

  private enum Stage { case first, again, awaiting }
  private var stage = Stage.first
  private var pause = Duration.milliseconds(1)
  /// Whether the attempt has failed and another holder of the socket has taken the reason from the kernel.
  private var isReasonTaken = false
  /// The lifecycle event for an attempt that began and failed.
  private var failure = Lifecycle.Event.connectFailed

  init(peer: SocketAddress, timeouts: Timeouts, sourcePorts: ClosedRange<UInt16>? = nil) {
    self.peer = peer
    self.timeouts = timeouts
    self.sourcePorts = sourcePorts
  }

  /// The lifecycle event for an attempt that failed.
  ///
  /// - Returns: `nil` when this call may not release the socket: another call has an attempt under way on it, or
  ///   another call is closing it at this moment.
  func givingUp(_ core: Core) -> Lifecycle.Event? {
    switch core.phase {
    case .connecting: stage == .first ? nil : failure
    // The attempt was cancelled before it began.
    case .fresh, .bound: .abort
    case .listening, .paused, .stopping, .connected, .sendFinished, .peerFinished, .bothFinished, .failed, .confirming,
      .confirmingLast, .lingering, .lingeringAcknowledged, .closed:
      nil
    }
  }

  mutating func waitFailed(_ core: Core, _ operation: SocketError.Operation, _ cause: SocketError.Cause) -> SocketError
  {
    if cause == .timedOut { failure = .deadline }
    return core.error(operation, cause)
  }

  /// Makes one non-blocking attempt at the next stage.
  mutating func step(_ core: Core, _ access: Access) throws(SocketError) -> Attempt<Void> {
    do throws(SocketError.Cause) {
      switch stage {
      case .first:
        guard core.advance(.connect) != nil else {
          throw .invalid("this socket is \(core.phase); each attempt needs a new socket")
        }
        stage = .again
        core.peer = peer
        try core.apply(timeouts, access)
        // connect(2) has no flag that makes one call non-blocking, and code that borrowed the descriptor may have made
        // it blocking.
        do throws(Errno) { try Syscalls.setBlocking(core.number(access), false) } catch { throw .system(error) }
        if let blocked = try call(core, access) { return blocked }
      case .again:
        if let blocked = try call(core, access) { return blocked }
      case .awaiting:
        if let blocked = try look(core, access) { return blocked }
      }
      try core.applyUserTimeout(timeouts.send, access)
    } catch { throw core.error(.connect, error, note: note) }
    // Connecting replaces a wildcard address that the socket was bound to.
    core.forgetLocal()
    if core.family != .unix, core.local == peer {
      // Two FINs to itself would leave TIME-WAIT on the very port that a listener may need next.
      try? Syscalls.armReset(core.number(access))
      throw core.error(
        .connect, .system(.connectionRefused),
        note: "no program listens there, and this side got the same port: the socket was connected to itself")
    }
    // The kernel ignores the part of a range that `net.ipv4.ip_local_port_range` does not allow.
    if let sourcePorts, let port = core.local?.port, !sourcePorts.contains(port) {
      throw core.error(
        .connect,
        .invalid(
          "the source ports \(sourcePorts.lowerBound) to \(sourcePorts.upperBound) are not all among the kernel's: see "
            + "net.ipv4.ip_local_port_range"))
    }
    core.advance(.established)
    return .done(())
  }

  private mutating func call(_ core: Core, _ access: Access) throws(SocketError.Cause) -> Attempt<Void>? {
    do {
      try Syscalls.connect(core.number(access), peer)
      return nil
    } catch {
      switch error {
      // A Unix socket has no handshake that could go on: the signal came in the wait for the queue, and nothing has
      // begun.
      case .interrupted where peer.family == .unix: return .more
      // The handshake goes on despite a signal; a second call is unspecified.
      case .nowInProgress, .interrupted:
        stage = .awaiting
        return .blocked(.output)
      // A Unix listener's queue is full. No event reports room in it, so this retries, with longer and longer pauses.
      case .resourceTemporarilyUnavailable where peer.family == .unix:
        defer { pause = min(pause * 2, .milliseconds(50)) }
        return .pause(.time(pause))
      default: throw .system(error)
      }
    }
  }

  /// Checks whether the attempt is over. The absence of an error proves nothing: another holder of the open file
  /// description may have taken it. The kernel names a peer exactly when there is a connection.
  private mutating func look(_ core: Core, _ access: Access) throws(SocketError.Cause) -> Attempt<Void>? {
    do throws(Errno) {
      if try isConnected(core, access) { return nil }
      // The wait may have ended for another reason.
      guard try Syscalls.poll(core.number(access), CInt(POLLOUT), until: .passed) != nil else {
        return .blocked(.output)
      }
      // The attempt is over, connected or failed: answers from here on are final.
      if try isConnected(core, access) { return nil }
      // A peer may send, and reset the connection at once. The error stays where it is: `receive` returns the bytes
      // that came first, and then throws it.
      if wasConnected(core, access) { return nil }
      if let failure = try Syscalls.takeError(core.number(access)) { throw failure }
      isReasonTaken = true
      // The error that the kernel itself returns for a second connect(2).
      throw Errno.connectionAbort
    } catch { throw error == .timedOut ? .lost(error) : .system(error) }
  }

  /// Whether there was a connection, which has ended already. Only the handshake acknowledges a SYN, which
  /// `tcpi_bytes_acked` counts as one byte; a SYN that is refused stays unacknowledged.
  private func wasConnected(_ core: Core, _ access: Access) -> Bool {
    guard core.isTCP, let info = try? TCPInfo.read(core.number(access)) else { return false }
    return (info.bytesAcknowledged ?? 0) > 0
  }

  private func isConnected(_ core: Core, _ access: Access) throws(Errno) -> Bool {
    do throws(Errno) { _ = try Syscalls.remoteAddress(core.number(access)) } catch {
      guard error == .socketNotConnected else { throw error }
      return false
    }
    return true
  }

  private var note: String? {
    isReasonTaken
      ? "the attempt failed, and another holder of this socket has read the reason before (SO_ERROR)" : nil
  }
}
