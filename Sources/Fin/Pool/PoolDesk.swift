internal import FinBase
internal import Synchronization

/// The shell of a ``Pool``: it passes each event to the machine under one lock, and carries out the actions.
///
/// Callers are served at once where they can be. Dials, closes and inspections are orders for the ``PoolKeeper``.
final class PoolDesk: Sendable {
  /// The answer to a caller.
  enum Grant: Sendable {
    case lent(Int, Core)
    case refused(SocketError)
  }

  /// A caller that has no answer yet, or has not seen it.
  fileprivate struct Caller {
    /// Woken by the answer; `nil` while the caller is about to look again anyway.
    var waker: (any Wakeable)?
    var grant: Grant?
  }

  /// A step for the keeper.
  enum Order: Sendable {
    case dial(Int)
    case cancelDial(Int)
    case retire(Int, Core)
    case inspect(Int, Core)
    case abort(Int, Core)
  }

  struct State {
    var pool: Pool
    fileprivate var cores: [Int: Core] = [:]
    /// Connections that have served a caller.
    fileprivate var veterans: Set<Int> = []
    fileprivate var callers: [Int: Caller] = [:]
    fileprivate var nextCaller = 0
    fileprivate var orders: [Order] = []
    var report = PoolReport()
    /// Woken by an order, and by an event that is due earlier than the keeper expects.
    fileprivate var keeper: Registration?
    /// The time until which the keeper sleeps.
    fileprivate var sleepsUntil = Int64.max
    fileprivate var isOver = false
    fileprivate var closeDeadline = Deadline.never
    fileprivate var closers: [any Wakeable] = []
    fileprivate var dials: [Int: Task<Void, Never>] = [:]
  }

  let endpoint: Endpoint
  let limits: PoolLimits
  private let state: Mutex<State>

  init(_ endpoint: Endpoint, _ limits: PoolLimits) {
    self.endpoint = endpoint
    self.limits = limits
    state = Mutex(State(pool: Pool(limits.rules)))
  }

  // MARK: Events

  /// Passes events to the machine, carries the actions out, and wakes those whom they concern.
  ///
  /// - Parameters:
  ///   - failure: the error of a dial.
  ///   - before: a change in the same step, before the events.
  ///   - after: reads the result in the same step.
  private func take<R: Sendable>(
    _ events: [Pool.Event], failure: SocketError? = nil, before: (inout State) -> Void = { _ in },
    after: (inout State) -> R
  ) -> R {
    let (result, wakes): (R, [any Wakeable]) = state.withLock { state in
      before(&state)
      var wakes: [any Wakeable] = []
      for event in events {
        for action in state.pool.handle(event, at: Instant.now.nanoseconds) {
          carryOut(action, failure, &state, &wakes)
        }
      }
      let result = after(&state)
      let due = min(state.pool.due ?? .max, state.closeDeadline.nanoseconds)
      let isLast = state.pool.isClosing && state.pool.count == 0 && !state.isOver
      let isNews = !state.orders.isEmpty || due < state.sleepsUntil || isLast
      if isNews, let keeper = state.keeper { wakes.append(keeper) }
      return (result, wakes)
    }
    for waker in wakes { waker.wake() }
    return result
  }

  /// Passes an event to the machine.
  func take(_ event: Pool.Event) { take([event]) { _ in } }

  private func carryOut(
    _ action: Pool.Action, _ failure: SocketError?, _ state: inout State, _ wakes: inout [any Wakeable]
  ) {
    func answer(_ caller: Int, _ grant: Grant) {
      state.callers[caller]?.grant = grant
      if let waker = state.callers[caller]?.waker { wakes.append(waker) }
    }
    switch action {
    case .lend(let number, let caller):
      answer(caller, .lent(number, state.cores[number]!))
    case .refuse(let caller, .closed):
      answer(caller, .refused(SocketError(.checkOut, .closed, note: "the pool of \(endpoint) is closed")))
    case .refuse(let caller, .full):
      state.report.refused += 1
      let note = "\(limits.waiters) callers wait for one of \(limits.connections) connections to \(endpoint)"
      answer(caller, .refused(SocketError(.checkOut, .tooManyOperations, note: note)))
    case .refuse(let caller, .undialed): answer(caller, .refused(failure ?? SocketError(.checkOut, .closed)))
    case .dial(let number): state.orders.append(.dial(number))
    case .cancelDial(let number): state.orders.append(.cancelDial(number))
    case .retire(let number, let reason):
      state.report.retired[PoolReport.Retirement(reason), default: 0] += 1
      state.orders.append(.retire(number, state.cores[number]!))
    case .inspect(let number): state.orders.append(.inspect(number, state.cores[number]!))
    case .abort(let number):
      state.report.abortedAtClose += 1
      state.orders.append(.abort(number, state.cores[number]!))
    }
  }

  // MARK: Callers

