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
        if let blocked = try call(core, world) { return blocked }
      case .again:
        if let blocked = try call(core, world) { return blocked }
      case .awaiting:
        if let blocked = try look(core, world) { return blocked }
      }
    } catch { throw core.error(.connect, error) }
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

  private func look(_ core: Core, _ world: World) throws(SocketError.Cause) -> Attempt<Void>? {
    do throws(Errno) {
      if let failure = try Syscalls.takeError(core.number(world)) { throw failure }
      // A task may have been woken for another reason; without an error, only a connection is writable.
      if world == .task, try Syscalls.poll(core.number(world), CInt(POLLOUT), until: .passed) == nil {
        return .blocked(.output)
      }
      return nil
    } catch { throw error == .timedOut ? .lost(error) : .system(error) }
  }
}
