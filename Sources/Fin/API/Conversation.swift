extension Connection {
  /// Runs `body` with one deadline for all its calls: the deadline of a conversation, as `within:` is that of a call.
  ///
  /// No call in the body waits beyond it, whatever its own `within:`; after it, a call makes one attempt and then
  /// throws `.timedOut`. The connection stays open and the caller's. Halves and references that the body makes of it
  /// keep the deadline. A close does not: its policy has a time of its own. Of two deadlines, one within the other, the
  /// earlier holds.
  /// ```swift
  /// let reply = try connection.limited(to: .seconds(5)) { connection in
  ///   try connection.send("how are you?\n")
  ///   return try connection.receiveLine()
  /// }
  /// ```
  /// - Parameters:
  ///   - time: the time for all calls together, from now on.
  ///   - body: receives the connection with the deadline.
  /// - Returns: the result of the body.
  /// - Throws: every error of the body.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func limited<R, E: Error>(
    to time: Duration, _ body: (borrowing Connection) throws(E) -> R
  ) throws(E) -> R {
    try body(Connection(core: reference.core, timeouts: timeouts.ending(within: time)))
  }

  /// Runs `body` in a task with one deadline for all its calls, as in a thread.
  public borrowing func limited<R, E: Error>(
    to time: Duration, _ body: (borrowing Connection) async throws(E) -> R
  ) async throws(E) -> R {
    try await body(Connection(core: reference.core, timeouts: timeouts.ending(within: time)))
  }
}

extension ReceivingConnection {
  /// Runs `body` with one deadline for all its calls: see
  /// `Connection.limited(to:_:)`.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func limited<R, E: Error>(
    to time: Duration, _ body: (borrowing ReceivingConnection) throws(E) -> R
  ) throws(E) -> R {
    try body(ReceivingConnection(core: reference.core, timeouts: timeouts.ending(within: time)))
  }

  /// Runs `body` in a task with one deadline for all its calls: see
  /// `Connection.limited(to:_:)`.
  public borrowing func limited<R, E: Error>(
    to time: Duration, _ body: (borrowing ReceivingConnection) async throws(E) -> R
  ) async throws(E) -> R {
    try await body(ReceivingConnection(core: reference.core, timeouts: timeouts.ending(within: time)))
  }
}

extension SharedConnection {
  /// This reference with one deadline for all calls through it: see
  /// `Connection.limited(to:_:)`. Other references to the connection are not changed.
  public func limited(to time: Duration) -> SharedConnection {
    SharedConnection(core: reference.core, timeouts: timeouts.ending(within: time))
  }
}
