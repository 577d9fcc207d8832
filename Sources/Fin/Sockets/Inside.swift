internal import CFin
internal import Glibc
internal import Synchronization
internal import SystemPackage

/// What became of one try.
enum Attempt<Success> {
  case done(Success)
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
enum World {
  case thread, task
}

/// Every operation that may have to wait is written once, as a try. Here is what tries it, waits, and tries again: in a
/// thread, and in a task. Whoever is inside the gate is there for the whole of it; the last one out of a closing gate
/// releases.
extension Core {
  /// Tries until it is done, in a thread.
  ///
  /// - Parameters:
  ///   - failing: makes the error of a wait that ended without the socket being ready.
  ///   - attempt: one try.
  func inside<R>(
    _ entry: Gate.Entry, _ operation: SocketError.Operation, _ patience: inout Patience,
    failing: ((SocketError.Cause) -> SocketError)? = nil,
    _ attempt: (World) throws(SocketError) -> Attempt<R>
  ) throws(SocketError) -> R {
    do throws(Gate.Refusal) {
      switch entry {
      case .reading: try gate.enterReading()
      case .passing: try gate.enterPassing()
      case .writing: try gate.enterWriting(&patience)
      }
    } catch { throw self.error(operation, error.cause) }
    defer { leave(entry) }
    while true {
      let next = try attempt(.thread)
      do throws(SocketError.Cause) {
        switch next {
        case .done(let result): return result
        case .blocked(let direction): try wait(for: direction == .input ? CInt(POLLIN) : CInt(POLLOUT), &patience)
        case .pause(let pause):
          var rest = try patience.rest(pause)
          do throws(SocketError.Cause) { try wait(for: 0, &rest) } catch { if error != .timedOut { throw error } }
        }
      } catch { throw failing?(error) ?? self.error(operation, error) }
    }
  }

  /// Tries until it is done, in a task.
  nonisolated(nonsending) func inside<R>(
    _ entry: Gate.Entry, _ operation: SocketError.Operation, _ patience: inout Patience,
    failing: ((SocketError.Cause) -> SocketError)? = nil,
    _ attempt: (World) throws(SocketError) -> Attempt<R>
  ) async throws(SocketError) -> R {
    // Before anything is begun: whoever never has to wait has to let others run too, and to hear that it is cancelled.
    if let loop = Loop.current, loop.countOperation() { await loop.yield() }
    if Task.isCancelled { throw failing?(.cancelled) ?? error(operation, .cancelled) }
    do throws(SocketError.Cause) {
      switch entry {
      case .reading: do { try gate.enterReading() } catch { throw error.cause }
      case .passing: do { try gate.enterPassing() } catch { throw error.cause }
      case .writing: try await enterWriting(&patience)
      }
    } catch { throw self.error(operation, error) }
    defer { leave(entry) }
    while true {
      let next = try attempt(.task)
      do throws(SocketError.Cause) {
        switch next {
        case .done(let result): return result
        case .blocked(let direction): try await wait(for: direction == .input ? .input : .output, &patience)
        case .pause(let pause):
          var rest = try patience.rest(pause)
          let changes = try seat().known.changes
          do throws(SocketError.Cause) { try await wait(for: .change(since: changes), &rest) } catch {
            if error != .timedOut { throw error }
          }
        }
      } catch { throw failing?(error) ?? self.error(operation, error) }
    }
  }

  /// Runs `body` inside the gate; it does not wait.
  func passing<R>(
    _ operation: SocketError.Operation, _ body: () throws(SocketError) -> R
  ) throws(SocketError) -> R {
    do { try gate.enterPassing() } catch { throw self.error(operation, error.cause) }
    defer { leave(.passing) }
    return try body()
  }

  func leave(_ entry: Gate.Entry) {
    if gate.leave(entry) { release() }
  }

  // MARK: In a thread

  /// Waits until the socket is ready, or closing begins, or time is up, or somebody wakes those who wait.
  private func wait(for events: CInt, _ patience: inout Patience) throws(SocketError.Cause) {
    if patience.isSpent { throw .timedOut }
    guard isShared.load(ordering: .acquiring) else {
      // Nobody can close what has one owner, who is in here.
      do throws(Errno) {
        if try Syscalls.poll(number, events, until: patience.deadline) == nil { throw Errno.timedOut }
      } catch { throw error == .timedOut ? .timedOut : .system(error) }
      return
    }
    let waker: Waker
    do { waker = try Waker.borrow() } catch { throw .system(error) }
    defer { waker.giveBack() }
    guard gate.park(waker) else { throw .closed }
    defer { gate.unpark(waker) }
    // Nobody's wake can be missed any more.
    if phase == .stopping { return }
    do throws(Errno) {
      if try Syscalls.poll(number, events, and: waker.descriptor, until: patience.deadline) == nil {
        throw Errno.timedOut
      }
    } catch { throw gate.isClosing ? .closed : error == .timedOut ? .timedOut : .system(error) }
    if gate.isClosing { throw .closed }
  }

  // MARK: In a task

  private nonisolated(nonsending) func wait(
    for interest: Seat.Interest, _ patience: inout Patience
  ) async throws(SocketError.Cause) {
    if patience.isSpent { throw .timedOut }
    let wake = try await seat().park(interest, until: patience.deadline) { gate.isClosing || phase == .stopping }
    if gate.isClosing { throw .closed }
    try wake.check()
  }

  /// Where tasks wait for this socket: at the loop of the task that first had to.
  func seat() throws(SocketError.Cause) -> Seat {
    if let seat = place.load() { return seat }
    let made = try Reactor.nearest().makeSeat(number)
    let seat = place.storeIfNil(made)
    if seat !== made {
      made.leave()
    } else {
      // For good: a close wakes whoever waits there. One that has begun already is seen by the wait itself.
      _ = gate.park(seat)
    }
    return seat
  }

  private nonisolated(nonsending) func enterWriting(_ patience: inout Patience) async throws(SocketError.Cause) {
    do { if try gate.enterWriting() { return } } catch { throw error.cause }
    // The socket's own seat is woken for other reasons too.
    let seat = try Reactor.nearest().makeSeat()
    defer { seat.leave() }
    let turn: Gate.Turn
    do {
      guard let queued = try gate.queue(waking: seat) else { return }
      turn = queued
    } catch { throw error.cause }
    let wake = await seat.park(.change(since: 0), until: patience.deadline)
    do { try gate.leaveQueue(turn) } catch {
      if error == .timedOut { try wake.check() }
      throw error.cause
    }
  }
}

extension Seat.Wake {
  func check() throws(SocketError.Cause) {
    switch self {
    case .ready, .look: break
    case .timedOut: throw .timedOut
    case .cancelled: throw .cancelled
    case .stopped: throw .reactorStopped
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
  fileprivate mutating func rest(_ pause: Duration) throws(SocketError.Cause) -> Patience {
    let left = deadline.remaining ?? pause
    if left == .zero { throw .timedOut }
    return Patience(min(pause, left))
  }
}
