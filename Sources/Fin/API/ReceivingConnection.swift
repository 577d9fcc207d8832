internal import SystemPackage

/// A connection on which this side has finished sending: the peer reads end of file after our last byte.
///
/// It is created by ``Connection/finishSending()``. It cannot send: code that tries does not compile.
public struct ReceivingConnection: ~Copyable, Receiving, StreamSocketProtocol {
  /// The reference to the socket that this value owns.
  @_spi(Fin) public let reference: SocketReference
  /// The timeouts of calls that pass no `within`.
  public var timeouts: Timeouts

  init(core: Core, timeouts: Timeouts) {
    reference = SocketReference(core: core)
    self.timeouts = timeouts
  }

  /// Makes a second descriptor for the same connection: see ``Connection/duplicate(file:line:)``.
  public borrowing func duplicate(
    file: StaticString = #fileID, line: UInt = #line
  ) throws(SocketError) -> ReceivingConnection {
    let core = try reference.core.duplicated(site: .init(file: file, line: line))
    return ReceivingConnection(core: core, timeouts: timeouts)
  }

  /// Gives the descriptor away as it is, with the sending side finished: see ``Connection/detach()``.
  ///
  /// - Throws: `.closed` when the connection has been closed meanwhile.
  public consuming func detach() throws(SocketError) -> DetachedDescriptor {
    let (number, unread) = try reference.core.detach()
    return DetachedDescriptor(descriptor: FileDescriptor(rawValue: number), unread: unread)
  }

  /// Closes the connection and reports how it ended: see `Connection.close(_:)`. The FIN has been sent already;
  /// the close waits for its acknowledgement, as the policy says.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  @discardableResult
  public consuming func close(_ policy: ClosePolicy = .confirmed) -> CloseReport { reference.core.close(policy) }

  /// Closes the connection in a task: see `Connection.close(_:)`. If the task is cancelled, the close becomes
  /// an abort and still returns its report.
  @discardableResult
  public consuming func close(_ policy: ClosePolicy = .confirmed) async -> CloseReport {
    await reference.core.close(policy)
  }

  /// Sends a reset and releases the descriptor at once: see ``Connection/abort()``.
  @discardableResult
  public consuming func abort() -> CloseReport { reference.core.close(.abort) }
}
