import Glibc

/// A moment by the clock of the local time zone, and back.
struct LocalTime: Hashable {
  var year: Int
  var month: Int
  var day: Int
  var hour = 0
  var minute = 0
  var second = 0

  init(year: Int, month: Int, day: Int, hour: Int = 0, minute: Int = 0, second: Int = 0) {
    (self.year, self.month, self.day) = (year, month, day)
    (self.hour, self.minute, self.second) = (hour, minute, second)
  }

  /// The local time of a moment, in milliseconds since 1970.
  init(_ milliseconds: Int64) {
    var moment = time_t((Double(milliseconds) / 1000).rounded(.down))
    var time = unsafe tm()
    unsafe localtime_r(&moment, &time)
    unsafe self.init(
      year: Int(time.tm_year) + 1900, month: Int(time.tm_mon) + 1, day: Int(time.tm_mday), hour: Int(time.tm_hour),
      minute: Int(time.tm_min), second: Int(time.tm_sec))
  }

  private func made(_ convert: (UnsafeMutablePointer<tm>) -> time_t) -> Int64? {
    guard (1970...9999).contains(year), (1...12).contains(month), (1...31).contains(day), (0...23).contains(hour),
      (0...59).contains(minute), (0...60).contains(second)
    else { return nil }
    var time = unsafe tm()
    unsafe (time.tm_year, time.tm_mon, time.tm_mday) = (CInt(year - 1900), CInt(month - 1), CInt(day))
    unsafe (time.tm_hour, time.tm_min, time.tm_sec) = (CInt(hour), CInt(minute), CInt(second))
    // The C library decides whether it was summer time.
    unsafe time.tm_isdst = -1
    let moment = unsafe convert(&time)
    // The 30th of February would be a day of March.
    return unsafe time.tm_mday == CInt(day) && time.tm_mon == CInt(month - 1) ? Int64(moment) * 1000 : nil
  }

  /// The moment, in milliseconds since 1970; nil for a day that does not exist.
  var milliseconds: Int64? { unsafe made { unsafe mktime($0) } }

  /// The moment, if this is a time in UTC.
  var millisecondsInUTC: Int64? { unsafe made { unsafe timegm($0) } }

  /// The same time of the day, some days later or earlier.
  func moved(byDays days: Int) -> LocalTime {
    let noon = LocalTime(year: year, month: month, day: day, hour: 12)
    var moved = LocalTime((noon.milliseconds ?? 0) + Int64(days) * 86_400_000)
    (moved.hour, moved.minute, moved.second) = (hour, minute, second)
    return moved
  }

  /// `02:12:50`
  var clock: String { [hour, minute, second].map(Self.two).joined(separator: ":") }
  /// `2026-11-29`
  var date: String { "\(year)-\(Self.two(month))-\(Self.two(day))" }

  private static func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }

  /// The present moment, in milliseconds since 1970.
  static var now: Int64 {
    var time = timespec()
    unsafe clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
  }

  /// A moment for a reader: `02:12:50` of today, `2026-11-29 02:12:50` of another day.
  static func words(_ milliseconds: Int64, now: Int64 = LocalTime.now) -> String {
    let time = LocalTime(milliseconds)
    return time.date == LocalTime(now).date ? time.clock : "\(time.date) \(time.clock)"
  }
}
