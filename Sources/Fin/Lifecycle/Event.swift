/// What can happen to a socket: a call we made, a fact the kernel reported, or a deadline.
public enum Event: UInt8, CaseIterable, Hashable, Sendable, CustomStringConvertible {
  // Calls.
  /// `bind(2)`.
  case bind
  /// `connect(2)`.
  case connect
  /// `listen(2)`.
  case listen
  /// ``Listener/pause()``.
  case pause
  /// ``Listener/resume()``.
  case resume
  /// ``Listener/stop(within:)``.
  case stop
  /// ``Connection/finishSending()``: `shutdown(SHUT_WR)`.
  case finishSending
  /// A close by ``ClosePolicy/confirmed(within:)``.
  case closeConfirmed
  /// A close by ``ClosePolicy/lingering(within:idle:discarding:)``.
  case closeLingering
  /// A close by ``ClosePolicy/background(orphanTimeout:)``.
  case closeBackground
  /// A close by ``ClosePolicy/abort``.
  case abort
  /// ``Connection/detach()``: the number is given away.
  case detach
  /// The last reference died and nobody had closed.
  case drop

  // Facts.
  /// The handshake is over, or the connection was accepted, adopted or made as a pair.
  case established
  /// The attempt to connect came to nothing.
  case connectFailed
  /// End of file was read: the peer's FIN.
  case peerFinished
  /// A reset, or the kernel gave the connection up.
  case failed
  /// Everything of ours, the FIN included, is acknowledged.
  case acknowledged
  /// No queued client is left.
  case drained

  // Time.
  /// A budget of ours is spent: time, idle time, or bytes discarded.
  case deadline

  /// Where an event comes from.
  public enum Kind: Hashable, Sendable {
    /// A call that this program made.
    case call
    /// Something that the kernel reported.
    case fact
    /// A deadline of ours that passed.
    case time
  }

  /// Where this event comes from.
  public var kind: Kind {
    switch self {
    case .bind, .connect, .listen, .pause, .resume, .stop, .finishSending, .closeConfirmed, .closeLingering,
      .closeBackground, .abort, .detach, .drop:
      .call
    case .established, .connectFailed, .peerFinished, .failed, .acknowledged, .drained: .fact
    case .deadline: .time
    }
  }

  public var description: String {
    switch self {
    case .bind: "bind"
    case .connect: "connect"
    case .listen: "listen"
    case .pause: "pause"
    case .resume: "resume"
    case .stop: "stop"
    case .finishSending: "finish sending"
    case .closeConfirmed: "close, confirmed"
    case .closeLingering: "close, lingering"
    case .closeBackground: "close, background"
    case .abort: "abort"
    case .detach: "detach"
    case .drop: "drop"
    case .established: "established"
    case .connectFailed: "connect failed"
    case .peerFinished: "peer finished"
    case .failed: "failed"
    case .acknowledged: "acknowledged"
    case .drained: "drained"
    case .deadline: "deadline"
    }
  }
}
