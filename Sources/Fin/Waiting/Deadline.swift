internal import FinBase

/// The instant at which a wait gives up, or never.
///
/// It is on `CLOCK_MONOTONIC`, so that setting the machine's clock does not move it; time in suspend does not count.
/// No other file of Fin reads a clock.
struct Deadline: Comparable, Hashable, Sendable {
  /// Nanoseconds on the monotonic clock; `Int64.max` is never.
  let nanoseconds: Int64

  static let never = Deadline(nanoseconds: .max)

  init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

  /// The deadline `duration` from now. A duration too long to count in nanoseconds gives never; a negative one gives a
  /// deadline that has already passed.
  init(after duration: Duration) {
    self.init(nanoseconds: Deadline.adding(duration, to: Instant.now.nanoseconds))
  }

  /// The deadline `allowed` from now. A negative timeout counts as zero: a deadline before the call would have passed
  /// before the operation's only attempt.
  init(allowing allowed: Timeout) {
    let (sum, overflow) = Instant.now.nanoseconds.addingReportingOverflow(max(0, allowed.nanoseconds))
    self.init(nanoseconds: overflow ? .max : sum)
  }

  static func adding(_ duration: Duration, to now: Int64) -> Int64 {
    // A `Duration` can be longer than `components` can represent, which would trap.
    if duration >= longest { return .max }
    if duration <= shortest { return .min }
    let (seconds, attoseconds) = duration.components
    let span = seconds * 1_000_000_000 + attoseconds / 1_000_000_000
    let (sum, overflow) = now.addingReportingOverflow(span)
    return overflow ? (span < 0 ? .min : .max) : sum
  }

  private static let longest = Duration.nanoseconds(Int64.max)
  private static let shortest = Duration.nanoseconds(Int64.min)

  static func < (a: Deadline, b: Deadline) -> Bool { a.nanoseconds < b.nanoseconds }

  var hasPassed: Bool { nanoseconds != .max && Instant.now.nanoseconds >= nanoseconds }

  /// A deadline that has passed, made without reading the clock.
  static let passed = Deadline(nanoseconds: .min)

  /// The remaining time in whole milliseconds, rounded up; −1 for never. For `epoll_wait(2)`.
  var milliseconds: CInt {
    switch nanoseconds {
    case .max: return -1
    case .min: return 0
    default:
      let now = Instant.now.nanoseconds
      return nanoseconds <= now ? 0 : CInt(clamping: (nanoseconds - now - 1) / 1_000_000 + 1)
    }
  }

  /// The remaining time: zero when the deadline has passed, `nil` for never.
  var remaining: Duration? {
    if nanoseconds == .max { return nil }
    let now = Instant.now.nanoseconds
    return nanoseconds <= now ? .zero : .nanoseconds(nanoseconds - now)
  }
}

/// A moment on the monotonic clock.
struct Instant: Comparable, Sendable {
  let nanoseconds: Int64

  static var now: Instant { Instant(nanoseconds: SystemClock.monotonic) }

  static func < (a: Instant, b: Instant) -> Bool { a.nanoseconds < b.nanoseconds }

  func adding(_ duration: Duration) -> Instant { Instant(nanoseconds: Deadline.adding(duration, to: nanoseconds)) }

  var elapsed: Duration { .nanoseconds(Instant.now.nanoseconds - nanoseconds) }
}

/// A lazy deadline: a timeout that becomes a deadline when the operation first has to wait, so that an operation that
/// need not wait reads no clock.
///
/// It is small, because it is kept in the async frame of every operation that waits in a task.
struct LazyDeadline {
  /// The timeout or, once it is fixed, the deadline.
  private var nanoseconds: Int64
  private var looks: UInt32 = 0
  private var isFixed: Bool
  private var hasLookedLast = false

  init(_ allowed: Timeout) {
    nanoseconds = allowed.nanoseconds
    // Without a limit, the deadline is never, whenever the wait begins.
    isFixed = nanoseconds == .max
  }

  /// - Parameters:
  ///   - timeout: the timeout that the call gives.
  ///   - usual: the timeout that applies when the call gives the default.
  init(_ timeout: Timeout, or usual: Timeout) { self.init(timeout.or(usual)) }

  /// The deadline of a wait that began before.
  init(until deadline: Deadline) {
    nanoseconds = deadline.nanoseconds
    isFixed = true
  }

  /// The timeout; once it is fixed, the time that is left.
  var allowed: Timeout {
    guard isFixed else { return Timeout(nanoseconds: nanoseconds) }
    return Deadline(nanoseconds: nanoseconds).remaining.map { Timeout($0) } ?? .never
  }

  var deadline: Deadline {
    mutating get {
      if !isFixed {
        nanoseconds = Deadline(allowing: Timeout(nanoseconds: nanoseconds)).nanoseconds
        isFixed = true
      }
      return Deadline(nanoseconds: nanoseconds)
    }
  }

  /// Whether the deadline had already passed at the previous check. So an operation makes one more attempt after its
  /// deadline, and not one for each byte of a peer that never stops.
  var isSpent: Bool {
    mutating get {
      guard isFixed else {
        // The first wait: its time begins here, and the clock is read only once for it.
        if nanoseconds <= 0 { hasLookedLast = true }
        _ = deadline
        return false
      }
      guard deadline.hasPassed else { return false }
      defer { hasLookedLast = true }
      return hasLookedLast
    }
  }
}

extension LazyDeadline {
  /// The attempts that are made before the time counts: enough to drain any receive buffer, however small the pieces
  /// that are read. So data that had arrived in time is read, and an operation that completes before this reads
  /// no clock.
  private static let freeLooks: UInt32 = 1024

  /// Whether the deadline has passed for an operation that never had to wait. Checked after each attempt that made
  /// progress and did not complete the operation.
  var isOverdue: Bool {
    mutating get {
      // Counted no further than needed: an operation without a deadline may make any number of attempts.
      if looks <= LazyDeadline.freeLooks { looks += 1 }
      return looks > LazyDeadline.freeLooks && deadline.hasPassed
    }
  }
}
