import Glibc

/// Awaits a fact of the kernel that announces itself to nobody, such as a counter under `/proc`: asks again and again, at
/// first after a millisecond and then less often.
///
/// Whatever gives an event is awaited through the event instead.
/// - Throws: `TimedOut`, or what the condition throws.
public func eventually(
  within limit: Duration = .seconds(20), _ awaited: String, _ condition: () throws -> Bool
) throws {
  let deadline = Deadline.after(limit)
  var pause = Pause()
  while true {
    if try condition() { return }
    if deadline.hasPassed { throw TimedOut(awaited, after: limit) }
    pause.take()
  }
}

/// Awaits a value, and says in the failure which one was there instead.
public func eventually<Value: Equatable>(
  within limit: Duration = .seconds(20), _ awaited: String, equals expected: Value, _ value: () throws -> Value
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

/// Shows that a fact stays as it is: fails as soon as it does not.
///
/// Only for claims that something never happens; there is no event for that.
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

/// From 1 to 20 milliseconds: what is near is seen at once, and what is not leaves others the processor.
private struct Pause {
  private var milliseconds: UInt32 = 1

  mutating func take() {
    usleep(milliseconds * 1000)
    milliseconds = min(milliseconds * 2, 20)
  }
}
