internal import CFin
internal import Glibc
internal import SystemPackage

/// One attempt to connect, on its way: `connect(2)`, once, and the wait for what comes of it.
struct Handshake: Progress {
  let peer: SocketAddress
  let timeouts: Timeouts

  private enum Stage { case first, again, awaiting }
  private var stage = Stage.first
  private var pause = Duration.milliseconds(1)
  /// It has failed, and the kernel does not know any more why.
  private var isReasonTaken = false
  /// What the lifecycle is told when the attempt, begun, comes to nothing.
  private var failure = Event.connectFailed

  init(peer: SocketAddress, timeouts: Timeouts) {
    self.peer = peer
    self.timeouts = timeouts
  }

  /// What the lifecycle is to be told when it has come to nothing.
  ///
  /// - Returns: `nil` when the socket is not ours to give up: an attempt that somebody else has under way is theirs; so is a
  ///   socket that somebody else closes at this moment.
  func givingUp(_ core: Core) -> Event? {
    switch core.phase {
    case .connecting: stage == .first ? nil : failure
    // Cancelled before it began.
    case .fresh, .bound: .abort
    case .listening, .paused, .stopping, .connected, .sendFinished, .peerFinished, .bothFinished, .failed, .confirming,
      .confirmingLast, .lingering, .lingeringAcknowledged, .closed:
      nil
    }
  }

  mutating func gaveUp(_ core: Core, _ operation: SocketError.Operation, _ cause: SocketError.Cause) -> SocketError {
    if cause == .timedOut { failure = .deadline }
    return core.error(operation, cause)
  }

  /// One try.
  mutating func goOn(_ core: Core, _ world: World) throws(SocketError) -> Attempt<Void> {
    do throws(SocketError.Cause) {
      switch stage {
      case .first:
        guard core.advance(.connect) != nil else {
          throw .invalid("this socket is \(core.phase); one socket an attempt")
        }
        stage = .again
        core.peer = peer
        try core.apply(timeouts, world)
        // connect(2) has no flag that keeps one call from waiting: who was lent the number may have made it blocking.
        do throws(Errno) { try Syscalls.setBlocking(core.number(world), false) } catch { throw .system(error) }
        if let blocked = try call(core, world) { return blocked }
      case .again:
        if let blocked = try call(core, world) { return blocked }
      case .awaiting:
        if let blocked = try look(core, world) { return blocked }
      }
      try core.beginSilence(timeouts.sendLimit, world)
    } catch { throw core.error(.connect, error, note: note) }
    if core.family != .unix, core.local == peer {
      // Two FINs to itself would leave TIME-WAIT on the very port that a listener may want next.
      try? Syscalls.armReset(core.number(world))
      throw core.error(
        .connect, .system(.connectionRefused),
        note: "nobody listens there, and the socket was given that very port: it was connected to itself")
    }
    core.advance(.established)
    return .done(())
  }

  private mutating func call(_ core: Core, _ world: World) throws(SocketError.Cause) -> Attempt<Void>? {
    do {
      try Syscalls.connect(core.number(world), peer)
      return nil
    } catch {
      switch error {
      // A Unix socket has no handshake that could go on: a signal found it in the queue, and nothing has begun.
      case .interrupted where peer.family == .unix: return .more
      // The handshake goes on, signal or no signal; asking again is unspecified.
      case .nowInProgress, .interrupted:
        stage = .awaiting
        return .blocked(.output)
      // A Unix listener's queue is full. No event tells when it no longer is, so this asks again, ever more rarely.
      case .resourceTemporarilyUnavailable where peer.family == .unix:
        defer { pause = min(pause * 2, .milliseconds(50)) }
        return .pause(pause)
      default: throw .system(error)
      }
    }
  }

  /// The absence of an error says nothing: another holder of the description may have taken it. The kernel names a peer
  /// exactly when there is a connection.
  private mutating func look(_ core: Core, _ world: World) throws(SocketError.Cause) -> Attempt<Void>? {
    do throws(Errno) {
      if try isConnected(core, world) { return nil }
      // It may have been woken for another reason.
      guard try Syscalls.poll(core.number(world), CInt(POLLOUT), until: .passed) != nil else {
        return .blocked(.output)
      }
      // Over, one way or the other: asked after that, both answers hold.
      if try isConnected(core, world) { return nil }
      if let failure = try Syscalls.takeError(core.number(world)) { throw failure }
      isReasonTaken = true
      // The kernel's own word, when it is asked to connect again.
      throw Errno.connectionAbort
    } catch { throw error == .timedOut ? .lost(error) : .system(error) }
  }

  private func isConnected(_ core: Core, _ world: World) throws(Errno) -> Bool {
    do throws(Errno) { _ = try Syscalls.peerAddress(core.number(world)) } catch {
      guard error == .socketNotConnected else { throw error }
      return false
    }
    return true
  }

  private var note: String? {
    isReasonTaken
      ? "the attempt failed, and another holder of this socket has taken the kernel's reason (SO_ERROR)" : nil
  }
}
