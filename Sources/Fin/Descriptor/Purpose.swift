/// What looks like a mistake from outside, and is meant: for whoever reads a published ``Ledger``, such as `fin check`.
///
/// A declaration changes nothing about the connection. It holds for the time it was made for, and where the kernel's state is
/// what it speaks of: what was forgotten is found all the same, only later. A wait with a deadline needs no declaration.
public struct Purpose: OptionSet, Hashable, Sendable {
  public let rawValue: UInt8

  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// One side has finished, and the other goes on: the answer to a request that has ended is still being made
  /// (``Phase/peerFinished``, CLOSE-WAIT), or the peer's is still to come (``Phase/sendFinished``, FIN-WAIT-2).
  public static let halfClosed = Purpose(rawValue: 1)
  /// What has arrived is left unread for now, so that the peer sends no more: backpressure.
  public static let notReading = Purpose(rawValue: 2)
  /// Nothing may pass for a long time, and no keepalive is wanted: a subscription, a control connection.
  public static let idle = Purpose(rawValue: 4)
  /// It waits in a pool to be used again, quietly; that its peer has closed is noticed when it is taken out.
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
  /// Says that what may look like a mistake is meant, for so long.
  ///
  /// It is written into the ``Ledger``, which others can read when it is published (see <doc:Publishing>). It takes the place
  /// of what was declared before; nothing, `[]`, takes it back. On a connection that is closed it does nothing.
  /// ```swift
  /// connection.declare(.kept, for: .seconds(90))  // into the pool, from which it goes after a minute
  /// ```
  /// - Parameters:
  ///   - purpose: what is meant.
  ///   - limit: how long it holds from now on; a little longer than it should ever last.
  public borrowing func declare(_ purpose: Purpose, for limit: Duration) {
    let core = reference.core
    guard (try? core.gate.enterPassing()) != nil else { return }
    defer { core.leave(.passing) }
    core.ledger.declare(purpose, until: Deadline(after: limit), of: core.record)
  }
}
