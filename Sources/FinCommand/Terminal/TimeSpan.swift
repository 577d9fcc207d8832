import ArgumentParser
import Glibc

/// A time with its unit: `500ms`, `10s`, `2min`, `1h`; seconds without one.
struct TimeSpan: ExpressibleByArgument {
  var milliseconds: Int64

  init(milliseconds: Int64) { self.milliseconds = milliseconds }

  init?(argument: String) {
    let digits = argument.prefix { $0.isASCII && $0.isNumber }
    let units: [Substring: Int64] = ["ms": 1, "s": 1000, "": 1000, "min": 60_000, "m": 60_000, "h": 3_600_000]
    guard let number = Int64(digits), number > 0, number <= 86_400_000,
      let unit = units[argument.dropFirst(digits.count)],
      number * unit <= 86_400_000
    else { return nil }
    milliseconds = number * unit
  }

  /// The time as it would be typed.
  var defaultValueDescription: String {
    milliseconds % 1000 == 0 ? "\(milliseconds / 1000)s" : "\(milliseconds)ms"
  }

  var duration: Duration { .milliseconds(milliseconds) }

  /// Sleeps for this time, and calls `body` after each slice of `slice` milliseconds, including the last.
  func pass(in slice: Int64 = .max, _ body: () -> Void = {}) {
    let end = Self.now() + milliseconds
    while true {
      let now = Self.now()
      let wanted = now < end ? min(slice, end - now) : 0
      var rest = timespec(tv_sec: Int(wanted / 1000), tv_nsec: Int(wanted % 1000 * 1_000_000))
      var left = timespec()
      while wanted > 0, unsafe nanosleep(&rest, &left) != 0, errno == EINTR { rest = left }
      body()
      if Self.now() >= end { return }
    }
  }

  private static func now() -> Int64 {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
  }
}
