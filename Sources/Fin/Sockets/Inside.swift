internal import CFin
internal import Glibc
internal import Synchronization
internal import SystemPackage

/// What became of one try.
enum Attempt<Success> {
  case done(Success)
  /// Some of it; the kernel may have more at once.
  case more
  /// The kernel had nothing, or no room: again when that has changed.
  case blocked(Direction)
  /// No event will tell when that has changed: again after this time.
  case pause(Duration)
}

/// Which way a socket has to become ready.
enum Direction {
  case input, output
}

/// Where an operation runs, and so how it waits: a thread blocks, a task suspends.
///
/// Entering the gate hands it out, and the descriptor's number is had for it alone (``Core/number(_:)``), so that no system
/// call is made on a number that may be a stranger's by now.
enum World {
  case thread, task
  /// The closer's, which is alone with the descriptor and waits by itself.
  case alone
}

/// How far an operation has got between its tries, and what it says when it has to give up.
protocol Progress {
  /// A wait ended without the socket being ready. Still inside the gate.
  mutating func gaveUp(_ core: Core, _ operation: SocketError.Operation, _ cause: SocketError.Cause) -> SocketError
}

extension Progress {
  mutating func gaveUp(_ core: Core, _ operation: SocketError.Operation, _ cause: SocketError.Cause) -> SocketError {
    core.error(operation, cause)
  }
}

/// Nothing is kept between the tries.
struct NoProgress: Progress {
  // Not empty: what is empty has no place of its own in memory, and the thread sanitizer would take it for one that is shared.
  private var place: UInt8 = 0
}

/// Every operation that may have to wait is written once, as a try. Here is what tries it, waits, and tries again: in a
/// thread, and in a task. Whoever is inside the gate is there for the whole of it; the last one out of a closing gate
/// releases.
extension Core {
  /// Tries until it is done, in a thread.
  ///
  /// - Parameters:
  ///   - progress: what is kept between the tries.
  ///   - attempt: one try.
  func inside<R, P: Progress>(
    _ entry: Gate.Entry, _ operation: SocketError.Operation, _ patience: inout Patience, _ progress: inout P,
    _ attempt: (inout P, World) throws(SocketError) -> Attempt<R>
  ) throws(SocketError) -> R {
    if try !enter(entry, operation) {
      do { try gate.enterWriting(&patience) } catch { throw refusal(operation, error) }
    }
    defer { leave(entry) }
    try checkConnected(entry, operation)
    var errors = StandingErrors()
    defer { errors.end(on: self, .thread) }
    while true {
      let next = try attempt(&progress, .thread)
      do throws(Interruption) {
        switch next {
        case .done(let result): return result
        case .more: if let interruption = interruption(&patience) { throw interruption }
        case .blocked(let direction): try wait(for: direction, &patience, &errors)
        case .pause(let pause):
          var rest = try patience.rest(pause)
          do throws(Interruption) { try wait(for: nil, &rest, &errors) } catch { if !error.isTimeOut { throw error } }
        }
      } catch { throw giveUp(&progress, operation, error) }
    }
  }

  /// Tries until it is done, in a task.
  ///
  /// Always inlined: a frame of its own is allocated for each call of an async function.
  @inline(__always)
  nonisolated(nonsending) func inside<R, P: Progress>(
    _ entry: Gate.Entry, _ operation: SocketError.Operation, _ patience: inout Patience, _ progress: inout P,
    _ attempt: (inout P, World) throws(SocketError) -> Attempt<R>
  ) async throws(SocketError) -> R {
    // Before anything is begun: whoever never has to wait has to let others run too, and to hear that it is cancelled.
    if Loop.countOperation() { await Loop.yield() }
    if Task.isCancelled { throw giveUp(&progress, operation, .cancelled) }
    if try !enter(entry, operation), let refused = await queueToWrite(operation, &patience) { throw refused }
    defer { leave(entry) }
    try checkConnected(entry, operation)
    while true {
      let interruption: Interruption?
      switch try attempt(&progress, .task) {
      case .done(let result): return result
      case .more:
        if Loop.countOperation() { await Loop.yield() }
        interruption = Task.isCancelled ? .cancelled : self.interruption(&patience)
      case .blocked(let direction): interruption = await wait(for: direction, &patience)
      case .pause(let pause): interruption = await rest(pause, &patience)
      }
      if let interruption { throw giveUp(&progress, operation, interruption) }
    }
  }

