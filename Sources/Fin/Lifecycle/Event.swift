extension Lifecycle {
  /// An event in the life of a socket: a call of this program, a fact that the kernel reported, or a deadline.
  public enum Event: UInt8, CaseIterable, Hashable, Sendable, CustomStringConvertible {
    // Calls.
    /// `bind(2)`.
    case bind
    /// `connect(2)`.
    case connect
    /// `listen(2)`.
    case listen
    /// ``Listener/pause(resettingQueue:)``.
    case pause
    /// ``Listener/resume()``.
    case resume
    /// ``Listener/stop(after:within:)``.
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
    /// ``Connection/detach()``: the descriptor is given to the caller.
    case detach
    /// The last reference was released without a close.
    case drop

    // Facts.
    /// The TCP handshake is complete, or the connection was accepted, adopted or made as a pair.
    case established
    /// The attempt to connect failed.
    case connectFailed
    /// EOF was read: the peer's FIN.
    case peerFinished
    /// A reset arrived, or the kernel gave the connection up.
    case failed
    /// Everything that we sent, the FIN included, is acknowledged.
    case acknowledged
    /// No queued client is left.
    case drained

    // Time.
    /// A limit of ours is reached: time, idle time, or bytes discarded.
    case deadline

    /// The source of an event.
    public enum Kind: Hashable, Sendable {
      /// A call that this program made.
      case call
      /// A fact that the kernel reported.
      case fact
      /// A deadline of ours that passed.
      case time
    }

    /// The source of this event.
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
}
