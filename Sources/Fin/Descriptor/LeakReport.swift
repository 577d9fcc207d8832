/// A socket that was dropped open: where it was opened, how long ago, and what was lost.
///
/// It has been closed by the time anybody reads this.
public struct LeakReport: Hashable, Sendable, CustomStringConvertible {
  /// Its number in the ledger.
  public let id: UInt64
  /// What it was.
  public let kind: Ledger.Kind
  /// `Module/File.swift`.
  public let file: String
  /// The line that opened it.
  public let line: Int
  /// How long it was open.
  public let age: Duration
  /// Where it was in its life when it was dropped.
  public let phase: Phase
  /// What the kernel said; `nil` when it is not TCP.
  public let tcpState: TCPState?
  /// Where this end was.
  public let local: SocketAddress?
  /// Where the other end was; `nil` when there was none.
  public let peer: SocketAddress?
  /// Bytes that had arrived and nobody read. With any of them, closing sent the peer a reset.
  public let bytesUnread: Int
  /// Bytes of ours that were not acknowledged. `SIOCOUTQ`.
  public let bytesUnacknowledged: Int

  public var description: String {
    var text = "leaked: a \(kind.rawValue)"
    if let local { text += " \(local)" }
    if let peer { text += " → \(peer)" }
    text += ", opened at \(file):\(line), \(age) ago, was dropped while \(phase)"
    if let tcpState { text += " (\(tcpState))" }
    text += ", \(bytesUnread) bytes unread, \(bytesUnacknowledged) not acknowledged."
    return text + " It is closed now; call close(_:) where its life ends."
  }
}

/// What happens when a socket is dropped open. The descriptor is closed in every case.
public enum LeakPolicy: Sendable {
  /// One line on standard error; lost when that is closed, or does not take it at once.
  case report
  /// The program stops with the report: for tests.
  case trap
  /// Nothing is said; the ledger counts it all the same.
  case quiet
  /// The report goes to a function, which must not block for long: it runs where the last reference died.
  case custom(@Sendable (LeakReport) -> Void)

  func apply(_ report: LeakReport) {
    switch self {
    case .report: StandardError.write("\(report)")
    case .trap: fatalError("\(report)")
    case .quiet: break
    case .custom(let receive): receive(report)
    }
  }
}
