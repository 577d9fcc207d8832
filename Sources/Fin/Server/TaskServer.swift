internal import Synchronization
internal import SystemPackage

/// The accept loop of `serve` in tasks: one task accepts, and every client has a child task on one of the
/// reactor's loops.
final class TaskServer: Sendable {
  private let listener: Core
  private let connections: Int
  private let limits: ServerLimits
  private let timeouts: Timeouts
  private let closing: ClosePolicy
  private let onFailure: (@Sendable (HandlerFailure) -> Void)?
  private let site: Ledger.Site
  private let handler: @Sendable (consuming Connection) async throws -> Void

  private struct State {
    var admission = Admission()
    /// The accepting task's registration, which the next handler that finishes wakes.
    var waiter: Registration?
  }

  private let state = Mutex(State())

  init(
    listener: Core, connections: Int, limits: ServerLimits, timeouts: Timeouts, closing: ClosePolicy,
    onFailure: (@Sendable (HandlerFailure) -> Void)?, site: Ledger.Site,
    handler: @escaping @Sendable (consuming Connection) async throws -> Void
  ) {
    self.listener = listener
    self.connections = connections
    self.limits = limits
    self.timeouts = timeouts
    self.closing = closing
    self.onFailure = onFailure
    self.site = site
    self.handler = handler
  }

  func run(on chosen: Reactor?) async -> ServerReport {
    let reactor: Reactor
    let home: EventLoop
    let registration: Registration
    do throws(SocketError) {
      if let chosen { reactor = chosen } else { reactor = try Reactor.shared }
      home = reactor.next()
      do throws(WaitError) { registration = try home.makeRegistration() } catch {
        throw listener.error(.accept, error.cause)
      }
    } catch {
      await listener.end()
      var report = ServerReport()
      report.failure = error
      return report
    }
    let watch = ServerWatch(
      .init(
        listener: listener, limits: limits.conversation,
        active: { self.state.withLock { $0.admission.active } },
        change: { change in self.state.withLock { change(&$0.admission) } }))
    await withTaskExecutorPreference(home) { await serve(reactor, registration) }
    watch.end()
    registration.leave()
    return state.withLock { $0.admission.report }
  }

  /// - Parameter registration: the registration on which the accepting task waits for everything but clients.
  @concurrent
  private func serve(_ reactor: Reactor, _ registration: Registration) async {
    // A stop, a pause and a resumption wake this registration. If the listener is closed already, the first accept
    // fails.
    _ = listener.gate.park(registration)
    defer { listener.gate.unpark(registration) }
    listener.hearStops(registration)
    defer { listener.unhearStops(registration) }
    await withDiscardingTaskGroup { group in
      var hardship = AcceptRecovery(limits)
      await acceptAll(reactor, registration, &hardship, into: &group)
      hardship.reserve.empty()
      await drain(registration, &group)
    }
  }

  // MARK: Accepting

  private func acceptAll(
    _ reactor: Reactor, _ registration: Registration, _ hardship: inout AcceptRecovery,
    into group: inout DiscardingTaskGroup
  ) async {
    while await awaitRoom(registration) {
      var timeout = LazyDeadline(.never)
      do {
        let client = try await listener.accept(&timeout, site: site)
        hardship.succeeded()
        switch admit(client) {
        case .served:
          // `@concurrent`, with a preference for the loop: the closure would otherwise inherit the accepting task's
          // isolation.
          group.addTask(executorPreference: reactor.next()) { @concurrent in await self.serve(client) }
        case .refused(let farewell?):
          group.addTask(executorPreference: reactor.next()) { @concurrent in await self.part(client, farewell) }
        case .refused(nil): _ = await client.close(.abort)
        }
      } catch {
        switch error.cause {
        case .closed: return state.withLock { $0.admission.report.handshakesCut += listener.takeHandshakesCut() }
        // Cancellation is a stop with no time left.
        case .cancelled: listener.stop(within: .zero)
        case .paused: await awaitChange(registration) { listener.phase == .paused }
        default:
          switch state.withLock({ hardship.way(after: error, listener, &$0.admission.report) }) {
          case .awaitRoom: await awaitDescriptors(registration, &hardship)
          case .rest(let pause): await awaitWord(registration, atMost: pause)
          case .end:
            state.withLock { $0.admission.report.failure = error }
            await listener.end()
            // No stop will follow. The handlers get the time that a stop would have given them.
            listener.stop(within: .seconds(10))
            return
          }
        }
      }
    }
    // The drain's time is over: closing the port resets the clients that are still queued.
    var timeout = LazyDeadline(.never)
    while let pause = listener.pauseBeforeCounting() {
      do { try await listener.awaitHandshakes(pause, &timeout) } catch { break }
    }
    let handshakes = listener.handshakes
    let reset = await listener.closeListener().clientsReset
    state.withLock { state in
      state.admission.report.clientsReset += reset
      state.admission.report.handshakesCut += handshakes
    }
  }

  private enum Verdict {
    case served
    /// The client gets a farewell, or a reset.
    case refused(Farewell?)
  }

  private func admit(_ client: Core) -> Verdict {
    client.share()
    return state.withLock { state in
      let hasPlace = state.admission.count < connections
      return hasPlace && state.admission.admit(client, limits)
        ? .served : .refused(state.admission.refuse(client, limits))
    }
  }

  private func part(_ client: Core, _ farewell: Farewell) async {
    let end = await client.part(with: farewell)
    wakeWaiter { $0.parted(client, end) }
  }

