/// Where a socket of ours is in its life.
///
/// A phase is what *we* know and have done; ``TCPState`` is what the kernel says. They differ on purpose: the kernel
/// has no word for "all was acknowledged and we still read what the peer sends".
public enum Phase: UInt8, CaseIterable, Hashable, Sendable, CustomStringConvertible {
  /// Made by `socket(2)`, without a name.
  case fresh
  /// Has a local address; nothing can reach it yet.
  case bound
  /// A handshake is under way.
  case connecting
  /// Takes clients.
  case listening
  /// Keeps its port and takes no clients.
  case paused
  /// Takes the clients that are queued already, and no more.
  case stopping
  /// Both directions are open.
  case connected
  /// We sent FIN and may still receive.
  case sendFinished
  /// The peer's FIN was read; we may still send.
  case peerFinished
  /// Both FINs are through.
  case bothFinished
  /// A reset, or a time-out of the kernel's, was heard. The cause is latched.
  case failed
  /// Closing: our FIN is queued and not acknowledged; the peer has not finished.
  case confirming
  /// Closing: the peer's FIN was read; ours is queued and not acknowledged.
  case confirmingLast
  /// Closing: our FIN is queued and not acknowledged; what the peer still sends is read and discarded.
  case lingering
  /// Closing: everything of ours is acknowledged; what the peer still sends is read and discarded.
  case lingeringAcknowledged
  /// The descriptor is released.
  case closed

  /// Whether a close has begun or is over.
  public var isClosing: Bool {
    switch self {
    case .fresh, .bound, .connecting, .listening, .paused, .stopping, .connected, .sendFinished, .peerFinished,
      .bothFinished, .failed:
      false
    case .confirming, .confirmingLast, .lingering, .lingeringAcknowledged, .closed: true
    }
  }

  public var description: String {
    switch self {
    case .fresh: "fresh"
    case .bound: "bound"
    case .connecting: "connecting"
    case .listening: "listening"
    case .paused: "paused"
    case .stopping: "stopping"
    case .connected: "connected"
    case .sendFinished: "send finished"
    case .peerFinished: "peer finished"
    case .bothFinished: "both finished"
    case .failed: "failed"
    case .confirming: "confirming"
    case .confirmingLast: "confirming last"
    case .lingering: "lingering"
    case .lingeringAcknowledged: "lingering, acknowledged"
    case .closed: "closed"
    }
  }
}