  /// What ends an operation that never has to wait, because its peer is as fast: what would end a wait.
  @inline(never)
  private func interruption(_ patience: inout Patience) -> Interruption? {
    if gate.isClosing { return .closed }
    return patience.isOverdue ? .timedOut : nil
  }

  /// Runs `body` inside the gate; it does not wait.
  func passing<R>(
    _ operation: SocketError.Operation, _ body: (World) throws(SocketError) -> R
  ) throws(SocketError) -> R {
    do { try gate.enterPassing() } catch { throw refusal(operation, error) }
    defer { leave(.passing) }
    return try body(.thread)
  }

  /// - Returns: `false` when somebody is writing, and one has to queue.
  private func enter(_ entry: Gate.Entry, _ operation: SocketError.Operation) throws(SocketError) -> Bool {
    do throws(Gate.Refusal) {
      switch entry {
      case .reading: try gate.enterReading()
      case .passing: try gate.enterPassing()
      case .writing: return try gate.enterWriting()
      }
    } catch { throw refusal(operation, error) }
    return true
  }

  /// Refuses to send and to receive before there is a connection. The kernel would not only refuse: it would hand the
  /// reason why the attempt fails to the caller that asks first, and the handshake would not hear it; and say EPIPE,
  /// which would be remembered.
  @inline(__always)
  private func checkConnected(_ entry: Gate.Entry, _ operation: SocketError.Operation) throws(SocketError) {
    if entry != .passing, !hasConnected { throw error(operation, .system(.socketNotConnected)) }
  }

  func leave(_ entry: Gate.Entry) {
    guard gate.leave(entry) else { return }
    release()
    gate.finishClosing()
  }

  // Apart, so that their room is not kept in every function that waits.
  @inline(never)
  private func giveUp<P: Progress>(
    _ progress: inout P, _ operation: SocketError.Operation, _ interruption: Interruption
  ) -> SocketError {
    progress.gaveUp(self, operation, interruption.cause)
  }

  @inline(never)
  private func refusal(_ operation: SocketError.Operation, _ refusal: Gate.Refusal) -> SocketError {
    error(operation, refusal.cause)
  }

  // MARK: In a thread

  /// Waits until the socket is ready, or closing begins, or time is up, or somebody wakes those who wait.
  ///
  /// - Parameter direction: `nil` for a pause. The socket is not asked then: it may have something to say all the time,
  ///   such as a Unix socket without a connection, which says that it hangs up.
  private func wait(
    for direction: Direction?, _ patience: inout Patience, _ errors: inout StandingErrors
  ) throws(Interruption) {
    if patience.isSpent { throw .timedOut }
    if ledger.isPublished { publish(waitFor: direction ?? .input, until: patience.deadline) }
    defer { if ledger.isPublished { publish(waitFor: direction ?? .input, until: nil) } }
    guard isShared.load(ordering: .acquiring) else {
      // Nobody can close what has one owner, who is in here.
      do throws(Errno) {
        if try !errors.wait(on: self, .thread, for: direction, nil, until: patience.deadline) { throw Errno.timedOut }
      } catch { throw error == .timedOut ? .timedOut : .system(error) }
      return
    }
    let waker: Waker
    do { waker = try Waker.borrow() } catch { throw .system(error) }
    defer { waker.giveBack() }
    guard gate.park(waker) else { throw .closed }
    defer { gate.unpark(waker) }
    // Nobody's wake can be missed any more.
    if phase == .stopping || phase == .paused { return }
    do throws(Errno) {
      if try !errors.wait(on: self, .thread, for: direction, waker, until: patience.deadline) { throw Errno.timedOut }
    } catch { throw gate.isClosing ? .closed : error == .timedOut ? .timedOut : .system(error) }
    if gate.isClosing { throw .closed }
  }

  // MARK: In a task

  /// - Returns: why the wait ended, if the socket is not ready.
  @inline(__always)
  private nonisolated(nonsending) func wait(
    for direction: Direction, _ patience: inout Patience
  ) async -> Interruption? {
    let seat: Seat
    do { seat = try self.seat(for: direction, &patience) } catch { return error }
    let interest = direction == .input ? Seat.Interest.input : .output
    let isWatched = scope.isCurrentTask
    return reason(
      await seat.park(interest, until: patience.deadline, isWatched: isWatched) { self.isOver(isWatched) })
  }

