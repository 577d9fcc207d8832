extension Core {
  /// Runs `body`, and closes the connection on every path: by `closing`, or by an abort when the body throws.
  func use<R, E: Error>(closing: ClosePolicy, _ body: () throws(E) -> R) throws(E) -> (result: R, end: CloseReport) {
    let value: R
    do { value = try body() } catch {
      _ = closeUnlessDetached(.abort)
      throw error
    }
    return (result: value, end: closeUnlessDetached(closing) ?? CloseReport(ending: .detached))
  }

  /// Runs `body` in a task, and closes the connection on every path: by `closing`, or by an abort when the body throws.
  nonisolated(nonsending) func use<R, E: Error>(
    closing: ClosePolicy, _ body: () async throws(E) -> R
  ) async throws(E) -> (result: R, end: CloseReport) {
    switch await inScope(body) {
    case .failure(let error):
      _ = await closeUnlessDetached(.abort)
      throw error
    case .success(let value):
      let report = await closeUnlessDetached(closing)
      return (result: value, end: report ?? CloseReport(ending: .detached))
    }
  }
}

extension Connection {
  /// Runs `body` with this connection, and closes it on every path: the scope of a connection that exists already, as
  /// `withConnection(to:)` is that of a new one.
  ///
  /// `defer` cannot close a connection, because closing consumes it. When the body returns, the connection is closed by
  /// `closing`; when it throws, the connection is aborted, so that the peer learns of it. The body may consume the
  /// connection: the scope ends what is left of it.
  /// ```swift
  /// let (line, end) = try listener.accept().use { client in try client.receiveLine() }
  /// ```
  /// - Parameters:
  ///   - closing: how the connection is closed when the body has returned.
  ///   - body: receives the connection.
  /// - Returns: the result of the body, and how the connection ended. With `detach()` in the body: ``Ending/detached``.
  /// - Throws: every error of the body.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  @discardableResult
  public consuming func use<R, E: Error>(
    closing: ClosePolicy = .confirmed, _ body: (consuming Connection) throws(E) -> R
  ) throws(E) -> (result: R, end: CloseReport) {
    let (core, timeouts) = (reference.core, timeouts)
    return try core.use(closing: closing) { () throws(E) -> R in try body(Connection(core: core, timeouts: timeouts)) }
  }

  /// Runs `body` with this connection in a task, and closes it on every path, as in a thread. When the task is
  /// cancelled, waits in the body throw `.cancelled`, and a close becomes an abort.
  @discardableResult
  public consuming func use<R, E: Error>(
    closing: ClosePolicy = .confirmed, _ body: (consuming Connection) async throws(E) -> R
  ) async throws(E) -> (result: R, end: CloseReport) {
    let (core, timeouts) = (reference.core, timeouts)
    return try await core.use(closing: closing) { () async throws(E) -> R in
      try await body(Connection(core: core, timeouts: timeouts))
    }
  }
}

extension ReceivingConnection {
  /// Runs `body` with this connection, and closes it on every path: see
  /// `Connection.use(closing:_:)`.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  @discardableResult
  public consuming func use<R, E: Error>(
    closing: ClosePolicy = .confirmed, _ body: (consuming ReceivingConnection) throws(E) -> R
  ) throws(E) -> (result: R, end: CloseReport) {
    let (core, timeouts) = (reference.core, timeouts)
    return try core.use(closing: closing) { () throws(E) -> R in
      try body(ReceivingConnection(core: core, timeouts: timeouts))
    }
  }

  /// Runs `body` with this connection in a task, and closes it on every path: see
  /// `Connection.use(closing:_:)`.
  @discardableResult
  public consuming func use<R, E: Error>(
    closing: ClosePolicy = .confirmed, _ body: (consuming ReceivingConnection) async throws(E) -> R
  ) async throws(E) -> (result: R, end: CloseReport) {
    let (core, timeouts) = (reference.core, timeouts)
    return try await core.use(closing: closing) { () async throws(E) -> R in
      try await body(ReceivingConnection(core: core, timeouts: timeouts))
    }
  }
}
