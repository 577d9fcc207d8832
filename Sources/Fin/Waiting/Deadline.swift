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

  /// `allowed` from now. Less than no time is no time: a deadline before the call would be over before its one look.
  init(after allowed: Allowance) {
    let (sum, overflow) = Instant.now.nanoseconds.addingReportingOverflow(max(0, allowed.nanoseconds))
    self.init(nanoseconds: overflow ? .max : sum)
  }

  static func adding(_ duration: Duration, to now: Int64) -> Int64 {
    // A Duration can be longer than `components` can tell; those would trap.
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

/// A time allowed, in nanoseconds.
struct Allowance: Hashable, Sendable {
  /// `Int64.max` is for ever.
  let nanoseconds: Int64

  init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

  /// - Parameter duration: `nil` for ever.
  init(_ duration: Duration?) {
    // What is longer than can be counted is as long as can be counted, and not for ever.
    nanoseconds = duration.map { min(Deadline.adding($0, to: 0), .max - 1) } ?? .max
  }

  var duration: Duration? { nanoseconds == .max ? nil : .nanoseconds(nanoseconds) }
}

/// A time allowed, turned into a deadline when somebody first has to wait: an operation that need not wait reads no clock.
///
/// Kept in the frame of everyone who waits in a task, and small for that.
struct Patience {
  /// What is allowed, or, once it is fixed, when that is over.
  private var nanoseconds: Int64
  private var looks: UInt32 = 0
  private var isFixed: Bool
  private var hasLookedLast = false

  init(_ allowed: Allowance) {
    nanoseconds = allowed.nanoseconds
    // For ever is never, whenever it begins.
    isFixed = nanoseconds == .max
  }

  /// - Parameters:
  ///   - duration: what the call says.
  ///   - usual: what holds when it says nothing.
  init(_ duration: Duration?, or usual: Allowance = Allowance(nil)) {
    self.init(duration.map { Allowance($0) } ?? usual)
  }

  /// The time allowed, before it is fixed.
  var allowed: Allowance { Allowance(nanoseconds: nanoseconds) }

  var deadline: Deadline {
    mutating get {
      if !isFixed {
        nanoseconds = Deadline(after: Allowance(nanoseconds: nanoseconds)).nanoseconds
        isFixed = true
      }
      return Deadline(nanoseconds: nanoseconds)
    }
  }

  /// Whether time was up already when this was asked before: who waits with no time left gets one look, and not one for
  /// each byte of a peer that never stops.
  var isSpent: Bool {
    mutating get {
      guard isFixed else {
        // The first wait: its time begins here, and one reading of the clock is enough for it.
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

extension Patience {
  /// Looks that nobody counts the time of: more than any receive buffer holds, however small the pieces it is taken in. So what
  /// had arrived in time is read, and who is done before this reads no clock.
  private static let freeLooks: UInt32 = 1024

  /// Whether time is up for somebody who never had to wait: asked after each look that brought something and not all.
  var isOverdue: Bool {
    mutating get {
      // Counted no further than matters: an operation without a deadline may look for ever.
      if looks <= Patience.freeLooks { looks += 1 }
      return looks > Patience.freeLooks && deadline.hasPassed
    }
  }
}

extension timespec {
  init(_ duration: Duration) {
    let (seconds, attoseconds) = duration.components
    self.init(tv_sec: Int(seconds), tv_nsec: Int(attoseconds / 1_000_000_000))
  }
}
