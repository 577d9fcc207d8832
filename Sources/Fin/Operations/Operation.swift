internal import CFin
internal import Glibc
internal import Synchronization
internal import SystemPackage

/// The result of one non-blocking attempt.
enum Attempt<Success> {
  case done(Success)
  /// Partial progress. The kernel may take or return more at once: retry immediately.
  case more
  /// `EAGAIN`. Retry when the socket is ready in this direction.
  case blocked(Direction)
  /// `EAGAIN`, and no event of the socket will report readiness. Retry after this pause.
  case pause(Pause)
}

/// How an operation waits: a thread blocks, a task suspends.
///
/// Entering the gate hands this value out, and ``Core/number(_:)`` returns the descriptor's number only in exchange for
/// it, so that no system call is made on a number that may be a stranger's by now.
enum Access {
  case blocking, suspending
  /// The closer's. It is alone with the descriptor and does its own waiting.
  case exclusive
}

/// The state that an operation keeps between attempts, and the error that it makes when it gives up.
protocol OperationState {
  /// Makes the error for a wait that ended before the socket was ready. The gate is still held.
  mutating func waitFailed(_ core: Core, _ operation: SocketError.Operation, _ cause: SocketError.Cause) -> SocketError
}

extension OperationState {
  mutating func waitFailed(_ core: Core, _ operation: SocketError.Operation, _ cause: SocketError.Cause) -> SocketError
  {
    core.error(operation, cause)
  }
}

/// The progress of an operation that keeps nothing between attempts.
struct Stateless: OperationState {
  // Holds a byte, because a value of size zero has no memory of its own: the thread sanitizer would take it for shared
  // memory.
  private var byte: UInt8 = 0
}

/// Runs an operation: attempt, wait for readiness, retry, in a thread or in a task. Every operation that may have to
/// wait is written once, as one attempt. The gate is held throughout; the last operation to leave a closing gate
/// releases the descriptor.
extension Core {
  /// Repeats the attempt until the operation is done. Blocks the thread between attempts.
  ///
  /// - Parameters:
  ///   - progress: the state kept between attempts.
  ///   - attempt: one non-blocking attempt.
  func perform<R, P: OperationState>(
    _ entry: Gate.Entry, _ operation: SocketError.Operation, _ timeout: inout LazyDeadline, _ progress: inout P,
    _ attempt: (inout P, Access) throws(SocketError) -> Attempt<R>
  ) throws(SocketError) -> R {
    if try !enter(entry, operation) {
      do { try gate.enterWriting(&timeout) } catch { throw refusal(operation, error) }
    }
    defer { leave(entry) }
    try checkConnected(entry, operation)
    var errors = StandingErrors()
    defer { errors.end(on: self, .blocking) }
    while true {
      let next = try attempt(&progress, .blocking)
      do throws(WaitError) {
        switch next {
        case .done(let result): return result
        case .more: if let interruption = interruption(&timeout) { throw interruption }
        case .blocked(let direction): try wait(for: direction, &timeout, &errors)
        case .pause(let pause): try rest(pause, &timeout, &errors)
        }
      } catch { throw giveUp(&progress, operation, error) }
    }
  }

  /// Repeats the attempt until the operation is done. Suspends the task between attempts.
  ///
  /// Always inlined, because each call of an async function allocates a frame of its own.
  @inline(__always)
  nonisolated(nonsending) func perform<R, P: OperationState>(
    _ entry: Gate.Entry, _ operation: SocketError.Operation, _ timeout: inout LazyDeadline, _ progress: inout P,
    _ attempt: (inout P, Access) throws(SocketError) -> Attempt<R>
  ) async throws(SocketError) -> R {
    // Before anything begins: an operation that never has to wait must still let other tasks run and notice its
    // cancellation.
    if EventLoop.countOperation() { await EventLoop.yield() }
    if CurrentTask.isCancelled { throw giveUp(&progress, operation, .cancelled) }
    if try !enter(entry, operation), let refused = await queueToWrite(operation, &timeout) { throw refused }
    defer { leave(entry) }
    try checkConnected(entry, operation)
    while true {
      #if DEBUG
      EventLoop.noteUse(of: record.site)
      #endif
      let interruption: WaitError?
      switch try attempt(&progress, .suspending) {
      case .done(let result): return result
      case .more:
        if EventLoop.countOperation() { await EventLoop.yield() }
        interruption = CurrentTask.isCancelled ? .cancelled : self.interruption(&timeout)
      case .blocked(let direction): interruption = await wait(for: direction, &timeout)
      case .pause(let pause): interruption = await rest(pause, &timeout)
      }
      if let interruption { throw giveUp(&progress, operation, interruption) }
    }
  }

