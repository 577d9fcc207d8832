internal import FinBase

/// Behaviour that the program declares intentional, so that readers of a published ``Ledger``, such as `fin check`, do
/// not report it as a mistake.
///
/// A declaration changes nothing about the connection. It holds for a limited time, and only while the kernel's state
/// is the one that it is about. So a forgotten connection is still found, only later. A wait with a deadline needs
/// no declaration.
public struct SocketIntent: OptionSet, Hashable, Sendable {
  public let rawValue: UInt8

  public init(rawValue: UInt8) { self.rawValue = rawValue }

  private init(_ intent: LedgerFormat.Intent) { self.init(rawValue: intent.rawValue) }

  /// One side has finished and the other goes on: the program still prepares the answer to a request that has ended
  /// (``Phase/peerFinished``, CLOSE-WAIT), or still expects the peer's answer (``Phase/sendFinished``, FIN-WAIT-2).
  public static let halfClosed = SocketIntent(.halfClosed)
  /// Received data stays unread for now, so that the peer stops sending: backpressure.
  public static let readPaused = SocketIntent(.readPaused)
  /// No data may pass for a long time, and no keepalive is wanted: a subscription, a control connection.
  public static let idle = SocketIntent(.idle)
  /// The connection waits in a pool to be used again. The program notices that the peer has closed it when it takes the
  /// connection out.
  public static let pooled = SocketIntent(.pooled)
}

extension SocketIntent: CustomStringConvertible {
  /// The names of the intents, separated by commas.
  public var description: String { LedgerFormat.Intent(rawValue: rawValue).description }
}
