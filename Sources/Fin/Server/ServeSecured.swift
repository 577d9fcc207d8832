#if TLS
extension Listener {
  /// Secures every client with TLS and serves it in a thread of its own, until the listener is stopped.
  ///
  /// The handshake runs in the client's own thread, before the handler and never in `accept`, within
  /// ``Timeouts/handshake`` of the listener's timeouts. A client with which it fails is aborted, after the alert that
  /// tells it why; the report counts it in ``ServerReport/securingsFailed``, and `onFailure` receives the error. A
  /// client that stalls in its handshake occupies one of the threads until the handshake's time is over.
  /// - Parameters:
  ///   - settings: the certificates. The expression is evaluated for each client, so that one that reads a variable of
  ///     the program gives new clients the renewed certificate.
  ///   - threads: the maximum number of connections at the same time; 1 or more.
  ///   - limits: the limits, and the number of spare descriptors.
  ///   - closing: how a connection is closed when its handler has returned.
  ///   - onFailure: receives each error of a handshake and each that a handler throws.
  ///   - file: the source location for the leak reports of accepted connections.
  ///   - line: see `file`.
  ///   - handler: receives each secured connection, in a thread where it may block.
  /// - Returns: how every connection ended. The listener is released by then.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  @discardableResult
  public borrowing func serve(
    securing settings: @autoclosure @escaping @Sendable () -> TLSServer, threads: Int,
    limits: ServerLimits = .default, closing: ClosePolicy = .lingering,
    onFailure: (@Sendable (HandlerFailure) -> Void)? = nil, file: StaticString = #fileID, line: UInt = #line,
    _ handler: @escaping @Sendable (consuming Connection) throws -> Void
  ) -> ServerReport {
    serve(
      threads: threads, limits: limits, closing: closing, onFailure: onFailure.map(unwrapping), file: file, line: line
    ) { connection in
      let secured: Connection
      do throws(SocketError) { secured = try connection.secured(as: .server(settings())) } catch {
        throw SecuringFailure(error: error)
      }
      try handler(secured)
    }
  }

  /// Secures every client with TLS and serves it in a task of its own, until the listener is stopped or the calling
  /// task is cancelled.
  ///
  /// The handshake runs in the client's own task, before the handler and never in `accept`. A client that stalls in it
  /// holds no thread, and counts among `connections` until ``Timeouts/handshake`` of the listener's timeouts is over.
  /// Failures are counted and reported as in ``serve(securing:threads:limits:closing:onFailure:file:line:_:)``.
  /// - Parameters:
  ///   - settings: the certificates. The expression is evaluated for each client, so that one that reads a variable of
  ///     the program gives new clients the renewed certificate.
  ///   - reactor: the reactor whose loops run the handlers; `nil` for ``Reactor/shared``.
  ///   - connections: the maximum number of connections at the same time; 1 or more.
  ///   - limits: the other limits, and the number of spare descriptors.
  ///   - closing: how a connection is closed when its handler has returned.
  ///   - onFailure: receives each error of a handshake and each that a handler throws.
  ///   - file: the source location for the leak reports of accepted connections.
  ///   - line: see `file`.
  ///   - handler: receives each secured connection. It must not block its thread, which other tasks share.
  /// - Returns: how every connection ended, when the last handler has returned. The listener is released by then.
  @discardableResult
  public borrowing func serve(
    securing settings: @autoclosure @escaping @Sendable () -> TLSServer, on reactor: Reactor? = nil,
    connections: Int = 65_536, limits: ServerLimits = .default, closing: ClosePolicy = .lingering,
    onFailure: (@Sendable (HandlerFailure) -> Void)? = nil, file: StaticString = #fileID, line: UInt = #line,
    _ handler: @escaping @Sendable (consuming Connection) async throws -> Void
  ) async -> ServerReport {
    await serve(
      on: reactor, connections: connections, limits: limits, closing: closing, onFailure: onFailure.map(unwrapping),
      file: file, line: line
    ) { connection in
      let secured: Connection
      do throws(SocketError) { secured = try await connection.secured(as: .server(settings())) } catch {
        throw SecuringFailure(error: error)
      }
      try await handler(secured)
    }
  }
}

/// Passes on the error of a handshake itself.
private func unwrapping(
  _ onFailure: @escaping @Sendable (HandlerFailure) -> Void
) -> @Sendable (HandlerFailure) -> Void {
  { failure in
    guard let error = (failure.error as? SecuringFailure)?.error else { return onFailure(failure) }
    onFailure(HandlerFailure(remoteAddress: failure.remoteAddress, error: error))
  }
}
#endif
