/// Opens a listener, runs `body` with it, and releases the port on every path.
///
/// Clients that still wait to be accepted at the end are reset; ``ListenerHandle/stop(after:within:)`` in the body
/// serves them first.
/// ```swift
/// try withListener(at: "localhost:7777") { listener in
///   print(listener.localAddress)
///   listener.serve(threads: 8) { client in try client.send("hello\n") }
/// }
/// ```
/// - Parameters:
///   - endpoint: the address, as `Listener.bind` takes it.
///   - backlog: the number of clients that may wait to be accepted.
///   - options: the options that have to be set before `bind`.
///   - timeouts: the timeouts of `accept`, and of the connections that it returns.
///   - file: where the socket is opened, for the report of a leak.
///   - line: see `file`.
///   - body: receives the listener, and may consume it.
/// - Returns: the result of the body.
/// - Throws: `SocketError` when the listener could not be opened; every error of the body.
@available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
public func withListener<R>(
  at endpoint: Endpoint, backlog: Int = Listener.defaultBacklog, options: Listener.Options = .init(),
  timeouts: Timeouts = .default, file: StaticString = #fileID, line: UInt = #line,
  _ body: (consuming Listener) throws -> R
) throws -> R {
  let listener = try Listener.bind(
    endpoint, backlog: backlog, options: options, timeouts: timeouts, file: file, line: line)
  let core = listener.reference.core
  defer { _ = core.closeListener() }
  return try body(listener)
}

/// Opens a listener, runs `body` with it in a task, and releases the port on every path, as in a thread.
public func withListener<R>(
  at endpoint: Endpoint, backlog: Int = Listener.defaultBacklog, options: Listener.Options = .init(),
  timeouts: Timeouts = .default, file: StaticString = #fileID, line: UInt = #line,
  _ body: (consuming Listener) async throws -> R
) async throws -> R {
  let listener = try await Listener.bind(
    endpoint, backlog: backlog, options: options, timeouts: timeouts, file: file, line: line)
  return try await ending(listener, body)
}

/// Opens a listener at an address, runs `body` with it, and releases the port on every path.
@available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
public func withListener<R>(
  at address: SocketAddress, backlog: Int = Listener.defaultBacklog, options: Listener.Options = .init(),
  timeouts: Timeouts = .default, file: StaticString = #fileID, line: UInt = #line,
  _ body: (consuming Listener) throws -> R
) throws -> R {
  let listener = try Listener.bind(
    address, backlog: backlog, options: options, timeouts: timeouts, file: file, line: line)
  let core = listener.reference.core
  defer { _ = core.closeListener() }
  return try body(listener)
}

/// Opens a listener at an address, runs `body` with it in a task, and releases the port on every path.
public func withListener<R>(
  at address: SocketAddress, backlog: Int = Listener.defaultBacklog, options: Listener.Options = .init(),
  timeouts: Timeouts = .default, file: StaticString = #fileID, line: UInt = #line,
  _ body: (consuming Listener) async throws -> R
) async throws -> R {
  let listener = try Listener.bind(
    address, backlog: backlog, options: options, timeouts: timeouts, file: file, line: line)
  return try await ending(listener, body)
}

private nonisolated(nonsending) func ending<R>(
  _ listener: consuming Listener, _ body: (consuming Listener) async throws -> R
) async throws -> R {
  let core = listener.reference.core
  do {
    let value = try await body(listener)
    _ = await core.closeListener()
    return value
  } catch {
    _ = await core.closeListener()
    throw error
  }
}
