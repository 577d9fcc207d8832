/// The way in which a connection ended.
///
/// In doubt it is the worse one: ``acknowledged`` and ``peerFinished`` are reported only when the acknowledgement
/// was seen.
public enum Ending: Hashable, Sendable, CustomStringConvertible {
  /// Everything was acknowledged and the peer finished as well.
  ///
  /// Only the application protocol can say whether the peer's program read it all.
  case peerFinished
  /// The stream of a secured connection ended without the peer's close_notify, by FIN alone: what it sent may be a part
  /// only. Everything of ours was acknowledged, unless ``CloseReport/bytesUnacknowledged`` says otherwise.
  case truncated
  /// Everything was acknowledged; the peer had not finished when the close stopped waiting.
  case acknowledged
  /// Everything was acknowledged, then a reset arrived: the peer's program closed, or died, without reading it.
  case discardedByPeer
  /// A reset arrived while bytes of ours were not acknowledged, or when we had sent none.
  case reset
  /// The time ended in this phase with bytes, or the FIN, not acknowledged. The connection was reset.
  case timedOut(Phase)
  /// This side sent the reset: the program aborted, or an administrator ended the connection.
  ///
  /// On a Unix socket the peer reads an end of file instead, as after any close, unless bytes were unread here.
  case aborted
  /// The descriptor was released at once; the kernel goes on alone, and the outcome is never reported. Also the ending
  /// that a close reports when it cannot wait for another close that is under way: see
  /// ``SocketProtocol/withDescriptor(_:)``.
  case background
  /// Only this descriptor was released: the connection goes on through a duplicate, whose close ends it.
  case shared
  /// Nothing was closed: the program took the descriptor with ``Connection/detach()`` and owns the connection.
  case detached

  public var description: String {
    switch self {
    case .peerFinished: "peer finished"
    case .truncated: "truncated"
    case .acknowledged: "acknowledged"
    case .discardedByPeer: "discarded by peer"
    case .reset: "reset"
    case .timedOut(let phase): "timed out (\(phase))"
    case .aborted: "aborted"
    case .background: "background"
    case .shared: "shared"
    case .detached: "detached"
    }
  }
}

/// The report of a close: how the connection ended, and how many of its bytes were lost.
public struct CloseReport: Hashable, Sendable, CustomStringConvertible {
  /// How the connection ended.
  public let ending: Ending
  /// Bytes accepted by `send` that the peer's kernel never acknowledged; the FIN is not counted.
  ///
  /// On a Unix socket: bytes of kernel memory (not payload) that the peer's program never read.
  public let bytesUnacknowledged: Int
  /// The part of `bytesUnacknowledged` that never left this machine.
  public let bytesNeverSent: Int
  /// Bytes that arrived and were discarded unread.
  public let bytesDiscarded: Int
  /// The time from the call to the release of the descriptor.
  public let duration: Duration
  /// Which side of a secured connection said that it had sent everything; `nil` for a plain connection.
  public let closeNotify: CloseNotify?

  /// The two ends of a secured connection: close_notify, RFC 8446, section 6.1.
  public struct CloseNotify: Hashable, Sendable {
    /// Whether this side said it. It may be unsent still: see ``CloseReport/bytesNeverSent``.
    public let sent: Bool
    /// Whether the peer said it.
    public let received: Bool

    /// Makes a value for tests of code that reads reports.
    public init(sent: Bool, received: Bool) {
      self.sent = sent
      self.received = received
    }
  }

  /// Makes a report with these values, for tests of code that reads reports.
  public init(
    ending: Ending, bytesUnacknowledged: Int = 0, bytesNeverSent: Int = 0, bytesDiscarded: Int = 0,
    duration: Duration = .zero, closeNotify: CloseNotify? = nil
  ) {
    self.ending = ending
    self.bytesUnacknowledged = bytesUnacknowledged
    self.bytesNeverSent = bytesNeverSent
    self.bytesDiscarded = bytesDiscarded
    self.duration = duration
    self.closeNotify = closeNotify
  }

  /// Whether every byte given to `send` is known to have reached the peer's kernel and was not discarded there.
  public var isDelivered: Bool {
    switch ending {
    case .peerFinished, .truncated, .acknowledged: bytesUnacknowledged == 0
    case .discardedByPeer, .reset, .timedOut, .aborted, .background, .shared, .detached: false
    }
  }

  /// The ending and the time, such as `peer finished in 0.4 ms`, and the bytes that were lost, if any.
  public var description: String {
    let (seconds, attoseconds) = duration.components
    let microseconds = seconds * 1_000_000 + attoseconds / 1_000_000_000_000
    var text = "\(ending) in \(microseconds / 1000).\(microseconds / 100 % 10) ms"
    if bytesUnacknowledged > 0 { text += ", \(bytesUnacknowledged) bytes not acknowledged" }
    if bytesNeverSent > 0 { text += " (\(bytesNeverSent) never sent)" }
    if bytesDiscarded > 0 { text += ", \(bytesDiscarded) bytes discarded unread" }
    return text
  }
}
