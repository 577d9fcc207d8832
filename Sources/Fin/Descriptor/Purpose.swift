/// Behaviour that the program declares intentional, so that readers of a published ``Ledger``, such as `fin check`, do
/// not report it as a mistake.
///
/// A declaration changes nothing about the connection. It holds for a limited time, and only while the kernel's state
/// is the one that it is about. So a forgotten connection is still found, only later. A wait with a deadline needs no
/// declaration.
public struct Purpose: OptionSet, Hashable, Sendable {
  public let rawValue: UInt8

  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// One side has finished and the other goes on: the program still prepares the answer to a request that has ended
  /// (``Phase/peerFinished``, CLOSE-WAIT), or still expects the peer's answer (``Phase/sendFinished``, FIN-WAIT-2).
  public static let halfClosed = Purpose(rawValue: 1)
  /// Received data stays unread for now, so that the peer stops sending: backpressure.
  public static let notReading = Purpose(rawValue: 2)
  /// No data may pass for a long time, and no keepalive is wanted: a subscription, a control connection.
  public static let idle = Purpose(rawValue: 4)
  /// The connection waits in a pool to be used again. The program notices that the peer has closed it when it takes the
  /// connection out.
  public static let kept = Purpose(rawValue: 8)
}

extension Purpose: CustomStringConvertible {
  public var description: String {
    let names: [(Purpose, String)] = [
      (.halfClosed, "half closed"), (.notReading, "not reading"), (.idle, "idle"), (.kept, "kept"),
    ]
    return names.filter { contains($0.0) }.map(\.1).joined(separator: ", ")
  }
}

extension StreamEnd where Self: ~Copyable {
  /// Declares, for a limited time, that behaviour that may look like a mistake is intentional.
  ///
  /// The declaration is written into the ``Ledger``, which other processes can read when it is published (see
  /// <doc:Publishing>). It replaces the previous declaration; an empty one, `[]`, withdraws it. On a closed connection
  /// this does nothing.
  /// ```swift
  /// connection.declare(.kept, for: .seconds(90))  // into the pool, which drops it after a minute
  /// ```
  /// - Parameters:
  ///   - purpose: the intentional behaviour.
  ///   - limit: the time for which the declaration holds from now on: a little longer than the behaviour should ever
  ///     last.
  public borrowing func declare(_ purpose: Purpose, for limit: Duration) {
    let core = reference.core
    guard (try? core.gate.enterPassing()) != nil else { return }
    defer { core.leave(.passing) }
    core.ledger.declare(purpose, until: Deadline(after: limit), of: core.record)
  }
}
