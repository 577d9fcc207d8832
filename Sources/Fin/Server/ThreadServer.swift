internal import CFin
internal import FinBase
internal import Synchronization
internal import SystemPackage

/// The accept loop of `serve(threads:)`: one thread accepts, the others each serve one connection at a time.
///
/// A client is accepted only when a thread is free for it. Until then it waits in the kernel's accept queue, which is
/// the backpressure.
final class ThreadServer: Sendable {
  private let listener: Core
  private let threads: Int
  private let limits: ServerLimits
  private let timeouts: Timeouts
  private let closing: ClosePolicy
  private let onFailure: (@Sendable (HandlerFailure) -> Void)?
  private let site: Ledger.Site
  private let handler: @Sendable (consuming Connection) throws -> Void

  /// A worker thread, as the accepting thread sees it: its parker and its next connection.
  private final class Worker: Sendable {
    let parker = Parker()
    let next = Mutex<Core?>(nil)
  }

  private struct State {
    var admission = Admission()
    var idle: [Worker] = []
    var started = 0
    var isOver = false
    /// The parker of the accepting thread, while it waits for a worker, for descriptors, or for the last handler.
    var waiter: Parker?
  }

  private let state = Mutex(State())

  init(
    listener: Core, threads: Int, limits: ServerLimits, timeouts: Timeouts, closing: ClosePolicy,
    onFailure: (@Sendable (HandlerFailure) -> Void)?, site: Ledger.Site,
    handler: @escaping @Sendable (consuming Connection) throws -> Void
  ) {
    self.listener = listener
    self.threads = threads
    self.limits = limits
    self.timeouts = timeouts
    self.closing = closing
    self.onFailure = onFailure
    self.site = site
    self.handler = handler
  }

  func run() -> ServerReport {
    let watch = ServerWatch(
      .init(
        listener: listener, limits: limits.conversation,
        active: { self.state.withLock { $0.admission.active } },
        change: { change in self.state.withLock { change(&$0.admission) } }))
    defer { watch.end() }
    var hardship = AcceptRecovery(limits)
    acceptAll(&hardship)
    hardship.reserve.empty()
    drain()
    let (report, idle) = state.withLock { state in
      state.isOver = true
      state.admission.report.handlersRunning = state.admission.count
      return (state.admission.report, state.idle)
    }
    for worker in idle { worker.parker.wake() }
    return report
  }

  // MARK: Accepting

