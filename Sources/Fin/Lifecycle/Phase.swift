/// The phase of a socket's life.
///
/// A phase is what *we* know and have done; ``TCPState`` is the state in the kernel. They differ on purpose: the kernel
/// has no state for "all was acknowledged and we still read what the peer sends".
public enum Phase: UInt8, CaseIterable, Hashable, Sendable {
  /// Created by `socket(2)`, without a name.
  case fresh
  /// Has a local address; nothing can reach it yet.
  case bound
  /// A connect attempt is under way.
  case connecting
  /// Accepts clients.
  case listening
  /// Keeps its port and accepts no clients.
  case paused
  /// Accepts the clients that are queued already, and no more.
  case stopping
  /// Both directions are open.
  case connected
  /// We sent FIN and may still receive.
  case sendFinished
  /// The peer's FIN was read; we may still send.
  case peerFinished
  /// We sent FIN, and the peer's FIN was read.
  case bothFinished
  /// A reset arrived, or a timeout of the kernel expired. The cause is latched.
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

  /// Whether a close has begun or is complete.
  public var isClosing: Bool {
    switch self {
    case .fresh, .bound, .connecting, .listening, .paused, .stopping, .connected, .sendFinished, .peerFinished,
      .bothFinished, .failed:
      false
    case .confirming, .confirmingLast, .lingering, .lingeringAcknowledged, .closed: true
    }
  }
}
