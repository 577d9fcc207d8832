/// What can happen to a socket: a call we made, a fact the kernel reported, or a deadline.
public enum Event: UInt8, CaseIterable, Hashable, Sendable, CustomStringConvertible {
  // Calls.
  case bind, connect, listen, pause, resume, stop, finishSending
  case closeConfirmed, closeLingering, closeBackground, abort, detach
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

  public enum Kind: Hashable, Sendable { case call, fact, time }

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
