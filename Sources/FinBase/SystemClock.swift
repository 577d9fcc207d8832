public import Glibc

/// The system's clocks.
@usableFromInline
package enum SystemClock {
  /// Nanoseconds of `CLOCK_MONOTONIC`: setting the machine's clock does not move it, and it stops in suspend.
  @inlinable package static var monotonic: Int64 { nanoseconds(CLOCK_MONOTONIC) }

  /// Nanoseconds since 1970.
  package static var wall: Int64 { nanoseconds(CLOCK_REALTIME) }

  /// The time since boot, including suspend; the kernel counts the start time of a process from the same moment.
  package static var sinceBoot: Duration { .nanoseconds(nanoseconds(CLOCK_BOOTTIME)) }

  /// Sleeps for this time; continues after an interruption by a signal.
  package static func pause(_ time: Duration) {
    guard time > .zero else { return }
    var wanted = timespec(time)
    var rest = timespec()
    while unsafe nanosleep(&wanted, &rest) != 0, KernelError.last == .interrupted { wanted = rest }
  }

  @inlinable package static func nanoseconds(_ clock: clockid_t) -> Int64 {
    var time = timespec()
    unsafe clock_gettime(clock, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }
}

extension timespec {
  package init(_ duration: Duration) {
    let (seconds, attoseconds) = duration.components
    self.init(tv_sec: Int(seconds), tv_nsec: Int(attoseconds / 1_000_000_000))
  }
}

extension Duration {
  /// The whole nanoseconds of a positive duration.
  package var inNanoseconds: UInt64 {
    UInt64(components.seconds) * 1_000_000_000 + UInt64(components.attoseconds / 1_000_000_000)
  }
}