  /// Waits until it is time: that is no time-out, unless the patience is at its end.
  @inline(never)
  private nonisolated(nonsending) func rest(_ pause: Duration, _ patience: inout Patience) async -> Interruption? {
    let seat: Seat
    do { seat = try self.seat(for: .input, &patience) } catch { return error }
    let end = min(patience.deadline, Deadline(after: pause))
    let isWatched = scope.isCurrentTask
    let interruption = reason(
      await seat.park(.nothing, until: end, isWatched: isWatched) { self.isOver(isWatched) })
    if let interruption, !interruption.isTimeOut { return interruption }
    return patience.isSpent ? .timedOut : nil
  }

  /// Where to wait, if there is time for it; and that it begins.
  // Apart, so that its room is not kept over the wait.
  @inline(never)
  private func seat(for direction: Direction, _ patience: inout Patience) throws(Interruption) -> Seat {
    if patience.isSpent { throw .timedOut }
    let seat = try self.seat(.task)
    if ledger.isPublished { publish(waitFor: direction, until: patience.deadline) }
    return seat
  }

  private func isOver(_ isWatched: Bool) -> Bool {
    gate.isClosing || phase == .stopping || phase == .paused || isWatched && scope.isCancelled
  }

  // Apart, and asking the gate anew: nothing that was known before the wait is kept for after it.
  @inline(never)
  private func reason(_ wake: Seat.Wake) -> Interruption? {
    // Both ways: for which it was is not kept over the wait either. Who still waits the other way says so the next time.
    if ledger.isPublished {
      publish(waitFor: .input, until: nil)
      publish(waitFor: .output, until: nil)
    }
    if gate.isClosing { return .closed }
    switch wake {
    case .ready: return nil
    case .look: return Task.isCancelled ? .cancelled : nil
    case .timedOut, .cancelled, .stopped: return wake.interruption
    }
  }

  /// Where tasks wait for this socket: at the loop of the task that first had to.
  func seat(_ world: World) throws(Interruption) -> Seat {
    if let seat = place.load() { return seat }
    let loop = try Reactor.nearest()
    // One at a time: a poller takes a descriptor once, and two tasks may come first.
    return try making.withLock { _ throws(Interruption) in
      if let seat = place.load() { return seat }
      let seat = try loop.makeSeat(number(world))
      // HEAR: for good, and before others can find it, so that a close that begins from now on wakes whoever waits there.
      // One that has begun already is seen by the wait itself.
      _ = gate.park(seat)
      // OFFER.
      return place.storeIfNil(seat)
    }
  }

  /// - Returns: why it was not let in.
  @inline(never)
  private nonisolated(nonsending) func queueToWrite(
    _ operation: SocketError.Operation, _ patience: inout Patience
  ) async -> SocketError? {
    // The socket's own seat is woken for other reasons too.
    let seat: Seat
    do { seat = try Reactor.nearest().makeSeat() } catch { return self.error(operation, error.cause) }
    defer { seat.leave() }
    // Before the queue: a word that comes from then on ends the wait.
    let changes = seat.known.changes
    let turn: WriterQueue.Turn
    do {
      guard let queued = try gate.queue(waking: seat) else { return nil }
      turn = queued
    } catch { return refusal(operation, error) }
    let wake = await seat.park(.change(since: changes), until: patience.deadline)
    do { try gate.leaveQueue(turn) } catch {
      return self.error(operation, error == .timedOut ? wake.interruption?.cause ?? .timedOut : error.cause)
    }
    return nil
  }
}

extension Interruption {
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

extension Gate.Refusal {
  var cause: SocketError.Cause {
    switch self {
    case .closed: .closed
    case .busy: .busy
    case .tooMany: .tooManyOperations
    case .timedOut: .timedOut
    }
  }
}

extension Patience {
  /// A pause within it.
  fileprivate mutating func rest(_ pause: Duration) throws(Interruption) -> Patience {
    let left = deadline.remaining ?? pause
    if left == .zero { throw .timedOut }
    return Patience(min(pause, left))
  }
}
