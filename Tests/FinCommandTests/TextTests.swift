import FinTerminal
import TestTraits
import Testing

@testable import FinLab

@Suite("Text fits 100 columns, with or without colour", .onThreads)
struct TextTests {
  private func finding() -> Finding {
    var trial = Trial(side: .fin, recipe: String(repeating: "connection.close(); ", count: 12))
    trial.expect("a name", .text(String(repeating: "a long answer ", count: 12)), from: "recv", equals: .text("short"))
    trial.note("another", .bytes(4_000_045), from: "SIOCOUTQ")
    trial.outcome = String(repeating: "so it came ", count: 15)
    return Finding(
      id: "x", articles: [.a, .c], claim: String(repeating: "claim ", count: 30), truth: "truth", verdict: .broken,
      why: nil, seconds: 1, trials: [trial])
  }

  @Test("no line is wider than 100 columns, however long the text is")
  func width() {
    let report = TextReport(terminal: Terminal(hasColour: false))
    let lines = (report.story(of: finding()) + "\n" + report.table(of: [finding()], seconds: 1)).split(separator: "\n")
    #expect(lines.allSatisfy { $0.count <= 100 })
    #expect(lines.contains { $0.contains("expected: short") })
  }

  @Test("colour only adds escape sequences")
  func colour() {
    let plain = TextReport(terminal: Terminal(hasColour: false)).story(of: finding())
    let coloured = TextReport(terminal: Terminal(hasColour: true)).story(of: finding())
    #expect(!plain.contains("\u{1B}"))
    #expect(coloured.contains("\u{1B}["))
    #expect(coloured.replacing(/\u{1B}\[[0-9;]*m/, with: "") == plain)
  }

  @Test("wrapping loses no word", arguments: [1, 7, 80])
  func wrap(width: Int) {
    let text = "Neither waits for anything."
    #expect(Terminal.wrap(text, to: width).joined(separator: " ") == text)
  }
}