  /// The interruption of an operation that never has to wait, because its peer is as fast. A close or an expired
  /// deadline ends it, as either would end a wait.
  // [outlined slow path]
  @inline(never)
  private func interruption(_ timeout: inout LazyDeadline) -> WaitError? {
    if gate.isClosing { return .closed }
    return timeout.isOverdue ? .timedOut : nil
  }

  /// Runs `body` inside the gate. For operations that do not wait.
  func withAccess<R>(
    _ operation: SocketError.Operation, _ body: (Access) throws(SocketError) -> R
  ) throws(SocketError) -> R {
    do { try gate.enterPassing() } catch { throw refusal(operation, error) }
    defer { leave(.using) }
    return try body(.blocking)
  }

  /// Enters the gate for an operation that waits for several sockets at once. The caller leaves it with
  /// ``leave(_:)``.
  func enterAmongOthers(_ operation: SocketError.Operation) throws(SocketError) -> Access {
    do { try gate.enterPassing() } catch { throw refusal(operation, error) }
    return .blocking
  }

  /// Enters the gate as the only reader and the only writer, for an operation that uses two connections at once. It
  /// waits for neither. The caller leaves the gate with ``leaveAlone()``.
  func enterAlone(_ operation: SocketError.Operation) throws(SocketError) -> Access {
    do throws(Gate.EntryError) { try gate.enterReading() } catch { throw refusal(operation, error) }
    do throws(Gate.EntryError) { guard try gate.enterWriting() else { throw .busy } } catch {
      leave(.reading)
      throw refusal(operation, error)
    }
    return .blocking
  }

  func leaveAlone() {
    leave(.writing)
    leave(.reading)
  }

  /// Enters the gate.
  ///
  /// - Returns: `false` when another writer is inside and the caller has to queue.
  private func enter(_ entry: Gate.Entry, _ operation: SocketError.Operation) throws(SocketError) -> Bool {
    do throws(Gate.EntryError) {
      switch entry {
      case .reading: try gate.enterReading()
      case .using: try gate.enterPassing()
      case .writing: return try gate.enterWriting()
      }
    } catch { throw refusal(operation, error) }
    return true
  }

  /// Refuses to send and to receive before there is a connection. The kernel would refuse too, with two side effects:
  /// it would report the failure of the connect attempt to the first caller instead of to the attempt, and it would
  /// return EPIPE, which would be latched.
  @inline(__always)
  private func checkConnected(_ entry: Gate.Entry, _ operation: SocketError.Operation) throws(SocketError) {
    if entry != .using, !hasConnected { throw error(operation, .system(.socketNotConnected)) }
  }

  func leave(_ entry: Gate.Entry) {
    guard gate.leave(entry) else { return }
    release()
    gate.finishClosing()
  }

  // [outlined slow path] Their locals take no space in the frame of every function that waits. Two functions.
  @inline(never)
  private func giveUp<P: OperationState>(
    _ progress: inout P, _ operation: SocketError.Operation, _ interruption: WaitError
  ) -> SocketError {
    progress.waitFailed(self, operation, interruption.cause)
  }

  @inline(never)
  private func refusal(_ operation: SocketError.Operation, _ refusal: Gate.EntryError) -> SocketError {
    error(operation, refusal.cause)
  }

