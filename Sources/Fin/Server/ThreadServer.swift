internal import CFin
internal import Synchronization
internal import SystemPackage

/// The loop behind `serve(threads:)`: one thread accepts, the others each serve one connection at a time.
///
/// A client is accepted only when a thread is free for it: until then it waits in the kernel's queue, which is the
/// backpressure.
final class ThreadServer: Sendable {
  private let listener: Core
  private let threads: Int
  private let limits: Limits
  private let timeouts: Timeouts
  private let closing: ClosePolicy
  private let site: Ledger.Site
  private let handler: @Sendable (consuming Connection) throws -> Void

  /// A thread that waits for its next connection.
  private final class Worker: Sendable {
    let parker = Parker()
    let next = Mutex<Core?>(nil)
  }

  private struct State {
    var admission = Admission()
    var idle: [Worker] = []
    var started = 0
    var isOver = false
    /// The accepting thread, when it waits for a worker, for room, or for the end.
    var waiter: Parker?
  }

  private let state = Mutex(State())

  init(
    listener: Core, threads: Int, limits: Limits, timeouts: Timeouts, closing: ClosePolicy, site: Ledger.Site,
    handler: @escaping @Sendable (consuming Connection) throws -> Void
  ) {
    self.listener = listener
    self.threads = threads
    self.limits = limits
    self.timeouts = timeouts
    self.closing = closing
    self.site = site
    self.handler = handler
  }

  func run() -> ServerReport {
    var hardship = Hardship(limits)
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

  private func acceptAll(_ hardship: inout Hardship) {
    while !listener.drainDeadline.hasPassed, let worker = freeWorker(&hardship) {
      var patience = Patience(nil)
      do {
        let client = try listener.accept(&patience, site: site)
        hardship.succeeded()
        if admit(client) { give(client, to: worker) } else { giveBack(worker) }
      } catch {
        giveBack(worker)
        switch error.cause {
        case .closed: return
        case .paused:
          guard awaitResumption() else { return }
        default:
          switch state.withLock({ hardship.way(after: error, listener, &$0.admission.report) }) {
          case .awaitRoom: waitForRoom(&hardship)
          case .rest(let pause): waitForChange(atMost: pause)
          case .end:
            state.withLock { $0.admission.report.failure = error }
            listener.end()
            // Nobody will stop it any more; its handlers get the time that a stop would have given them.
            listener.stop(within: .seconds(10))
            return
          }
        }
      }
    }
    // The drain's time is over: whoever is still queued is reset with the port.
    let reset = listener.closeListener().clientsReset
    state.withLock { $0.admission.report.clientsReset += reset }
  }

  /// A thread that has nothing to do, started if need be; waits for one when all are busy.
  ///
  /// - Returns: `nil` when the drain's time was over first.
  private func freeWorker(_ hardship: inout Hardship) -> Worker? {
    while true {
      enum Found { case worker(Worker), start, none }
      let found: Found = state.withLock { state in
        if let worker = state.idle.popLast() { return .worker(worker) }
        if state.started < threads {
          state.started += 1
          return .start
        }
        return .none
      }
      switch found {
      case .worker(let worker): return worker
      case .start:
        let worker = Worker()
        if start(worker) { return worker }
        // Go on with those there are, or wait until there is room for one more.
        state.withLock { $0.started -= 1 }
        waitForRoom(&hardship)
        if listener.drainDeadline.hasPassed || listener.gate.isClosing { return nil }
      case .none:
        waitForChange()
        if listener.drainDeadline.hasPassed || listener.gate.isClosing { return nil }
      }
    }
  }

  /// Lets go of the reserve, for what is running, and waits until it can be had again.
  private func waitForRoom(_ hardship: inout Hardship) {
    state.withLock { hardship.letGo(&$0.admission.report) }
    repeat {
      // Until a handler is done, or for a while: descriptors may be released where nobody tells us.
      waitForChange(atMost: hardship.nextPause())
    } while !hardship.reserve.fill() && !listener.drainDeadline.hasPassed && !listener.gate.isClosing
  }

  private func giveBack(_ worker: Worker) { state.withLock { $0.idle.append(worker) } }

  /// Waits until a worker is done, the listener stops or is resumed, or the drain's time is over.
  private func waitForChange(atMost: Duration? = nil) {
    let parker = Parker()
    guard listener.gate.park(parker) else { return }
    defer { listener.gate.unpark(parker) }
    let isFree = state.withLock { state in
      state.waiter = parker
      return !state.idle.isEmpty
    }
    // With a pause to keep, a worker that was free before is nothing new.
    if isFree, atMost == nil { return }
    // Read after parking: a stop that came before set it, one that comes now wakes.
    let deadline = listener.drainDeadline
    _ = parker.park(until: min(deadline, atMost.map { Deadline(after: $0) } ?? .never))
  }

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

  private func admit(_ client: Core) -> Bool {
    client.share()
    let isAdmitted = state.withLock { $0.admission.admit(client, limits) }
    if !isAdmitted { _ = client.close(.abort) }
    return isAdmitted
  }

  // MARK: Serving

  private func give(_ client: Core, to worker: Worker) {
    worker.next.withLock { $0 = client }
    worker.parker.wake()
  }

  /// Starts a thread, with what waiting and closing will need in it: it must not lack a descriptor when it serves.
  private func start(_ worker: Worker) -> Bool {
    guard Waker.pool.provide() else { return false }
    guard EdgeWatch.pool.provide() else {
      Waker.pool.withdraw()
      return false
    }
    let body = Surroundings.current.surround { [self] in
      defer {
        Waker.pool.withdraw()
        EdgeWatch.pool.withdraw()
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
    guard Threads.start(body) == 0 else {
      Waker.pool.withdraw()
      EdgeWatch.pool.withdraw()
      return false
    }
    return true
  }

  private func serve(_ client: Core) {
    var policy = closing
    var hasFailed = false
    do { try handler(Connection(core: client, timeouts: timeouts)) } catch {
      policy = .abort
      hasFailed = true
    }
    let report = client.closeUnlessDetached(policy)
    state.withLock { $0.admission.dismiss(client, report, limits, hasFailed: hasFailed) }
  }

  // MARK: Stopping

  /// Waits for the handlers; at the end of the drain's time it aborts what they still hold, and waits a little more.
  private func drain() {
    if awaitHandlers(until: { self.listener.drainDeadline }) { return }
    let active = state.withLock { state in
      state.admission.report.abortedAtStop = state.admission.count
      return state.admission.active
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
        return state.admission.count == 0
      }
      if isDone { return true }
      // Read after the parker is known: a stop that comes now wakes it.
      let deadline = deadline()
      if deadline.hasPassed { return false }
      _ = parker.park(until: deadline)
    }
  }
}
