/// Connects, runs `body` with the connection, and closes it on every path.
///
/// When the body returns, the connection is closed by `closing`. When the body throws, the connection is aborted, so
/// that the peer learns of it, and the error is rethrown. The body may consume the connection (finish sending, share,
/// close it itself): the scope ends what is left of it.
/// ```swift
/// let (reply, end) = try withConnection(to: "example.net:7") { connection in
///   try connection.send("hello\n")
///   return try connection.receiveLine()
/// }
/// print(end)  // peer finished in …
/// ```
/// - Parameters:
///   - endpoint: the peer: `"example.net:7"`, `"[::1]:7"`, `"/run/x.sock"`.
///   - within: the timeout of the resolution and all attempts together; by default ``Timeouts/connect``.
///   - timeouts: the timeouts of calls on this connection that do not give their own.
///   - options: where the connection comes from, and how the addresses of a name are tried.
///   - closing: how the connection is closed when the body has returned.
///   - file: where the socket is opened, for a leak's report.
///   - line: see `file`.
///   - body: receives the connection.
/// - Returns: the result of the body, and how the connection ended. With `detach()` in the body: ``Ending/detached``.
/// - Throws: `SocketError` when no connection could be made; every error of the body.
@available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
public func withConnection<R>(
  to endpoint: Endpoint, within: Timeout = .default, timeouts: Timeouts = .default,
  options: DialOptions = DialOptions(), closing: ClosePolicy = .confirmed, file: StaticString = #fileID,
  line: UInt = #line, _ body: (consuming Connection) throws -> R
) throws -> (result: R, end: CloseReport) {
  var timeout = timeouts.connecting(within)
  let core = try Core.connected(to: endpoint, options, timeouts, &timeout, site: .init(file: file, line: line))
  return try Connection(core: core, timeouts: timeouts).use(closing: closing, body)
}

/// Connects, runs `body` with the connection, and closes it on every path, in a task.
///
/// When the body returns, the connection is closed by `closing`. When the body throws, the connection is aborted, so
/// that the peer learns of it, and the error is rethrown. When the task is cancelled, waits in the body throw
/// `.cancelled`, and a close becomes an abort. The body may consume the connection (finish sending, share, close it
/// itself): the scope ends what is left of it.
/// ```swift
/// let (reply, end) = try await withConnection(to: "example.net:7") { connection in
///   try await connection.send("hello\n")
///   return try await connection.receiveLine()
/// }
/// print(end)  // peer finished in …
/// ```
/// - Parameters:
///   - endpoint: the peer: `"example.net:7"`, `"[::1]:7"`, `"/run/x.sock"`.
///   - within: the timeout of the resolution and all attempts together; by default ``Timeouts/connect``.
///   - timeouts: the timeouts of calls on this connection that do not give their own.
///   - options: where the connection comes from, and how the addresses of a name are tried.
///   - closing: how the connection is closed when the body has returned.
///   - file: where the socket is opened, for a leak's report.
///   - line: see `file`.
///   - body: receives the connection, and runs where the caller runs.
/// - Returns: the result of the body, and how the connection ended. With `detach()` in the body: ``Ending/detached``.
/// - Throws: `SocketError` when no connection could be made; every error of the body.
public func withConnection<R>(
  to endpoint: Endpoint, within: Timeout = .default, timeouts: Timeouts = .default,
  options: DialOptions = DialOptions(), closing: ClosePolicy = .confirmed, file: StaticString = #fileID,
  line: UInt = #line, _ body: (consuming Connection) async throws -> R
) async throws -> (result: R, end: CloseReport) {
  var timeout = timeouts.connecting(within)
  let core = try await Core.connected(to: endpoint, options, timeouts, &timeout, site: .init(file: file, line: line))
  return try await Connection(core: core, timeouts: timeouts).use(closing: closing, body)
}

/// Connects to an address, runs `body` with the connection, and closes it on every path: see the form for an endpoint.
@available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
public func withConnection<R>(
  to peer: SocketAddress, within: Timeout = .default, timeouts: Timeouts = .default,
  options: DialOptions = DialOptions(), closing: ClosePolicy = .confirmed, file: StaticString = #fileID,
  line: UInt = #line, _ body: (consuming Connection) throws -> R
) throws -> (result: R, end: CloseReport) {
  try Connection.connect(
    to: peer, within: within, timeouts: timeouts, options: options, file: file, line: line
  ).use(closing: closing, body)
}

/// Connects to an address, runs `body` with the connection in a task, and closes it on every path: see the form for
/// an endpoint.
public func withConnection<R>(
  to peer: SocketAddress, within: Timeout = .default, timeouts: Timeouts = .default,
  options: DialOptions = DialOptions(), closing: ClosePolicy = .confirmed, file: StaticString = #fileID,
  line: UInt = #line, _ body: (consuming Connection) async throws -> R
) async throws -> (result: R, end: CloseReport) {
  try await Connection.connect(
    to: peer, within: within, timeouts: timeouts, options: options, file: file, line: line
  ).use(closing: closing, body)
}
