#if TLS
/// Connects, secures the connection with TLS, runs `body` with it, and closes it on every path.
///
/// The server's certificate must have the name or the IP address of the endpoint, unless the settings trust otherwise.
/// The rest is as with a plain connection.
/// - Parameters:
///   - endpoint: the server: `"example.net:443"`.
///   - settings: whom to trust. They are made once, for all connections.
///   - name: the name that the certificate must have, if it is not the endpoint's host.
///   - within: the timeout of the resolution and all attempts together; by default ``Timeouts/connect``. The handshake
///     has ``Timeouts/handshake`` after it.
///   - timeouts: the timeouts of calls on this connection that do not give their own.
///   - options: where the connection comes from, and how the addresses of a name are tried.
///   - closing: how the connection is closed when the body has returned.
///   - file: where the socket is opened, for a leak's report.
///   - line: see `file`.
///   - body: receives the secured connection.
/// - Returns: the result of the body, and how the connection ended.
/// - Throws: `SocketError` when no connection could be made or secured; every error of the body.
@available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
public func withConnection<R>(
  to endpoint: Endpoint, securing settings: TLSClient, named name: String? = nil, within: Timeout = .default,
  timeouts: Timeouts = .default, options: DialOptions = DialOptions(), closing: ClosePolicy = .confirmed,
  file: StaticString = #fileID, line: UInt = #line, _ body: (consuming Connection) throws -> R
) throws -> (result: R, end: CloseReport) {
  try Connection.connect(
    to: endpoint, within: within, timeouts: timeouts, options: options, file: file, line: line
  ).secured(as: name.map { .client(for: $0, settings) } ?? .client(of: endpoint, settings)).use(closing: closing, body)
}

/// Connects, secures the connection with TLS, runs `body` with it, and closes it on every path, in a task: as in a
/// thread. When the task is cancelled, waits throw `.cancelled`, and a close becomes an abort.
public func withConnection<R>(
  to endpoint: Endpoint, securing settings: TLSClient, named name: String? = nil, within: Timeout = .default,
  timeouts: Timeouts = .default, options: DialOptions = DialOptions(), closing: ClosePolicy = .confirmed,
  file: StaticString = #fileID, line: UInt = #line, _ body: (consuming Connection) async throws -> R
) async throws -> (result: R, end: CloseReport) {
  try await Connection.connect(
    to: endpoint, within: within, timeouts: timeouts, options: options, file: file, line: line
  ).secured(as: name.map { .client(for: $0, settings) } ?? .client(of: endpoint, settings)).use(closing: closing, body)
}
#endif
