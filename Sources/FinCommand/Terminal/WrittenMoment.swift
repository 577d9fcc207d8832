import ArgumentParser
import FinDoctor

/// A moment as a person writes it: `02:13`, `yesterday 02:13`, `3 h ago`, `2026-11-29 02:13`, or with a zone
/// `2026-11-29T02:13:00Z`.
struct WrittenMoment: Hashable {
  /// Milliseconds since 1970.
  var milliseconds: Int64

  init(milliseconds: Int64) { self.milliseconds = milliseconds }

  /// The forms, for help and errors.
  static let forms = "02:13, \"yesterday 02:13\", \"3 h ago\", 2026-11-29T02:13:00Z"

  /// - Throws: `ValidationError` with the forms that are understood.
  init(parsing text: String) throws {
    guard let moment = Self.moment(text, now: LocalTime.now) else {
      throw ValidationError("'\(visible(text, limit: 64))' is no time. Write \(Self.forms).")
    }
    milliseconds = moment
  }

  /// The moment, in milliseconds since 1970; nil for another text.
  static func moment(_ text: String, now: Int64) -> Int64? {
    let words = text.lowercased().split(separator: " ")
    guard let first = words.first, words.count <= 3 else { return nil }
    let today = LocalTime(now)
    if words.last == "ago" { return span(words.dropLast().joined()).map { now - $0 } }
    switch (first, words.count) {
    case ("now", 1): return now
    case ("today", 1), ("yesterday", 1): return day(first, today)?.milliseconds
    case ("today", 2), ("yesterday", 2):
      guard let day = day(first, today), let clock = Clock(words[1]) else { return nil }
      return moment(day, clock)
    case (_, 1):
      if let clock = Clock(first) {
        // The latest such time that has passed.
        guard let here = moment(today, clock) else { return nil }
        return here <= now ? here : moment(today.moved(byDays: -1), clock)
      }
      let parts = first.split(separator: "t", maxSplits: 1)
      return parts.count == 2 ? moment(parts[0], parts[1]) : date(first)?.milliseconds
    case (_, 2): return moment(first, words[1])
    default: return nil
    }
  }

  private static func day(_ word: Substring, _ today: LocalTime) -> LocalTime? {
    var day = word == "today" ? today : today.moved(byDays: -1)
    (day.hour, day.minute, day.second) = (0, 0, 0)
    return day
  }

  private static func moment(_ day: LocalTime, _ clock: Clock) -> Int64? {
    var time = day
    (time.hour, time.minute, time.second) = (clock.hour, clock.minute, clock.second)
    let moment =
      if let east = clock.minutesEast { time.millisecondsInUTC.map { $0 - Int64(east) * 60_000 } } else {
        time.milliseconds
      }
    return moment.map { $0 + Int64(clock.millisecond) }
  }

  private static func moment(_ day: Substring, _ clock: Substring) -> Int64? {
    guard let day = date(day), let clock = Clock(clock) else { return nil }
    return moment(day, clock)
  }

  /// Parses `2026-11-29`.
  private static func date(_ text: Substring) -> LocalTime? {
    let parts = text.split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count == 3, parts[0].count == 4, let year = number(parts[0]), let month = number(parts[1]),
      let day = number(parts[2])
    else { return nil }
    let date = LocalTime(year: year, month: month, day: day)
    return date.milliseconds == nil ? nil : date
  }

  /// Parses `3h`, `90s`, `10min`, `2d`: milliseconds.
  private static func span(_ text: String) -> Int64? {
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    let units: [Substring: Int64] = [
      "s": 1000, "min": 60_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "day": 86_400_000, "days": 86_400_000,
    ]
    guard digits.count <= 6, let count = Int64(digits), let unit = units[text.dropFirst(digits.count)] else {
      return nil
    }
    return count * unit
  }

  fileprivate static func number(_ text: Substring) -> Int? {
    guard (1...4).contains(text.count), text.allSatisfy({ $0.isASCII && $0.isNumber }) else { return nil }
    return Int(text)
  }

  /// A time of the day, with its zone if it has one: `02:13`, `02:13:05.5`, `02:13z`, `02:13+01:00`.
  private struct Clock {
    var hour: Int
    var minute: Int
    var second = 0
    var millisecond = 0
    /// The minutes that its zone is ahead of UTC; nil for the local zone.
    var minutesEast: Int?

    init?(_ text: Substring) {
      var rest = text
      if rest.hasSuffix("z") {
        minutesEast = 0
        rest.removeLast()
      } else if let place = rest.lastIndex(where: { $0 == "+" || $0 == "-" }) {
        let digits = rest[rest.index(after: place)...].filter { $0 != ":" }
        guard digits.count == 2 || digits.count == 4, let value = WrittenMoment.number(digits[...]) else { return nil }
        let minutes = digits.count == 2 ? value * 60 : value / 100 * 60 + value % 100
        guard minutes <= 14 * 60 else { return nil }
        minutesEast = rest[place] == "-" ? -minutes : minutes
        rest = rest[..<place]
      }
      if let point = rest.firstIndex(of: ".") {
        let digits = rest[rest.index(after: point)...]
        guard (1...9).contains(digits.count), digits.allSatisfy({ $0.isASCII && $0.isNumber }) else { return nil }
        millisecond = Int((digits + "000").prefix(3)) ?? 0
        rest = rest[..<point]
      }
      let parts = rest.split(separator: ":", omittingEmptySubsequences: false)
      guard (2...3).contains(parts.count), parts[0].count <= 2, parts.dropFirst().allSatisfy({ $0.count == 2 }),
        let hour = WrittenMoment.number(parts[0]), let minute = WrittenMoment.number(parts[1]), hour < 24, minute < 60
      else { return nil }
      (self.hour, self.minute) = (hour, minute)
      if parts.count == 3 {
        guard let second = WrittenMoment.number(parts[2]), second < 60 else { return nil }
        self.second = second
      } else if millisecond != 0 {
        return nil
      }
    }
  }
}
