import Glibc

/// A moment on the monotonic clock. This is the only file of `Peers` that reads a clock.
public struct Deadline: Comparable, Sendable {
  /// Nanoseconds of `CLOCK_MONOTONIC`.
  let nanoseconds: Int64

  init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

  public static var now: Deadline {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return Deadline(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
  }

  /// The moment that lies `limit` from now.
  public static func after(_ limit: Duration) -> Deadline { now + limit }

  public static func + (moment: Deadline, duration: Duration) -> Deadline {
    Deadline(nanoseconds: moment.nanoseconds + duration.nanoseconds)
  }

  public static func - (later: Deadline, earlier: Deadline) -> Duration {
    .nanoseconds(later.nanoseconds - earlier.nanoseconds)
  }

  public static func < (a: Deadline, b: Deadline) -> Bool { a.nanoseconds < b.nanoseconds }

  public var hasPassed: Bool { Deadline.now >= self }

  /// The milliseconds left, for `poll`; rounded up, because a wait that ended early would spin.
  var millisecondsLeft: CInt {
    let left = nanoseconds - Deadline.now.nanoseconds
    return left <= 0 ? 0 : CInt(clamping: (left + 999_999) / 1_000_000)
  }

  var time: timespec {
    timespec(tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
  }
}

extension Duration {
  var nanoseconds: Int64 {
    let (seconds, attoseconds) = components
    return seconds * 1_000_000_000 + attoseconds / 1_000_000_000
  }
}