  // MARK: In a thread

  /// Waits until the socket is ready, closing begins, the deadline passes, or the gate wakes its parked waiters.
  ///
  /// - Parameter direction: `nil` for a pause. The socket is not polled then, because it may report an event all the
  ///   time, such as an unconnected Unix socket, which reports a hang-up.
  func wait(
    for direction: Direction?, _ timeout: inout LazyDeadline, _ errors: inout StandingErrors
  ) throws(WaitError) {
    if ledger.isPublished { publish(waitFor: direction ?? .input, until: timeout.deadline) }
    defer { if ledger.isPublished { publish(waitFor: direction ?? .input, until: nil) } }
    try awaitOrClose(&timeout) { waker, deadline throws(Errno) in
      try errors.wait(on: self, .blocking, for: direction, waker, until: deadline)
    }
  }

  /// Runs one wait, which a close and a stop end through the waker.
  ///
  /// - Parameter body: waits; returns `false` when the deadline passed first.
  func awaitOrClose(
    _ timeout: inout LazyDeadline, _ body: (Waker?, Deadline) throws(Errno) -> Bool
  ) throws(WaitError) {
    if timeout.isSpent { throw .timedOut }
    guard isShared.load(ordering: .acquiring) else {
      // The only owner is inside this call, so that no close can come.
      do throws(Errno) {
        if try !body(nil, timeout.deadline) { throw Errno.timedOut }
      } catch { throw error == .timedOut ? .timedOut : .system(error) }
      return
    }
    let waker: Waker
    do { waker = try Waker.borrow() } catch { throw .system(error) }
    defer { waker.giveBack() }
    guard gate.park(waker) else { throw .closed }
    defer { gate.unpark(waker) }
    // From here on no concurrent wake can be missed.
    if phase == .stopping || phase == .paused || isToldToEnd { return }
    do throws(Errno) {
      if try !body(waker, timeout.deadline) { throw Errno.timedOut }
    } catch { throw gate.isClosing ? .closed : error == .timedOut ? .timedOut : .system(error) }
    if gate.isClosing { throw .closed }
  }

  // MARK: In a task

  /// - Returns: the interruption that ended the wait; `nil` when the next attempt is due.
  @inline(__always)
  private nonisolated(nonsending) func wait(
    for direction: Direction, _ timeout: inout LazyDeadline
  ) async -> WaitError? {
    if let over = prepareWait(for: direction, &timeout) { return over }
    let interest = direction == .input ? Registration.Interest.input : .output
    let deadline = timeout.deadline
    if scope.isCurrentTask {
      return reason(await Resumption.suspend { beginWait($0, for: interest, until: deadline) })
    }
    return await waitUnwatched(for: interest, until: deadline)
  }

  /// Makes ready to wait: there is a registration from here on.
  ///
  /// - Returns: the reason not to wait; `nil` for none.
  // [outlined slow path]
  @inline(never)
  private func prepareWait(for direction: Direction, _ timeout: inout LazyDeadline) -> WaitError? {
    if timeout.isSpent { return .timedOut }
    if unsafe lazyRegistration.borrow() == nil {
      do throws(WaitError) { _ = try registration(.suspending) } catch { return error }
    }
    if ledger.isPublished { publish(waitFor: direction, until: timeout.deadline) }
    return nil
  }

  /// BEGIN, for the task whose cancellation wakes the registration. The registration is not retained: the task does not
  /// go on before this returns, and has the socket.
  // [outlined slow path]
  @inline(never)
  private func beginWait(
    _ task: Resumption<Registration.WakeReason>, for interest: Registration.Interest, until deadline: Deadline
  ) {
    unsafe lazyRegistration.borrow()!._withUnsafeGuaranteedRef { registration in
      registration.begin(task, for: interest, until: deadline) { isOver(true) }
    }
  }

