extension StreamSocketProtocol where Self: ~Copyable {
  /// Declares, for a limited time, that behaviour that may look like a mistake is intentional.
  ///
  /// The declaration is written into the ``Ledger``, which other processes can read when it is published (see
  /// <doc:Publishing>). It replaces the previous declaration; an empty one, `[]`, withdraws it. On a closed connection
  /// this does nothing.
  /// ```swift
  /// connection.declare(.pooled, for: .seconds(90))  // into the pool, which drops it after a minute
  /// ```
  /// - Parameters:
  ///   - intent: the intentional behaviour.
  ///   - limit: the time for which the declaration holds from now on: a little longer than the behaviour should
  ///     ever last.
  public borrowing func declare(_ intent: SocketIntent, for limit: Duration) {
    let core = reference.core
    guard (try? core.gate.enterPassing()) != nil else { return }
    defer { core.leave(.using) }
    core.ledger.declare(intent, until: Deadline(after: limit), of: core.record)
  }
}
