extension IPAddress {
  /// Returns the name of the host with this address, in a task. No thread of Swift's own is blocked.
  ///
  /// - Throws: as in a thread; `.cancelled` when the task is cancelled.
  public func name(within timeout: Timeout = .default) async throws(ResolveError) -> String {
    let lookup = reverseLookup
    guard let name = try await lookup.answer(within: timeout.forLookup) else { throw lookup.missing }
    return name
  }
}

extension SystemResolver {
  /// Returns the name of the service at this port, in a task: `nil` when there is no such service.
  ///
  /// - Throws: as in a thread; `.cancelled` when the task is cancelled.
  public func serviceName(
    at port: UInt16, kind: SocketKind = .stream, within timeout: Timeout = .default
  ) async throws(ResolveError) -> String? {
    try await serviceLookup(port, kind).answer(within: timeout.forLookup)
  }
}

extension ReverseLookup {
  /// Asks the question, and waits for the answer, in a task.
  nonisolated(nonsending) func answer(within duration: Duration) async throws(ResolveError) -> String? {
    guard duration > .zero else { throw .timedOut(name: subject, after: duration) }
    let registration: Registration
    do { registration = try Reactor.nearest().makeRegistration() } catch { throw .noReactor(reason: error.cause.text) }
    defer { registration.leave() }
    // Read before the question is asked: an answer that comes from then on ends the wait.
    let changes = registration.snapshot.changes
    let rendezvous = OneShot<Answer>(waking: registration)
    try begin(rendezvous)
    let wake = await registration.park(.change(since: changes), until: Deadline(after: duration))
    if let answer = rendezvous.delivered { return try answer.get() }
    switch wake {
    case .cancelled: throw .cancelled
    case .stopped: throw .noReactor(reason: SocketError.Cause.reactorStopped.text)
    case .timedOut, .ready, .look: throw .timedOut(name: subject, after: duration)
    }
  }
}
