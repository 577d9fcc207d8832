import Fin
import FinBase
import Synchronization

/// The time limits of a conversation: how long nothing may move in either direction, and how long it may last.
final class IdleClock: Sendable {
  enum Limit: Error { case idle, whole }

  private let began = SystemClock.monotonic
  private let moved: Atomic<Int64>
  private let idle: Int64?
  private let whole: Int64?

  /// - Parameters:
  ///   - idle: The time without a byte; nil for no limit.
  ///   - whole: The time in all; nil for no limit.
  init(idle: TimeSpan?, whole: TimeSpan? = nil) {
    self.idle = idle.map { $0.milliseconds * 1_000_000 }
    self.whole = whole.map { $0.milliseconds * 1_000_000 }
    moved = Atomic(began)
  }

  /// Notes that bytes have moved.
  func move() { moved.store(SystemClock.monotonic, ordering: .relaxed) }

  /// The nanoseconds that it has lasted.
  var age: Int64 { SystemClock.monotonic - began }

  private var ends: (idle: Int64, whole: Int64) {
    (idle.map { moved.load(ordering: .relaxed) + $0 } ?? .max, whole.map { began + $0 } ?? .max)
  }

  /// The nanoseconds until the first limit; nil if there is none.
  var left: Int64? {
    let end = min(ends.idle, ends.whole)
    return end == .max ? nil : max(0, end - SystemClock.monotonic)
  }

  /// The timeout of a call that waits until the first limit.
  var timeout: Timeout { left.map { Timeout(.nanoseconds($0)) } ?? .never }

  /// Checks the limits.
  func check() throws(Limit) {
    let now = SystemClock.monotonic
    if ends.whole <= now { throw .whole }
    if ends.idle <= now { throw .idle }
  }
}
