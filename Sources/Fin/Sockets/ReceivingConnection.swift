/// A connection on which we have finished sending: the peer reads end of file after our last byte.
///
/// Made by ``Connection/finishSending()``. It cannot send; that does not compile.
public struct ReceivingConnection: ~Copyable, Receiving, StreamEnd {
  /// What this owner holds.
  public let reference: SocketReference
  /// How long waits last when a call does not say.
  public var timeouts: Timeouts

  init(core: Core, timeouts: Timeouts) {
    reference = SocketReference(core: core)
    self.timeouts = timeouts
  }

  /// Ends the connection, and tells how it ended: see ``Connection/close(_:)-59kny``. The FIN has been sent; it is waited for.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  @discardableResult
  public consuming func close(_ policy: ClosePolicy = .confirmed) -> CloseReport { reference.core.close(policy) }

  /// The same in a task; see ``Connection/close(_:)-59kny``. Cancelled, it becomes an abort, and the report still comes.
  @discardableResult
  public consuming func close(_ policy: ClosePolicy = .confirmed) async -> CloseReport {
    await reference.core.close(policy)
  }

  /// Sends a reset and releases at once: see ``Connection/abort()``.
  @discardableResult
  public consuming func abort() -> CloseReport { reference.core.close(.abort) }
}
