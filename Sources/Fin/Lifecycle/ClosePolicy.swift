/// How a connection is to end, and how long that may take.
///
/// Every policy releases the descriptor within its time, whatever the peer does.
public enum ClosePolicy: Hashable, Sendable, CustomStringConvertible {
  /// Send FIN and wait until everything, the FIN included, is acknowledged. The default of a client.
  ///
  /// What the peer sends meanwhile is read, counted and discarded, so that it cannot turn the close into a reset.
  case confirmed(within: Duration)

  /// Send FIN, then read and discard what the peer still sends until it finishes too. The default of a server.
  ///
  /// Ends when the peer's FIN is read, or when a budget is spent: `within` in all, `idle` without a byte once everything is
  /// acknowledged, or `discarding` bytes and one more. With everything acknowledged by then the ending is
  /// ``Ending/acknowledged``. With `discarding: 0` nothing is discarded: the first byte that the peer still sends ends it. A
  /// budget below zero is zero, and no time at all is one look.
  case lingering(within: Duration, idle: Duration, discarding: Int)

  /// Queue FIN and release at once; the kernel goes on alone, for `orphanTimeout` at most.
  ///
  /// Nothing is confirmed. The kernel's orphan is bounded by `TCP_USER_TIMEOUT` and `TCP_LINGER2`, which for a peer that
  /// does not answer would otherwise live for minutes. Below 1 ms it is 1 ms; above 24 days, which is as far as the kernel
  /// counts, it is that. The wait for the peer's FIN alone is 120 s at most, by the kernel.
  case background(orphanTimeout: Duration)

  /// Send a reset and throw away what has not been sent.
  case abort

  /// 10 seconds.
  public static let confirmed = ClosePolicy.confirmed(within: .seconds(10))
  /// 10 seconds in all, 2 seconds without a byte, 16 MiB discarded.
  public static let lingering = ClosePolicy.lingering(within: .seconds(10), idle: .seconds(2), discarding: 16 << 20)
  /// 30 seconds.
  public static let background = ClosePolicy.background(orphanTimeout: .seconds(30))

  /// One of each, with the defaults.
  public static let all: [ClosePolicy] = [.confirmed, .lingering, .background, .abort]

  /// What this policy is called in the lifecycle's table.
  public var event: Event {
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