  /// Asks for a connection.
  ///
  /// - Parameter stale: the connection that was lent to the same caller, and found to be of no use.
  /// - Returns: the caller's number, and the answer if there is one already.
  func ask(_ stale: Int?) -> (caller: Int, grant: Grant?) {
    let caller = state.withLock { state in
      state.nextCaller += 1
      state.callers[state.nextCaller] = Caller()
      return state.nextCaller
    }
    let event = stale.map { Pool.Event.stale($0, caller: caller) } ?? .ask(caller)
    let grant = take([event]) { state -> Grant? in
      let grant = state.callers[caller]!.grant
      if grant != nil { state.callers[caller] = nil } else { state.report.waited += 1 }
      return grant
    }
    return (caller, grant)
  }

  /// Sets what is woken by the caller's answer.
  ///
  /// - Returns: the answer, if it has come meanwhile.
  func await(_ caller: Int, waking waker: any Wakeable) -> Grant? {
    state.withLock { state in
      if let grant = state.callers[caller]?.grant {
        state.callers[caller] = nil
        return grant
      }
      state.callers[caller]?.waker = waker
      return nil
    }
  }

  /// Ends the wait of a caller.
  ///
  /// - Returns: the answer, which may have come at the last moment; `nil` when there is none, and the machine knows
  ///   that the caller is gone.
  func endWait(_ caller: Int) -> Grant? {
    take([]) { state -> Grant? in
      let grant = state.callers.removeValue(forKey: caller)?.grant
      if grant == nil {
        state.report.gaveUp += 1
        _ = state.pool.handle(.giveUp(caller), at: Instant.now.nanoseconds)
      }
      return grant
    }
  }

  /// Counts a lease.
  func began(_ number: Int) {
    state.withLock { state in
      state.report.leases += 1
      if !state.veterans.insert(number).inserted { state.report.reused += 1 }
    }
  }

  func count(_ change: (inout PoolReport) -> Void) { state.withLock { change(&$0.report) } }

  // MARK: Connections

  /// Makes a dialed connection one of the pool's.
  func dialed(_ number: Int, _ core: Core, age: Int64) {
    take([.dialed(number, age: age)]) { state in
      state.report.dialed += 1
      state.cores[number] = core
      state.dials[number] = nil
    } after: { _ in
    }
  }

  func dialFailed(_ number: Int, _ error: SocketError) {
    take([.failed(number)], failure: error) { state in
      state.report.dialsFailed += 1
      state.report.lastDialFailure = error
      state.dials[number] = nil
    } after: { _ in
    }
  }

  /// Records how a connection ended. Of several that close it, the first one counts.
  func released(_ number: Int, _ report: CloseReport?) {
    take([.released(number)]) { state in
      guard state.cores.removeValue(forKey: number) != nil else { return }
      state.veterans.remove(number)
      state.report.endings[report?.ending ?? .detached, default: 0] += 1
    }
  }

  // MARK: The keeper

  /// Makes the keeper known, which is woken from now on.
  func begin(_ keeper: Registration) { state.withLock { $0.keeper = keeper } }

  func keep(_ dial: Task<Void, Never>, as number: Int) {
    let isOver = state.withLock { state in
      // It may be over already, and its failure reported.
      guard state.pool.isDialing(number) else { return true }
      state.dials[number] = dial
      return false
    }
    if isOver { dial.cancel() }
  }

  func cancelDial(_ number: Int) { state.withLock { $0.dials[number] }?.cancel() }

  /// The keeper's next steps, and when it has to look again; no time when all is over.
  func next(noticed: [Int]) -> (orders: [Order], until: Deadline?) {
    let isLate = state.withLock { $0.closeDeadline.hasPassed }
    return take(noticed.map { .noticed($0) } + [isLate ? .timeIsUp : .tick]) { state in
      let orders = state.orders
      state.orders = []
      if isLate { state.closeDeadline = .never }
      if state.pool.isClosing, state.pool.count == 0, orders.isEmpty { state.isOver = true }
      state.sleepsUntil = min(state.pool.due ?? .max, state.closeDeadline.nanoseconds)
      return (orders, state.isOver ? nil : Deadline(nanoseconds: state.sleepsUntil))
    }
  }

  /// Ends the keeper's part: those that wait for the close go on.
  func ended() {
    let closers = state.withLock { state in
      state.isOver = true
      state.keeper = nil
      defer { state.closers = [] }
      return state.closers
    }
    for closer in closers { closer.wake() }
  }

  // MARK: Closing

  /// Begins to close, or brings the end of a close forward.
  ///
  /// - Parameter waker: woken when no connection is left.
  /// - Returns: whether there is something to wait for.
  func close(within: Timeout, waking waker: (any Wakeable)?) -> Bool {
    let deadline = Deadline(allowing: within)
    return take([.close]) { state in
      state.closeDeadline = min(state.closeDeadline, deadline)
      // Without a keeper there has never been a connection.
      if state.keeper == nil || state.isOver { return false }
      if let waker { state.closers.append(waker) }
      return true
    }
  }

  var report: PoolReport {
    state.withLock { state in
      var report = state.report
      report.open = state.pool.count
      report.idle = state.pool.idle.count
      return report
    }
  }
}
