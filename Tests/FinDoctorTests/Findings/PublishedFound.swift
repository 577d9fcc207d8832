import FinDoctor
import Peers
import TestTraits
import Testing

@Suite(
  "A published ledger adds source lines and intent to findings, as far as it is valid",
  .needsScenes, .onThreads, .timeLimit(.minutes(30))
)
struct PublishedFound {
  /// The findings about the scene's program with its ledger read, and the findings that its declared intent suppresses.
  private func outcome(
    _ scene: Scene, change: (inout Census, inout Diagnosis.Options) -> Void = { _, _ in }
  ) throws -> (findings: [Finding], onPurpose: [DeclaredIntent], census: Census) {
    var census = try scene.census()
    var options = Diagnosis.Options()
    options.thresholds = .eager
    Diagnosis.prepare(&census, &options)
    change(&census, &options)
    let outcome = Diagnosis.examine(census, options)
    return (outcome.findings.filter { $0.who?.pid == scene.pid }, outcome.onPurpose, census)
  }

  @Test("a finding names the source lines that opened its sockets, the most frequent first")
  func lines() throws {
    // Phase 8: the peer has finished.
    try Scene.with("ledger", "known", "3", "8") { scene in
      let (findings, onPurpose, census) = try outcome(scene)
      let leak = try findings.only(.closeWaitKnown)
      #expect(leak.sentence.hasSuffix(" 2 were opened at Server/Handler.swift:112."), "\(leak.sentence)")
      let origin = try #require(leak.origin)
      #expect(
        origin.sites.map { "\($0.file):\($0.line) \($0.count)" }
          == ["Server/Handler.swift:112 2", "Server/Handler.swift:7 1"])
      #expect(origin.phaseWords == "peer finished" && origin.waitWords == "no operation" && origin.count == 3)
      #expect(leak.fix.code.contains("close(_:)") && onPurpose.isEmpty)
      #expect(census.gaps.unreadLedgers.isEmpty)
    }
  }

  /// A finding, its situation, the phase and the intent that explain it, and an intent that does not.
  private static let meant: [(FindingID, String, phase: Int, purpose: Int, other: Int)] = [
    (.closeWaitKnown, "known", 8, 1, 14), (.closeWaitUnseen, "forgotten", 6, 8, 5),
    (.closeWaitUnseen, "forgotten", 6, 2, 5), (.closeWaitUnseen, "unread", 6, 2, 13),
    (.finWait2Held, "half", 7, 1, 14), (.unread, "full", 6, 2, 13),
  ]

  @Test(
    "declared intent suppresses a finding and is counted; not another intent, another phase or an expired one",
    arguments: meant)
  func purposes(id: FindingID, situation: String, phase: Int, purpose: Int, other: Int) throws {
    try Scene.with("ledger", situation, "2", "\(phase)", "\(purpose)", "600") { scene in
      let (findings, onPurpose, _) = try outcome(scene)
      #expect(!findings.ids.contains(id))
      let left = try #require(onPurpose.first { $0.id == id })
      #expect(left.count == 2 && left.who.pid == scene.pid && left.reason.hasPrefix("declared "))
      #expect((500_000...600_000).contains(left.milliseconds))
      // The same sockets are reported if declared intent is ignored.
      let ended = try outcome(scene) { $1.heedsPurposes = false }
      #expect(ended.findings.ids.contains(id) && ended.onPurpose.isEmpty)
    }
    for (phase, purpose, seconds) in [
      (phase, other, "600"), (phase == 6 ? 10 : 6, purpose, "600"), (phase, purpose, "-1"), (phase, 0, "600"),
    ] {
      try Scene.with("ledger", situation, "2", "\(phase)", "\(purpose)", seconds) { scene in
        let (findings, onPurpose, _) = try outcome(scene)
        #expect(findings.ids.contains(id) && !onPurpose.contains { $0.id == id }, "\(phase) \(purpose) \(seconds)")
        #expect(findings.contains { $0.id == id && $0.origin != nil })
      }
    }
  }

  @Test(
    "a wait with a deadline suppresses a finding; not an endless, expired or distant one, or one for another reason")
  func waits() throws {
    // Waits with a deadline: sending an answer, receiving after the own end, closing.
    for (id, situation, phase, input, output) in [
      (.closeWaitKnown, "known", 8, "0", "60"), (.finWait2Held, "half", 7, "60", "0"),
      (.closeWaitUnseen, "forgotten", 13, "60", "0"),
    ] as [(FindingID, String, Int, String, String)] {
      try Scene.with("ledger", situation, "2", "\(phase)", "0", "0", input, output) { scene in
        let (findings, onPurpose, _) = try outcome(scene)
        #expect(!findings.ids.contains(id), "\(findings.map(\.sentence))")
        #expect(onPurpose.map(\.count) == [2] && onPurpose[0].reason.contains("deadline"))
      }
    }
    for (situation, phase, input, output) in [
      ("known", 8, "60", "0"), ("known", 8, "0", "ever"), ("half", 7, "ever", "0"), ("half", 7, "-1", "0"),
      ("half", 7, "200000", "0"), ("half", 6, "60", "0"), ("half", 7, "0", "60"),
    ] {
      try Scene.with("ledger", situation, "2", "\(phase)", "0", "0", input, output) { scene in
        let (findings, onPurpose, _) = try outcome(scene)
        #expect(findings.ids.contains(situation == "half" ? .finWait2Held : .closeWaitKnown))
        #expect(onPurpose.isEmpty, "\(situation) \(phase) \(input) \(output)")
      }
    }
  }

  @Test("a ledger has no effect on sockets that its program does not hold")
  func forged() throws {
    try Scene.with("ledger", "forged", "3", "8", "1", "600") { scene in
      let (findings, onPurpose, census) = try outcome(scene) { census, _ in
        census.readLedgers(of: census.holders.ledgers.map(\.pid))
      }
      #expect(!census.ledgers.isEmpty && census.ledgers[scene.pid] == nil)
      #expect(try findings.only(.closeWaitKnown).origin == nil && onPurpose.isEmpty)
    }
  }

  @Test("a stale record of another socket with the same descriptor is ignored")
  func stale() throws {
    try Scene.with("ledger", "stale", "3", "8", "1", "600") { scene in
      let (findings, onPurpose, census) = try outcome(scene)
      #expect(census.ledgers[scene.pid]?.sockets.isEmpty == true)
      #expect(try findings.only(.closeWaitKnown).origin == nil && onPurpose.isEmpty)
    }
  }

  @Test("a parent's ledger gives the source lines of inherited sockets, but not their intent")
  func inherited() throws {
    try Scene.with("ledger", "inherited", "2", "8", "1", "600") { scene in
      let (findings, onPurpose, _) = try outcome(scene)
      let origin = try #require(try findings.only(.closeWaitKnown).origin)
      #expect(origin.sites.map(\.line).sorted() == [7, 112] && origin.phases.isEmpty && onPurpose.isEmpty)
    }
  }

  @Test(
    "an invalid or unknown ledger is reported as a gap, and nothing is taken from it",
    arguments: [
      ("version", "has version 7, which this fin cannot read"), ("foreign", "is not in the format of a ledger"),
      ("absurd", "is malformed"),
      ("moving", "changed too fast: 2 records could not be read"),
    ])
  func unreadable(mode: String, complaint: String) throws {
    try Scene.with("ledger", mode, "2", "8", "1", "600") { scene in
      let (findings, onPurpose, census) = try outcome(scene)
      #expect(try findings.only(.closeWaitKnown).origin == nil && onPurpose.isEmpty)
      #expect(census.gaps.sentences.contains("the ledger of process \(scene.pid) \(complaint)"))
    }
  }

  @Test("a sparse terabyte, a truncated ledger and twenty ledgers are read quickly, as far as they are valid")
  func sizes() throws {
    try Scene.with("ledger", "huge", "2", "8") { scene in
      let start = ContinuousClock.now
      let (findings, _, _) = try outcome(scene)
      #expect(try findings.only(.closeWaitKnown).origin?.count == 2)
      #expect(ContinuousClock.now - start < .seconds(30))
    }
    try Scene.with("ledger", "short", "3", "8") { scene in
      let (findings, _, census) = try outcome(scene)
      #expect(try findings.only(.closeWaitKnown).origin?.count == 2 && census.gaps.unreadLedgers.isEmpty)
    }
    try Scene.with("ledger", "many", "2", "8") { scene in
      let (findings, _, census) = try outcome(scene)
      #expect(try findings.only(.closeWaitKnown).origin?.count == 2)
      #expect(census.gaps.unreadLedgers.count == 1)
    }
  }

  @Test("control characters and bidirectional overrides in a file name are escaped")
  func escapes() throws {
    try Scene.with("ledger", "escapes", "2", "8") { scene in
      let leak = try outcome(scene).findings.only(.closeWaitKnown)
      #expect(leak.sentence.contains("\\x1b[31m\\x0aA\\xe2\\x80\\xae/B\\xff.swift:1"), "\(leak.sentence)")
    }
  }
}
