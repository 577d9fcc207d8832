/// Connecting to one of several servers that offer the same.
extension Connection {
  /// Connects to the first of several endpoints that answers: a server, and those that take its place.
  ///
  /// All their addresses are tried in one race (RFC 8305), the endpoints in their order: the next address when an
  /// attempt fails or has run for 250 ms, while the earlier attempts go on. So a server that refuses costs nothing, and
  /// one that does not answer costs 250 ms. An endpoint whose name has no address is left out. All share one deadline,
  /// and the lookup of a name may take its part of it.
  /// - Parameters:
  ///   - endpoints: the endpoints, the preferred one first.
  ///   - within: the timeout of all lookups and attempts together; by default ``Timeouts/connect``.
  ///   - timeouts: the connection's timeouts, for calls that pass no `within`.
  ///   - options: the source address and ports, and the limits of the race.
  ///   - file: where the socket is opened, for the report of a leak.
  ///   - line: see `file`.
  /// - Throws: `.unresolved` when no endpoint has an address; `.timedOut`; otherwise the cause of the last attempt that
  ///   failed. ``SocketError/attempts`` has all of them. `.invalid` when there is no endpoint.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public static func connect(
    toFirstOf endpoints: [Endpoint], within: Timeout = .default, timeouts: Timeouts = .default,
    options: DialOptions = DialOptions(), file: StaticString = #fileID, line: UInt = #line
  ) throws(SocketError) -> Connection {
    var timeout = timeouts.connecting(within)
    let site = Ledger.Site(file: file, line: line)
    let core = try Core.connected(toFirstOf: endpoints, options, timeouts, &timeout, site: site)
    return Connection(core: core, timeouts: timeouts)
  }

  /// Connects to the first of several endpoints that answers, and suspends the task meanwhile. Throws as the blocking
  /// overload does, and `.cancelled` when the task is cancelled.
  public static func connect(
    toFirstOf endpoints: [Endpoint], within: Timeout = .default, timeouts: Timeouts = .default,
    options: DialOptions = DialOptions(), file: StaticString = #fileID, line: UInt = #line
  ) async throws(SocketError) -> Connection {
    var timeout = timeouts.connecting(within)
    let site = Ledger.Site(file: file, line: line)
    let core = try await Core.connected(toFirstOf: endpoints, options, timeouts, &timeout, site: site)
    return Connection(core: core, timeouts: timeouts)
  }
}
