import Glibc

/// Awaits a fact of the kernel that announces itself to nobody, such as a counter under `/proc`: asks every millisecond.
///
/// Whatever gives an event is awaited through the event instead.
/// - Throws: `TimedOut`, or what the condition throws.
public func eventually(
  within limit: Duration = .seconds(5), _ awaited: String, _ condition: () throws -> Bool
) throws {
  let deadline = Deadline.after(limit)
  while true {
    if try condition() { return }
    if deadline.hasPassed { throw TimedOut(awaited, after: limit) }
    pauseForAMillisecond()
  }
}

/// Awaits a value, and says in the failure which one was there instead.
public func eventually<Value: Equatable>(
  within limit: Duration = .seconds(5), _ awaited: String, equals expected: Value, _ value: () throws -> Value
) throws {
  let deadline = Deadline.after(limit)
  while true {
    let seen = try value()
    if seen == expected { return }
    if deadline.hasPassed { throw TimedOut("\(awaited) is \(expected); it is \(seen)", after: limit) }
    pauseForAMillisecond()
  }
}

/// Shows that a fact stays as it is: fails as soon as it does not.
///
/// Only for claims that something never happens; there is no event for that.
public func steadily<Value: Equatable>(
  for time: Duration, _ claim: String, equals expected: Value, _ value: () throws -> Value
) throws {
  let end = Deadline.after(time)
  repeat {
    let seen = try value()
    if seen != expected { throw RigError("\(claim) should stay \(expected); it became \(seen)") }
    pauseForAMillisecond()
  } while !end.hasPassed
}

private func pauseForAMillisecond() {
  usleep(1000)
}
