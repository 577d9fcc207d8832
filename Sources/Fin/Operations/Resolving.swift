extension Endpoint {
  /// Resolves the endpoint to its addresses, with the results of
  /// ``resolve(_:family:kind:within:limit:resolver:)-(_,_,_,Timeout,_,_)``, in a task. The task suspends until the name
  /// is resolved, and no thread of Swift's own is blocked.
  ///
  /// - Throws: the errors of the call in a thread; `.cancelled` when the task is cancelled.
  public func resolve(
    _ use: ResolveUse = .connect, family: AddressFamily? = nil, kind: SocketKind = .stream,
    within timeout: Timeout = .default, limit: Int = Endpoint.resultLimit,
    resolver: any Resolver = SystemResolver.shared
  ) async throws(ResolveError) -> [SocketAddress] {
    switch try plan(use, family: family, kind: kind, limit: limit, resolver) {
    case .known(let address): return [address]
    case .unknown(let lookup): return try await lookup.answer(within: timeout.forLookup)
    }
  }

  func resolved(
    for operation: SocketError.Operation, _ timeout: inout LazyDeadline,
    resolver: any Resolver = SystemResolver.shared
  ) throws(SocketError) -> [SocketAddress] {
    do {
      return try resolve(
        operation == .bind ? .listen : .connect, within: timeout.deadline.remaining.map { Timeout($0) } ?? .never,
        resolver: resolver)
    } catch { throw SocketError(operation, .unresolved(error)) }
  }

  nonisolated(nonsending) func resolved(
    for operation: SocketError.Operation, _ timeout: inout LazyDeadline,
    resolver: any Resolver = SystemResolver.shared
  ) async throws(SocketError) -> [SocketAddress] {
    do throws(ResolveError) {
      return try await resolve(
        operation == .bind ? .listen : .connect, within: timeout.deadline.remaining.map { Timeout($0) } ?? .never,
        resolver: resolver)
    } catch { throw SocketError(operation, error == .cancelled ? .cancelled : .unresolved(error)) }
  }
}

extension Lookup {
  /// Asks the question, and waits for the answer, in a task.
  nonisolated(nonsending) func answer(within duration: Duration) async throws(ResolveError) -> [SocketAddress] {
    guard duration > .zero else { throw .timedOut(name: question.subject, after: duration) }
    let registration: Registration
    do { registration = try Reactor.nearest().makeRegistration() } catch { throw .noReactor(reason: error.cause.text) }
    defer { registration.leave() }
    // Read before the question is asked: an answer that comes from then on ends the wait.
    let changes = registration.snapshot.changes
    let rendezvous = OneShot<Questions.Answer>(waking: registration)
    let caller = try begin(rendezvous)
    let wake = await registration.park(.change(since: changes), until: Deadline(after: duration))
    if let answer = rendezvous.delivered { return try kept(of: answer.get()) }
    leave(caller)
    switch wake {
    case .cancelled: throw .cancelled
    case .stopped: throw .noReactor(reason: SocketError.Cause.reactorStopped.text)
    case .timedOut, .ready, .look: throw .timedOut(name: question.subject, after: duration)
    }
  }
}
