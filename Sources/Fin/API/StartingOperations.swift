/// The drivers of the verbs, one for threads and one for tasks. Both forms of a verb hand one
/// attempt to a driver.
extension SocketProtocol where Self: ~Copyable {
  /// Runs an operation on this socket, and blocks the thread while it waits.
  ///
  /// - Parameters:
  ///   - timeout: the time that the operation has.
  ///   - state: the state that it keeps between attempts.
  ///   - attempt: one non-blocking attempt.
  @inline(__always)
  borrowing func perform<R, State: OperationState>(
    _ entry: Gate.Entry, _ operation: SocketError.Operation, _ timeout: LazyDeadline, _ state: State,
    _ attempt: (Core, inout State, Access) throws(SocketError) -> Attempt<R>
  ) throws(SocketError) -> R {
    let core = reference.core
    var timeout = timeout
    var state = state
    return try core.perform(entry, operation, &timeout, &state) { state, access throws(SocketError) in
      try attempt(core, &state, access)
    }
  }

  /// Runs an operation on this socket, and suspends the task while it waits.
  ///
  /// Always inlined, because each call of an async function allocates a frame of its own.
  @inline(__always)
  borrowing func perform<R, State: OperationState>(
    _ entry: Gate.Entry, _ operation: SocketError.Operation, _ timeout: LazyDeadline, _ state: State,
    _ attempt: (Core, inout State, Access) throws(SocketError) -> Attempt<R>
  ) async throws(SocketError) -> R {
    let core = reference.core
    var timeout = timeout
    var state = state
    return try await core.perform(entry, operation, &timeout, &state) { state, access throws(SocketError) in
      try attempt(core, &state, access)
    }
  }
}
