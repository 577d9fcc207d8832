internal import Glibc
internal import SystemPackage

/// A pause of an operation that waits for something else than its socket.
enum Pause {
  case time(Duration)
  /// Until a file that the caller has lent, such as a pipe, is ready in this direction.
  case file(CInt, Direction)
}

/// The waits of an operation for something else than its socket. They end early for the same reasons: a close, a stop,
/// the deadline, and the cancellation of the task.
extension Core {
  // MARK: In a thread

  /// Waits as long as a pause lasts, with what ends a wait for the socket.
  func rest(_ pause: Pause, _ timeout: inout LazyDeadline, _ errors: inout StandingErrors) throws(WaitError) {
    switch pause {
    case .time(let time):
      var rest = try timeout.rest(time)
      do throws(WaitError) { try wait(for: nil, &rest, &errors) } catch { if !error.isTimeOut { throw error } }
    case .file(let file, let direction):
      let events = direction == .input ? CInt(POLLIN) : CInt(POLLOUT)
      try awaitOrClose(&timeout) { waker, deadline throws(Errno) in
        try Syscalls.poll(file, events, and: waker?.descriptor ?? -1, until: deadline) != nil
      }
    }
  }

  // MARK: In a task

  /// Waits as long as a pause lasts. Returns `.timedOut` only if the operation's own deadline has passed.
  // [outlined slow path]
  @inline(never)
  nonisolated(nonsending) func rest(_ pause: Pause, _ timeout: inout LazyDeadline) async -> WaitError? {
    switch pause {
    case .time(let time): await sleep(time, &timeout)
    case .file(let file, let direction): await wait(forFile: file, direction, &timeout)
    }
  }

  private nonisolated(nonsending) func sleep(_ pause: Duration, _ timeout: inout LazyDeadline) async -> WaitError? {
    let registration: Registration
    do { registration = try self.registration(for: .input, &timeout) } catch { return error }
    let end = min(timeout.deadline, Deadline(after: pause))
    let isWatched = scope.isCurrentTask
    let interruption = reason(
      await registration.park(.nothing, until: end, isWatched: isWatched) { self.isOver(isWatched) })
    if let interruption, !interruption.isTimeOut { return interruption }
    return timeout.isSpent ? .timedOut : nil
  }

  /// The pause between two looks at a file that an event loop cannot watch.
  private static let fileInterval = Duration.milliseconds(5)

  /// Waits until a file is ready, at an event loop that watches it meanwhile.
  private nonisolated(nonsending) func wait(
    forFile file: CInt, _ direction: Direction, _ timeout: inout LazyDeadline
  ) async -> WaitError? {
    // A poller watches a file once: for a second task that waits for the same file, and without room, it looks again
    // at intervals.
    guard let registration = try? Reactor.nearest().makeRegistration(file) else {
      return await sleep(Core.fileInterval, &timeout)
    }
    defer { registration.leave(watching: file) }
    // Parked in the gate, so that a close that begins from now on wakes the task.
    guard gate.park(registration) else { return .closed }
    defer { gate.unpark(registration) }
    let interest = direction == .input ? Registration.Interest.input : .output
    return reason(await registration.park(interest, until: timeout.deadline) { self.isOver(false) })
  }
}

extension LazyDeadline {
  /// The deadline of a pause within this one. Throws `.timedOut` when no time is left.
  fileprivate mutating func rest(_ pause: Duration) throws(WaitError) -> LazyDeadline {
    let left = deadline.remaining ?? pause
    if left == .zero { throw .timedOut }
    return LazyDeadline(Timeout(min(pause, left)))
  }
}