  /// Refuses a client that has a place, which is free then.
  private func refuse(_ client: Core) async {
    var farewell: Farewell?
    wakeWaiter { farewell = $0.refuse(client, limits) }
    if let farewell { await part(client, farewell) } else { _ = await client.close(.abort) }
  }

  /// Changes the admission, and lets the accepting task look again.
  private func wakeWaiter(_ change: (inout Admission) -> Void) {
    let waiter = state.withLock { state in
      change(&state.admission)
      return state.waiter.take()
    }
    waiter?.wake()
  }

  /// Waits until there is room for one more connection, or for a farewell to a client that finds none.
  ///
  /// - Returns: `false` when no more clients are to be accepted, because the drain's time is over.
  private func awaitRoom(_ registration: Registration) async -> Bool {
    let isFull = {
      self.state.withLock {
        $0.admission.count >= self.connections && !$0.admission.mayPartWhenFull(self.limits)
      }
    }
    if isFull() { await awaitChange(registration, while: isFull) }
    return !listener.drainDeadline.hasPassed
  }

  /// Closes the spare descriptors, so that running connections can go on, and waits until they can be opened again.
  private func awaitDescriptors(_ registration: Registration, _ hardship: inout AcceptRecovery) async {
    state.withLock { hardship.letGo(&$0.admission.report) }
    repeat {
      // Until a handler finishes, or for a pause: a descriptor that is closed elsewhere in the process wakes no wait.
      await awaitWord(registration, atMost: hardship.nextPause())
    } while !hardship.reserve.fill() && !listener.drainDeadline.hasPassed && !listener.gate.isClosing
  }

  /// Waits until a handler finishes, the listener is stopped, paused, resumed or closed, or the time is over.
  private func awaitWord(_ registration: Registration, atMost: Duration) async {
    var isFirst = true
    await awaitChange(registration, atMost: atMost) {
      defer { isFirst = false }
      return isFirst
    }
  }

  /// Waits while `isWanting`, and evaluates it again after each handler that finishes and each stop, pause or
  /// resumption of the listener. Returns at the latest when `atMost` or the drain's time is over, or when the
  /// listener closes.
  private func awaitChange(_ registration: Registration, atMost: Duration? = nil, while isWanting: () -> Bool) async {
    let end = atMost.map { Deadline(after: $0) } ?? .never
    while true {
      // Before the check: a change from here on ends the wait.
      state.withLock { $0.waiter = registration }
      let changes = registration.snapshot.changes
      let deadline = min(listener.drainDeadline, end)
      if !isWanting() || deadline.hasPassed || listener.gate.isClosing { return }
      switch await registration.park(.change(since: changes), until: deadline) {
      case .ready, .look, .timedOut: break
      case .cancelled, .stopped: return listener.stop(within: .zero)
      }
    }
  }

  // MARK: Serving

  // Inlined: an async frame of its own would be kept for each client.
  @inline(__always)
  private func serve(_ client: Core) async {
    // Only this server cancels this task, and it then wakes the waits for the client.
    client.scope.enter()
    var failure: (any Error)?
    do {
      if let proxies = limits.proxies { try await takeProxyHeader(of: client, proxies) }
      try await handler(Connection(core: client, timeouts: timeouts))
    } catch { failure = error }
    client.scope.leave()
    await finish(client, failure)
  }

  // [outlined slow path] Keeps its locals out of the async frame while the handler runs.
  @inline(never)
  private func finish(_ client: Core, _ error: (any Error)?) async {
    if error is PeerRefusal { return await refuse(client) }
    let failure = error.map { HandlerFailure(remoteAddress: client.peer, error: $0) }
    // Only the server cancels this task: when it is cancelled itself, and at the end of the drain.
    let isCancelled = Task.isCancelled && client.phase != .closed
    let report = await client.closeUnlessDetached(
      failure == nil ? closing : state.withLock { $0.admission.policyAfterFailure(of: client) })
    let isCut = isCancelled && report?.ending == .aborted
    wakeWaiter { $0.dismiss(client, report, limits, failure: failure, isCut: isCut) }
    if let failure { onFailure?(failure) }
  }

  // [outlined slow path] Few servers are behind a proxy.
  @inline(never)
  private func takeProxyHeader(of client: Core, _ proxies: [AddressPrefix]) async throws {
    try await client.takeProxyHeader(from: proxies, within: limits.proxyHeaderTime)
    let address = (client.connectionState.value.originalAddress ?? client.peer)?.ip
    if !state.withLock({ $0.admission.count(client, at: address, limits) }) { throw PeerRefusal() }
  }

  // MARK: Stopping

  /// Waits for the handlers. At the end of the drain's time they are cancelled, and the connections that they still
  /// hold are aborted.
  private func drain(_ registration: Registration, _ group: inout DiscardingTaskGroup) async {
    while true {
      state.withLock { $0.waiter = registration }
      let changes = registration.snapshot.changes
      if state.withLock({ $0.admission.isEmpty }) { return }
      let deadline = listener.drainDeadline
      if deadline.hasPassed { break }
      let wake = await registration.park(.change(since: changes), until: deadline)
      switch wake {
      case .ready, .look, .timedOut: break
      case .cancelled, .stopped: listener.stop(within: .zero)
      }
    }
    // Counted first: a cancelled handler may finish at once.
    let active = state.withLock { state in
      state.admission.countAborts()
      return state.admission.open
    }
    group.cancelAll()
    for client in active { client.scope.cancel(wakingAt: client.lazyRegistration) }
    for client in active { _ = await client.close(.abort) }
  }
}
