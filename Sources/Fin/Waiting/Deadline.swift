internal import CFin
internal import Glibc

/// The instant at which a wait gives up, or never.
///
/// On `CLOCK_MONOTONIC`, so that setting the machine's clock moves nothing; time asleep in suspend does not count. This is
/// the only file that reads a clock.
struct Deadline: Comparable, Sendable {
  /// Nanoseconds on the monotonic clock; `Int64.max` is never.
  let nanoseconds: Int64

  static let never = Deadline(nanoseconds: .max)

  init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

  /// `duration` from now; a time too large to count in nanoseconds is never, one below zero has passed already.
  init(after duration: Duration) {
    self.init(nanoseconds: Deadline.adding(duration, to: Instant.now.nanoseconds))
  }

  static func adding(_ duration: Duration, to now: Int64) -> Int64 {
    // A Duration can be longer than `components` can tell; those would trap.
    if duration >= .nanoseconds(Int64.max) { return .max }
    if duration <= .nanoseconds(Int64.min) { return .min }
    let (seconds, attoseconds) = duration.components
    let span = seconds * 1_000_000_000 + attoseconds / 1_000_000_000
    let (sum, overflow) = now.addingReportingOverflow(span)
    return overflow ? (span < 0 ? .min : .max) : sum
  }

  static func < (a: Deadline, b: Deadline) -> Bool { a.nanoseconds < b.nanoseconds }

  var hasPassed: Bool { nanoseconds != .max && Instant.now.nanoseconds >= nanoseconds }

  /// At once, without a look at the clock.
  static let passed = Deadline(nanoseconds: .min)

  /// What is left in whole milliseconds, rounded up; −1 for never. For `epoll_wait(2)`.
  var milliseconds: CInt {
    switch nanoseconds {
    case .max: return -1
    case .min: return 0
    default:
      let now = Instant.now.nanoseconds
      return nanoseconds <= now ? 0 : CInt(clamping: (nanoseconds - now - 1) / 1_000_000 + 1)
    }
  }

  /// What is left, zero when it has passed; `nil` for never.
  var remaining: Duration? {
    if nanoseconds == .max { return nil }
    let now = Instant.now.nanoseconds
    return nanoseconds <= now ? .zero : .nanoseconds(nanoseconds - now)
  }
}

/// A moment on the monotonic clock.
struct Instant: Sendable {
  let nanoseconds: Int64

  static var now: Instant {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return Instant(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
  }

  var elapsed: Duration { .nanoseconds(Instant.now.nanoseconds - nanoseconds) }
}

/// A time allowed, turned into a deadline when somebody first has to wait: an operation that need not wait reads no clock.
struct Patience {
  private let allowed: Duration?
  private var fixed: Deadline?
  private var hasLookedLast = false

  init(_ allowed: Duration?) { self.allowed = allowed }

  var deadline: Deadline {
    mutating get {
      if let fixed { return fixed }
      let deadline = allowed.map { Deadline(after: $0) } ?? .never
      fixed = deadline
      return deadline
    }
  }

  /// Whether time was up already when this was asked before: who waits with no time left gets one look, and not one for
  /// each byte of a peer that never stops.
  var isSpent: Bool {
    mutating get {
      guard fixed != nil else {
        // The first wait: its time begins here, and one reading of the clock is enough for it.
        if deadline != .never, allowed! <= .zero { hasLookedLast = true }
        return false
      }
      guard deadline.hasPassed else { return false }
      defer { hasLookedLast = true }
      return hasLookedLast
    }
  }
}

extension timespec {
  init(_ duration: Duration) {
    let (seconds, attoseconds) = duration.components
    self.init(tv_sec: Int(seconds), tv_nsec: Int(attoseconds / 1_000_000_000))
  }
}
