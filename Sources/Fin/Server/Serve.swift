internal import SystemPackage

extension Listener {
  /// Serves every client in a thread of its own until the listener is stopped; blocks until then.
  ///
  /// The handler owns a connection until it returns; the connection is then closed by `closing`. If the handler throws,
  /// the connection is aborted, so that the peer learns of it. A client that arrives while all threads are busy waits
  /// in the kernel's accept queue.
  ///
  /// The server survives running out of descriptors: it accepts no client until there are descriptors again, keeps the
  /// queue, and meanwhile closes its `limits.descriptorsInReserve` spare descriptors so that running connections can go
  /// on. It also survives every other error of accept, such as that of a filter that forbids the call, as long as the
  /// listener still listens: it tries again after a pause of 5 ms, which grows to 1 s and ends with the first client
  /// accepted. The report counts both.
  ///
  /// Several servers, in threads and tasks, may serve a listener at the same time. Each has its own limits, waits and
  /// report, and accepts its share of the clients; a pause, a resumption, a stop and its deadline apply to all of them.
  ///
  /// ``stop(after:within:)``, on this listener or its ``handle``, ends the server. The stop itself resets no queued
  /// client, and running handlers may finish within the given time. After that time, unfinished connections are
  /// aborted, and clients that are still queued are reset.
  /// - Parameters:
  ///   - threads: the maximum number of connections at the same time; 1 or more. A thread is started when it is
  ///     first needed.
  ///   - limits: the limits, and the number of spare descriptors.
  ///   - closing: how a connection is closed when its handler has returned.
  ///   - onFailure: receives each error that a handler throws, where the handler ran, after its connection was aborted.
  ///     The report keeps the first ones.
  ///   - file: the source location for the leak reports of accepted connections.
  ///   - line: see `file`.
  ///   - handler: receives each connection, in a thread where it may block.
  /// - Returns: how every connection ended. The listener is released by then.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  @discardableResult
  public borrowing func serve(
    threads: Int, limits: ServerLimits = .default, closing: ClosePolicy = .lingering,
    onFailure: (@Sendable (HandlerFailure) -> Void)? = nil, file: StaticString = #fileID, line: UInt = #line,
    _ handler: @escaping @Sendable (consuming Connection) throws -> Void
  ) -> ServerReport {
    precondition(threads > 0, "serve(threads:) needs a thread")
    let server = ThreadServer(
      listener: reference.core, threads: threads, limits: limits, timeouts: timeouts, closing: closing,
      onFailure: onFailure, site: .init(file: file, line: line), handler: handler)
    return server.run()
  }

  /// Serves every client in a task of its own until the listener is stopped or the calling task is cancelled.
  ///
  /// The handlers are child tasks, spread over the reactor's loops. Each runs on its loop's own thread, where it waits
  /// for its socket without a thread switch. They inherit the caller's task-local values and priority; cancelling the
  /// caller cancels them, and stops the listener with no time left.
  ///
  /// The handler owns a connection until it returns; the connection is then closed by `closing`. If the handler throws,
  /// the connection is aborted, so that the peer learns of it. A client that arrives while there are as many
  /// connections as `connections` allows waits in the kernel's accept queue. The server survives running out of
  /// descriptors and errors of accept, and several servers may serve a listener at the same time, as in
  /// ``serve(threads:limits:closing:onFailure:file:line:_:)``.
  ///
  /// ``stop(after:within:)``, on this listener or its ``handle``, ends the server. The stop itself resets no queued
  /// client, and running handlers may finish within the given time. After that time, unfinished handlers are cancelled
  /// and their connections aborted, and clients that are still queued are reset.
  /// - Parameters:
  ///   - reactor: the reactor whose loops run the handlers; `nil` for ``Reactor/shared``.
  ///   - connections: the maximum number of connections at the same time; 1 or more.
  ///   - limits: the other limits, and the number of spare descriptors.
  ///   - closing: how a connection is closed when its handler has returned.
  ///   - onFailure: receives each error that a handler throws, where the handler ran, after its connection was aborted.
  ///     The report keeps the first ones.
  ///   - file: the source location for the leak reports of accepted connections.
  ///   - line: see `file`.
  ///   - handler: receives each connection. It must not block its thread, which other tasks share.
  /// - Returns: how every connection ended, when the last handler has returned. The listener is released by then.
  @discardableResult
  public borrowing func serve(
    on reactor: Reactor? = nil, connections: Int = 65_536, limits: ServerLimits = .default,
    closing: ClosePolicy = .lingering, onFailure: (@Sendable (HandlerFailure) -> Void)? = nil,
    file: StaticString = #fileID, line: UInt = #line,
    _ handler: @escaping @Sendable (consuming Connection) async throws -> Void
  ) async -> ServerReport {
    precondition(connections > 0, "serve needs room for a connection")
    let server = TaskServer(
      listener: reference.core, connections: connections, limits: limits, timeouts: timeouts, closing: closing,
      onFailure: onFailure, site: .init(file: file, line: line), handler: handler)
    return await server.run(on: reactor)
  }
}