  // [outlined slow path] Keeps its locals out of the async frame of a wait that is watched.
  @inline(never)
  private nonisolated(nonsending) func waitUnwatched(
    for interest: Registration.Interest, until deadline: Deadline
  ) async -> WaitError? {
    reason(await lazyRegistration.load()!.park(interest, until: deadline) { self.isOver(false) })
  }

  /// The registration to wait at. Publishes that the wait begins; throws `.timedOut` when the deadline has passed.
  // [outlined slow path]
  @inline(never)
  func registration(for direction: Direction, _ timeout: inout LazyDeadline) throws(WaitError) -> Registration {
    if timeout.isSpent { throw .timedOut }
    let registration = try self.registration(.suspending)
    if ledger.isPublished { publish(waitFor: direction, until: timeout.deadline) }
    return registration
  }

  func isOver(_ isWatched: Bool) -> Bool {
    gate.isClosing || phase == .stopping || phase == .paused || isToldToEnd || isWatched && scope.isCancelled
  }

  // [outlined slow path] It asks the gate again: no value from before the wait is kept in the async frame.
  @inline(never)
  func reason(_ wake: Registration.WakeReason) -> WaitError? {
    // Clears both directions, because the direction is not stored across the suspension. A concurrent waiter in the
    // other direction publishes itself again on its next wait.
    if ledger.isPublished {
      publish(waitFor: .input, until: nil)
      publish(waitFor: .output, until: nil)
    }
    if gate.isClosing { return .closed }
    switch wake {
    case .ready: return nil
    case .look: return CurrentTask.isCancelled ? .cancelled : nil
    case .timedOut, .cancelled, .stopped: return wake.interruption
    }
  }

  /// The registration where tasks wait for this socket, at the event loop of the first task that had to wait.
  func registration(_ access: Access) throws(WaitError) -> Registration {
    if let registration = lazyRegistration.load() { return registration }
    let loop = try Reactor.nearest()
    // One task at a time: a poller accepts a descriptor once, and two tasks may arrive first together.
    return try making.withLock { _ throws(WaitError) in
      if let registration = lazyRegistration.load() { return registration }
      let registration = try loop.makeRegistration(waitingNumber(access))
      // HEAR: parked in the gate for the socket's life, and before other tasks can find it, so that a close that begins
      // from now on wakes the tasks that wait there. The wait itself notices a close that has begun already.
      _ = gate.park(registration)
      // OFFER.
      return lazyRegistration.storeIfNil(registration)
    }
  }

  /// Waits in the gate's queue for the writer's turn.
  ///
  /// - Returns: the reason for a refusal; `nil` when the caller is inside as the writer.
  @inline(never)
  private nonisolated(nonsending) func queueToWrite(
    _ operation: SocketError.Operation, _ timeout: inout LazyDeadline
  ) async -> SocketError? {
    // A registration of its own, because the socket's is woken for other reasons too.
    let registration: Registration
    do { registration = try Reactor.nearest().makeRegistration() } catch { return self.error(operation, error.cause) }
    defer { registration.leave() }
    // Read before the task queues, so that a wake from then on ends the wait.
    let changes = registration.snapshot.changes
    let turn: WriterQueue.Turn
    do {
      guard let queued = try gate.queue(waking: registration) else { return nil }
      turn = queued
    } catch { return refusal(operation, error) }
    let wake = await registration.park(.change(since: changes), until: timeout.deadline)
    do { try gate.leaveQueue(turn) } catch {
      return self.error(operation, error == .timedOut ? wake.interruption?.cause ?? .timedOut : error.cause)
    }
    return nil
  }
}

extension WaitError {
  var cause: SocketError.Cause {
    switch self {
    case .closed: .closed
    case .timedOut: .timedOut
    case .cancelled: .cancelled
    case .reactorStopped: .reactorStopped
    case .system(let code): .system(code)
    }
  }
}

extension Gate.EntryError {
  var cause: SocketError.Cause {
    switch self {
    case .closed: .closed
    case .busy: .busy
    case .tooMany: .tooManyOperations
    case .timedOut: .timedOut
    }
  }
}
