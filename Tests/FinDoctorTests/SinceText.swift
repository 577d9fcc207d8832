import TestTraits
import Testing

@testable import FinDoctor

@Suite("An age is printed as exactly as it is known, and not more exactly", .onThreads)
struct SinceText {
  @Test(
    "an interval is printed as one time only if its bounds are close",
    arguments: [
      (AgeBounds(atLeast: 3200, atMost: 3260), "3.2 s", "3.2s"),
      (AgeBounds(atLeast: 3200, atMost: 41 * 60_000), "between 3.2 s and 41 min", "3.2s-41min"),
      (AgeBounds(atLeast: 3200), "at least 3.2 s", ">3.2s"),
      (AgeBounds(atLeast: 0, atMost: 90_000), "at most 1.5 min", "<1.5min"),
      (AgeBounds.unknown, "an unknown time", "-"),
      (AgeBounds(atLeast: 7_200_000, atMost: 7_300_000), "2 h", "2h"),
    ])
  func text(since: AgeBounds, words: String, column: String) {
    var buffer = TextBuffer()
    since.write(short: &buffer)
    #expect(since.description == words)
    #expect(buffer.text == column)
  }
}
