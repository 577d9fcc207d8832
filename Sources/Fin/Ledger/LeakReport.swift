/// A report on a socket that was dropped open: where it was opened, how long ago, and what was lost.
///
/// The socket is already closed when the report is delivered.
public struct LeakReport: Hashable, Sendable, CustomStringConvertible {
  /// The socket's number in the ledger.
  public let id: UInt64
  /// The kind of socket.
  public let kind: Ledger.Kind
  /// The source file that opened it, as `Module/File.swift`.
  public let file: String
  /// The line that opened it.
  public let line: Int
  /// The time for which it was open.
  public let age: Duration
  /// The phase that it was in when it was dropped.
  public let phase: Phase
  /// The kernel's TCP state when it was dropped; `nil` for a socket that is not TCP.
  public let tcpState: TCPState?
  /// The local address.
  public let localAddress: SocketAddress?
  /// The peer's address; `nil` when there was no peer.
  public let remoteAddress: SocketAddress?
  /// Bytes that had arrived and were not read. If there were any, closing sent the peer a reset.
  public let bytesUnread: Int
  /// Bytes sent that the peer had not acknowledged. `SIOCOUTQ`.
  public let bytesUnacknowledged: Int

  public var description: String {
    var text = "leaked: a \(kind.rawValue)"
    if let localAddress { text += " \(localAddress)" }
    if let remoteAddress { text += " → \(remoteAddress)" }
    text += ", opened at \(file):\(line), \(age) ago, was dropped while \(phase)"
    if let tcpState { text += " (\(tcpState))" }
    text += ", \(bytesUnread) bytes unread, \(bytesUnacknowledged) not acknowledged."
    return text + " It is closed now; call close(_:) when the program has finished with it."
  }
}

/// The reaction to a socket that is dropped open. The descriptor is closed in every case.
public enum LeakPolicy: Sendable {
  /// Writes one line to standard error. The line is lost when standard error is closed or cannot take it at once.
  case report
  /// Stops the program with the report. For tests.
  case trap
  /// Reports nothing. The ledger still counts the leak.
  case quiet
  /// Passes the report to a function. It must not block for long, because it runs where the last reference was dropped.
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
