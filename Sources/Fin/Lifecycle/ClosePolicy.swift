/// The way in which a connection is closed, and the time that this may take.
///
/// Every policy releases the descriptor within its time, whatever the peer does.
public enum ClosePolicy: Hashable, Sendable, CustomStringConvertible {
  /// Sends FIN and waits until everything, the FIN included, is acknowledged. The default of a client.
  ///
  /// Bytes that the peer sends meanwhile are read, counted and discarded, so that they cannot turn the close into
  /// a reset.
  case confirmed(within: Duration)

  /// Sends FIN, then reads and discards what the peer still sends until the peer finishes too. The default of a server.
  ///
  /// The close ends when the peer's FIN is read or when a limit is reached: `within` in all, `idle` without a byte once
  /// everything is acknowledged, or one byte more than `discarding`. If everything is acknowledged by then, the ending
  /// is ``Ending/acknowledged``. With `discarding: 0` nothing is discarded: the first byte that the peer still sends
  /// ends the close. A negative limit counts as zero, and with a time of zero the close makes one attempt.
  case lingering(within: Duration, idle: Duration, discarding: Int)

  /// Queues FIN and releases the descriptor at once; the kernel goes on alone, for `orphanTimeout` at most.
  ///
  /// Nothing is confirmed. `TCP_USER_TIMEOUT` and `TCP_LINGER2` limit the life of the kernel's orphan, which would
  /// otherwise be minutes for a peer that does not answer. A timeout below 1 ms counts as 1 ms; one above 24 days, the
  /// longest that the kernel can count, counts as that. The wait for the peer's FIN alone is limited by the kernel to
  /// 120 s.
  case background(orphanTimeout: Duration)

  /// Sends a reset and discards the bytes that have not been sent.
  ///
  /// The kernel sends a reset once and awaits no acknowledgement of it. A peer that did not receive it, or whose kernel
  /// discards it because it had no room for the bytes before it, hears of the end with its next send or keepalive
  /// probe.
  case abort

  /// The confirmed policy, within 10 seconds.
  public static let confirmed = ClosePolicy.confirmed(within: .seconds(10))
  /// The lingering policy: 10 seconds in all, 2 seconds without a byte, 16 MiB discarded.
  public static let lingering = ClosePolicy.lingering(within: .seconds(10), idle: .seconds(2), discarding: 16 << 20)
  /// The background policy, with an orphan timeout of 30 seconds.
  public static let background = ClosePolicy.background(orphanTimeout: .seconds(30))

  /// Every policy once, with the defaults.
  public static let all: [ClosePolicy] = [.confirmed, .lingering, .background, .abort]

  /// The event of this policy in the lifecycle's table.
  public var event: Lifecycle.Event {
    switch self {
    case .confirmed: .closeConfirmed
    case .lingering: .closeLingering
    case .background: .closeBackground
    case .abort: .abort
    }
  }

  public var description: String {
    switch self {
    case .confirmed(let within): "confirmed within \(within)"
    case .lingering(let within, let idle, let bytes):
      "lingering within \(within), idle \(idle), discarding \(bytes) bytes"
    case .background(let timeout): "background, orphan for \(timeout)"
    case .abort: "abort"
    }
  }
}
