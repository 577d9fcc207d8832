import TestTraits
import Testing

@testable import FinCommand

@Suite("Times as a person writes them", .onThreads)
struct MomentTests {
  /// 2026-11-29 12:00:00 by the local clock.
  private let noon = LocalTime(year: 2026, month: 11, day: 29, hour: 12)

  private func local(_ day: Int, _ hour: Int, _ minute: Int, _ second: Int = 0) -> Int64? {
    LocalTime(year: 2026, month: 11, day: day, hour: hour, minute: minute, second: second).milliseconds
  }

  private func moment(_ text: String) throws -> Int64? {
    WrittenMoment.moment(text, now: try #require(noon.milliseconds))
  }

  @Test("a time of the day is the latest one that has passed")
  func clock() throws {
    #expect(try moment("02:13") == local(29, 2, 13) && moment("2:13:05") == local(29, 2, 13, 5))
    #expect(try moment("12:00") == local(29, 12, 0) && moment("12:01") == local(28, 12, 1))
    #expect(try moment("yesterday 02:13") == local(28, 2, 13) && moment("today 23:00") == local(29, 23, 0))
    #expect(try moment("Yesterday") == local(28, 0, 0) && moment("now") == noon.milliseconds)
  }

  @Test("a time ago", arguments: [("3 h ago", 10_800), ("3h ago", 10_800), ("90 s ago", 90), ("10min ago", 600)])
  func ago(text: String, seconds: Int64) throws {
    #expect(try moment(text) == noon.milliseconds.map { $0 - seconds * 1000 })
  }

  @Test("ISO 8601, in the local zone unless it names one")
  func iso() throws {
    #expect(try moment("2026-11-28T02:13:05") == local(28, 2, 13, 5) && moment("2026-11-28 02:13") == local(28, 2, 13))
    #expect(try moment("2026-11-28") == local(28, 0, 0))
    let utc: Int64 = 1_795_831_980_000
    #expect(try moment("2026-11-28T02:13:00Z") == utc && moment("2026-11-28T02:13:00.250Z") == utc + 250)
    #expect(try moment("2026-11-28T03:13+01:00") == utc && moment("2026-11-27T21:13-0500") == utc)
  }

  @Test(
    "what is no time is refused",
    arguments: [
      "", "25:00", "12:60", "2026-02-30", "2026-13-01 10:00", "3 weeks ago", "ago", "h ago", "-3 h ago",
      "02:13 03:14", "12:00:61", "tomorrow", "1", "02:1", "2026-11-28T", "٠٢:١٣", "9999999 h ago", "02:13+99:00",
    ])
  func refused(text: String) throws { #expect(try moment(text) == nil) }

  @Test("a moment of today is shown as a time, and another one with its day")
  func words() throws {
    let now = try #require(noon.milliseconds)
    #expect(LocalTime.words(try #require(local(29, 2, 12, 50)), now: now) == "02:12:50")
    #expect(LocalTime.words(try #require(local(28, 2, 12, 50)), now: now) == "2026-11-28 02:12:50")
  }
}