  private func acceptAll(_ hardship: inout AcceptRecovery) {
    while !listener.drainDeadline.hasPassed, let place = freePlace(&hardship) {
      var timeout = LazyDeadline(.never)
      do {
        let client = try listener.accept(&timeout, site: site)
        hardship.succeeded()
        take(client, place)
      } catch {
        giveBack(place)
        switch error.cause {
        case .closed: return state.withLock { $0.admission.report.handshakesCut += listener.takeHandshakesCut() }
        case .paused:
          guard awaitResumption() else { return }
        default:
          switch state.withLock({ hardship.way(after: error, listener, &$0.admission.report) }) {
          case .awaitRoom: waitForRoom(&hardship)
          case .rest(let pause): waitForChange(atMost: pause)
          case .end:
            state.withLock { $0.admission.report.failure = error }
            listener.end()
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
      do { try listener.awaitHandshakes(pause, &timeout) } catch { break }
    }
    let handshakes = listener.handshakes
    let reset = listener.closeListener().clientsReset
    state.withLock { state in
      state.admission.report.clientsReset += reset
      state.admission.report.handshakesCut += handshakes
    }
  }

  /// The room for the next client.
  private enum Place {
    case worker(Worker)
    /// All workers are busy, and the client gets a farewell.
    case farewell
  }

  /// Returns an idle worker, started if need be. When all are busy, waits for one, or for room for a farewell.
  ///
  /// - Returns: `nil` when the drain's time was over or the listener closed first.
  private func freePlace(_ hardship: inout AcceptRecovery) -> Place? {
    while true {
      enum Found { case place(Place), start, none }
      let found: Found = state.withLock { state in
        if let worker = state.idle.popLast() { return .place(.worker(worker)) }
        if state.started < threads {
          state.started += 1
          return .start
        }
        return state.admission.mayPartWhenFull(limits) ? .place(.farewell) : .none
      }
      switch found {
      case .place(let place): return place
      case .start:
        let worker = Worker()
        if start(worker) { return .worker(worker) }
        // Continue with the existing workers, or wait until another one can be started.
        state.withLock { $0.started -= 1 }
        waitForRoom(&hardship)
        if listener.drainDeadline.hasPassed || listener.gate.isClosing { return nil }
      case .none:
        waitForChange()
        if listener.drainDeadline.hasPassed || listener.gate.isClosing { return nil }
      }
    }
  }

  /// Closes the spare descriptors, so that running connections can go on, and waits until they can be opened again.
  private func waitForRoom(_ hardship: inout AcceptRecovery) {
    state.withLock { hardship.letGo(&$0.admission.report) }
    repeat {
      // Until a handler finishes, or for a pause: a descriptor that is closed elsewhere in the process wakes no wait.
      waitForChange(atMost: hardship.nextPause())
    } while !hardship.reserve.fill() && !listener.drainDeadline.hasPassed && !listener.gate.isClosing
  }

  private func giveBack(_ place: Place) {
    if case .worker(let worker) = place { state.withLock { $0.idle.append(worker) } }
  }

  /// Waits until a worker is idle, the listener is stopped, paused, resumed or closed, or `atMost` or the drain's time
  /// is over.
  private func waitForChange(atMost: Duration? = nil) {
    let parker = Parker()
    guard listener.gate.park(parker) else { return }
    defer { listener.gate.unpark(parker) }
    let isFree = state.withLock { state in
      state.waiter = parker
      return !state.idle.isEmpty || state.admission.mayPartWhenFull(limits)
    }
    // With `atMost`, the wait is a pause, and a worker that was idle before does not end it.
    if isFree, atMost == nil { return }
    // Read after parking: an earlier stop has set the deadline, a later one wakes the parker.
    let deadline = listener.drainDeadline
    _ = parker.park(until: min(deadline, atMost.map { Deadline(after: $0) } ?? .never))
  }

  /// Waits until a paused listener is resumed or stopped.
  ///
  /// - Returns: `false` when the listener was closed instead.
  private func awaitResumption() -> Bool {
    while listener.phase == .paused {
      let parker = Parker()
      guard listener.gate.park(parker) else { return false }
      if listener.phase == .paused { _ = parker.park() }
      listener.gate.unpark(parker)
    }
    return true
  }

  /// Gives a client to a worker, or refuses it.
  private func take(_ client: Core, _ place: Place) {
    client.share()
    let worker: Worker? = state.withLock { state in
      // With room for a farewell only, a worker may be idle by now.
      let mine: Worker? = if case .worker(let worker) = place { worker } else { state.idle.popLast() }
      guard let worker = mine else { return nil }
      if state.admission.admit(client, limits) { return worker }
      state.idle.append(worker)
      return nil
    }
    guard let worker else { return refuse(client) }
    worker.next.withLock { $0 = client }
    worker.parker.wake()
  }

  /// Resets a client, or says farewell to it in a thread.
  private func refuse(_ client: Core) {
    guard let farewell = state.withLock({ $0.admission.refuse(client, limits) }) else {
      _ = client.close(.abort)
      return
    }
    let code = DetachedThread.start(
      stack: 256 << 10,
      InheritedTaskLocals.current.surround { [self] in
        let end = client.part(with: farewell)
        state.withLock { state in
          state.admission.parted(client, end)
          state.waiter?.wake()
        }
      })
    guard code != 0 else { return }
    _ = client.close(.abort)
    state.withLock { $0.admission.parted(client, nil) }
  }

  // MARK: Serving

  /// Starts a worker thread, and provides the descriptors that its waits and closes will need, so that it never lacks
  /// one while it serves.
  private func start(_ worker: Worker) -> Bool {
    guard Waker.pool.reserve() else { return false }
    guard EdgeWatch.pool.reserve() else {
      Waker.pool.unreserve()
      return false
    }
    let body = InheritedTaskLocals.current.surround { [self] in
      defer {
        Waker.pool.unreserve()
        EdgeWatch.pool.unreserve()
      }
      while true {
        _ = worker.parker.park()
        guard let client = worker.next.withLock({ $0.take() }) else { return }
        serve(client)
        let isOver = state.withLock { state in
          state.idle.append(worker)
          state.waiter?.wake()
          return state.isOver
        }
        if isOver { return }
      }
    }
    guard DetachedThread.start(body) == 0 else {
      Waker.pool.unreserve()
      EdgeWatch.pool.unreserve()
      return false
    }
    return true
  }

  private func serve(_ client: Core) {
    var failure: HandlerFailure?
    do {
      if let proxies = limits.proxies { try takeProxyHeader(of: client, proxies) }
      try handler(Connection(core: client, timeouts: timeouts))
    } catch {
      if error is PeerRefusal { return refuse(client) }
      failure = HandlerFailure(remoteAddress: client.peer, error: error)
    }
    let report = client.closeUnlessDetached(
      failure == nil ? closing : state.withLock { $0.admission.policyAfterFailure(of: client) })
    state.withLock { $0.admission.dismiss(client, report, limits, failure: failure) }
    if let failure { onFailure?(failure) }
  }

  private func takeProxyHeader(of client: Core, _ proxies: [AddressPrefix]) throws {
    try client.takeProxyHeader(from: proxies, within: limits.proxyHeaderTime)
    let address = (client.connectionState.value.originalAddress ?? client.peer)?.ip
    if !state.withLock({ $0.admission.count(client, at: address, limits) }) { throw PeerRefusal() }
  }

  // MARK: Stopping

  /// Waits for the handlers. At the end of the drain's time it aborts the connections that they still hold, and waits
  /// for `limits.graceAfterAbort`.
  private func drain() {
    if awaitHandlers(until: { self.listener.drainDeadline }) { return }
    let active = state.withLock { state in
      state.admission.countAborts()
      return state.admission.open
    }
    for client in active { _ = client.close(.abort) }
    let grace = Deadline(after: limits.graceAfterAbort)
    _ = awaitHandlers(until: { grace })
  }

  private func awaitHandlers(until deadline: () -> Deadline) -> Bool {
    let parker = Parker()
    listener.hearStops(parker)
    defer { listener.unhearStops(parker) }
    while true {
      let isDone = state.withLock { state in
        state.waiter = parker
        return state.admission.isEmpty
      }
      if isDone { return true }
      // Read after the parker is registered: a later stop wakes it.
      let deadline = deadline()
      if deadline.hasPassed { return false }
      _ = parker.park(until: deadline)
    }
  }
}
