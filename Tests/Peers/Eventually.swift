import Glibc

/// Polls until a condition holds, after one millisecond at first and then less often.
///
/// Only for kernel state without an event, such as a counter under `/proc`. Where there is an event, wait for it.
/// - Throws: `TimedOut`, or the error of the condition.
public func eventually(
  within limit: Duration = .seconds(60), _ awaited: String, _ condition: () throws -> Bool
) throws {
  let deadline = Deadline.after(limit)
  var pause = Pause()
  while true {
    if try condition() { return }
    if deadline.hasPassed { throw TimedOut(awaited, after: limit) }
    pause.take()
  }
}

/// Polls until a value equals `expected`. The error names the last value seen.
public func eventually<Value: Equatable>(
  within limit: Duration = .seconds(60), _ awaited: String, equals expected: Value, _ value: () throws -> Value
) throws {
  let deadline = Deadline.after(limit)
  var pause = Pause()
  while true {
    let seen = try value()
    if seen == expected { return }
    if deadline.hasPassed { throw TimedOut("\(awaited) is \(expected); it is \(seen)", after: limit) }
    pause.take()
  }
}

/// Checks that a value stays equal to `expected` for `time`, and fails as soon as it changes.
///
/// Only for claims that something never happens, for which there is no event.
public func steadily<Value: Equatable>(
  for time: Duration, _ claim: String, equals expected: Value, _ value: () throws -> Value
) throws {
  let end = Deadline.after(time)
  var pause = Pause()
  repeat {
    let seen = try value()
    if seen != expected { throw RigError("\(claim) should stay \(expected); it became \(seen)") }
    pause.take()
  } while !end.hasPassed
}

/// A pause that grows from 1 to 20 milliseconds, so that early changes are seen quickly and long waits cost little.
///
/// After a look that took long, such as a census, it is three times as long as the look, at most 250 milliseconds: the
/// tests beside it need the processor too.
private struct Pause {
  private var milliseconds: UInt32 = 1
  private var woken = ContinuousClock.now

  mutating func take() {
    let look = (ContinuousClock.now - woken) / .milliseconds(1)
    usleep(max(milliseconds, UInt32(min(3 * look, 250))) * 1000)
    milliseconds = min(milliseconds * 2, 20)
    woken = .now
  }
}
