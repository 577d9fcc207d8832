extension Endpoint {
  /// Resolves the endpoint to its addresses, with the results of
  /// ``resolve(_:family:kind:within:limit:)-(_,_,_,Timeout,_)``, in a task. The task suspends until the name is
  /// resolved, and no thread of Swift's own is blocked.
  ///
  /// - Throws: the errors of the call in a thread; `.cancelled` when the task is cancelled.
  public func resolve(
    _ use: ResolveUse = .connect, family: AddressFamily? = nil, kind: SocketKind = .stream,
    within timeout: Timeout = .default, limit: Int = Endpoint.resultLimit
  ) async throws(ResolveError) -> [SocketAddress] {
    switch try plan(use, family: family, kind: kind, limit: limit) {
    case .known(let address): return [address]
    case .unknown(let lookup): return try await lookup.answer(within: timeout.forLookup)
    }
  }

  func resolved(for operation: SocketError.Operation, _ timeout: inout LazyDeadline) throws(SocketError)
    -> [SocketAddress]
  {
    do {
      return try resolve(
        operation == .bind ? .listen : .connect, within: timeout.deadline.remaining.map { Timeout($0) } ?? .never)
    } catch { throw SocketError(operation, .unresolved(error)) }
  }

  nonisolated(nonsending) func resolved(
    for operation: SocketError.Operation, _ timeout: inout LazyDeadline
  ) async throws(SocketError) -> [SocketAddress] {
    do throws(ResolveError) {
      return try await resolve(
        operation == .bind ? .listen : .connect, within: timeout.deadline.remaining.map { Timeout($0) } ?? .never)
    } catch { throw SocketError(operation, error == .cancelled ? .cancelled : .unresolved(error)) }
  }
}

extension Lookup {
  /// Starts the lookup and waits for its answer, in a task.
  nonisolated(nonsending) func answer(
    within duration: Duration, slots: Slots = .shared,
    asking question: @escaping @Sendable (Lookup) -> Answer = { $0.ask() }
  ) async throws(ResolveError) -> [SocketAddress] {
    guard duration > .zero else { throw .timedOut(name: subject, after: duration) }
    let registration: Registration
    do { registration = try Reactor.nearest().makeRegistration() } catch { throw .noReactor(reason: error.cause.text) }
    defer { registration.leave() }
    // Read before the lookup starts: an answer that comes from then on ends the wait.
    let changes = registration.snapshot.changes
    let rendezvous = OneShot<Answer>(waking: registration)
    try begin(slots: slots, asking: question) { rendezvous.deliver($0) }
    let wake = await registration.park(.change(since: changes), until: Deadline(after: duration))
    if let answer = rendezvous.delivered { return try answer.get() }
    switch wake {
    case .cancelled: throw .cancelled
    case .stopped: throw .noReactor(reason: SocketError.Cause.reactorStopped.text)
    case .timedOut, .ready, .look: throw .timedOut(name: subject, after: duration)
    }
  }
}
