internal import SystemPackage

extension Listener {
  /// Serves every client in a thread of its own, until the listener is stopped; blocks until then.
  ///
  /// A connection is in the handler's hands until the handler returns: then it is closed by `closing`; if the handler throws,
  /// it is aborted, so that the peer learns. A client that comes while all threads are busy waits in the kernel's queue.
  ///
  /// Running out of descriptors is survived: no client is taken until there are descriptors again, the queue is kept, and
  /// `limits.descriptorsInReserve` descriptors are let go meanwhile for what is running. So is every other error of accept,
  /// such as that of a filter that forbids it, as long as the listener is one: it is tried again after a pause of 5 ms, which
  /// grows to 1 s and ends with the first client taken. The report counts both.
  ///
  /// A listener may be served more than once at the same time, by threads and tasks: each server has its own limits, waits
  /// and report, and takes its share of the clients; a pause, a resumption, a stop and its deadline hold for all of them.
  ///
  /// ``stop(within:)``, on this listener or its ``handle``, ends it: no queued client is reset, what runs may finish within
  /// the time given, what has not finished by then is aborted.
  /// - Parameters:
  ///   - threads: connections at the same time, at most; 1 or more. A thread is started when it is first needed.
  ///   - limits: what is allowed, and what is kept back.
  ///   - closing: how a connection ends whose handler returned.
  ///   - file: what leaks of accepted connections are reported with.
  ///   - line: see `file`.
  ///   - handler: gets each connection, in a thread where it may block.
  /// - Returns: how every connection ended. The listener is released by then.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  @discardableResult
  public borrowing func serve(
    threads: Int, limits: Limits = .default, closing: ClosePolicy = .lingering, file: StaticString = #fileID,
    line: UInt = #line, _ handler: @escaping @Sendable (consuming Connection) throws -> Void
  ) -> ServerReport {
    precondition(threads > 0, "serve(threads:) needs a thread")
    let server = ThreadServer(
      listener: reference.core, threads: threads, limits: limits, timeouts: timeouts, closing: closing,
      site: .init(file: file, line: line), handler: handler)
    return server.run()
  }

  /// Serves every client in a task of its own, until the listener is stopped or the calling task is cancelled.
  ///
  /// The handlers are child tasks, spread over the reactor's loops; each runs on its loop's own thread, where its socket is
  /// waited for without a hop. They see the caller's task-local values and have its priority; cancelling the caller cancels
  /// them, and stops the listener with no time left.
  ///
  /// A connection is in the handler's hands until the handler returns: then it is closed by `closing`; if the handler throws,
  /// it is aborted, so that the peer learns. A client that comes while there are as many connections as `limits` allows waits in
  /// the kernel's queue. Running out of descriptors and errors of accept are survived, and a listener may be served more than
  /// once at the same time, as in ``serve(threads:limits:closing:file:line:_:)``.
  ///
  /// ``stop(within:)``, on this listener or its ``handle``, ends it: no queued client is reset, what runs may finish within the
  /// time given, what has not finished by then is cancelled and aborted.
  /// - Parameters:
  ///   - reactor: whose loops the handlers run on; `nil` for ``Reactor/shared``.
  ///   - limits: what is allowed, and what is kept back.
  ///   - closing: how a connection ends whose handler returned.
  ///   - file: what leaks of accepted connections are reported with.
  ///   - line: see `file`.
  ///   - handler: gets each connection. It must not block its thread, which others share.
  /// - Returns: how every connection ended, when the last handler has returned. The listener is released by then.
  @discardableResult
  public borrowing func serve(
    on reactor: Reactor? = nil, limits: Limits = .default, closing: ClosePolicy = .lingering,
    file: StaticString = #fileID, line: UInt = #line,
    _ handler: @escaping @Sendable (consuming Connection) async throws -> Void
  ) async -> ServerReport {
    precondition(limits.connections > 0, "serve needs room for a connection")
    let server = TaskServer(
      listener: reference.core, limits: limits, timeouts: timeouts, closing: closing,
      site: .init(file: file, line: line), handler: handler)
    return await server.run(on: reactor)
  }
}
