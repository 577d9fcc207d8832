internal import Synchronization

extension StreamSocketProtocol where Self: ~Copyable {
  /// Whether the listener that accepted this connection is being stopped: a server's answer may say that it is the last
  /// one, as `Connection: close` does in HTTP.
  ///
  /// It is true from the first call of ``ListenerHandle/stop(after:within:)`` on, also while the listener still accepts
  /// clients, and `false` for a connection that no listener of Fin accepted.
  public var isDraining: Bool { reference.core.isDraining }
}

extension Receiving where Self: ~Copyable {
  /// Waits for the first byte of the next request, and leaves it unread.
  ///
  /// A handler that serves one request after the other waits between them with this. So a stop ends the wait at once
  /// where nothing is under way, and the client gets a FIN; a request that has begun is not disturbed.
  /// ```swift
  /// while try connection.isNextComing(within: .seconds(60)) {
  ///   guard let request = try connection.receiveLine() else { break }
  ///   try connection.send(answer(to: request))
  /// }
  /// ```
  /// - Parameter within: how long the client may stay idle; by default ``Timeouts/receive``.
  /// - Returns: whether a byte is there. `false` when the peer has finished, when the time is over, and when the server
  ///   is being stopped and no byte is there: the conversation is over, and nothing of it is lost. A client that has
  ///   not spoken yet keeps its wait, because its first request is under way; the stop closes it if it stays silent.
  /// - Throws: the errors of `receive(upTo:within:)`, without `.timedOut`.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func isNextComing(within: Timeout = .default) throws(SocketError) -> Bool {
    let core = reference.core
    core.awaitsNext.store(true, ordering: .sequentiallyConsistent)
    defer { core.awaitsNext.store(false, ordering: .sequentiallyConsistent) }
    do throws(SocketError) {
      return try perform(.reading, .receive, LazyDeadline(within, or: timeouts.receive), Stateless()) {
        core, _, access throws(SocketError) in
        try core.lookForNext(access)
      }
    } catch {
      if error.cause == .timedOut { return false }
      throw error
    }
  }

  /// Waits for the first byte of the next request in a task, and leaves it unread. `false` when the conversation is
  /// over, as in a thread.
  public borrowing func isNextComing(within: Timeout = .default) async throws(SocketError) -> Bool {
    let core = reference.core
    core.awaitsNext.store(true, ordering: .sequentiallyConsistent)
    defer { core.awaitsNext.store(false, ordering: .sequentiallyConsistent) }
    do throws(SocketError) {
      return try await perform(.reading, .receive, LazyDeadline(within, or: timeouts.receive), Stateless()) {
        core, _, access throws(SocketError) in
        try core.lookForNext(access)
      }
    } catch {
      if error.cause == .timedOut { return false }
      throw error
    }
  }
}
