import FinDoctor
import Peers
import TestTraits
import Testing

@Suite("Findings: leaked descriptors", .needsScenes, .onThreads, .timeLimit(.minutes(30)))
struct LeaksFound {
  @Test("L1: twelve connections kept open after EOF was read, with their descriptors and age")
  func known() throws {
    let before = ContinuousClock.now
    try Scene.with("close_wait", "known", "12") { scene in
      let finding = try scene.findings().only(.closeWaitKnown)
      #expect(finding.severity == .warning && finding.count == 12)
      #expect(finding.who?.descriptors.count == 12)
      #expect(finding.who?.program?.hasPrefix("python3") == true && finding.who?.language == .python)
      #expect(finding.sentence.contains("keeps 12 connections on local port \(scene.words[0]) open"))
      #expect(finding["Recv-Q"] == "0")
      #expect(finding.why?.contains("No epoll set has them and no thread waits on them") == true)
      #expect(finding.fix.code.contains("with sock"))
      let since = try #require(finding.since)
      #expect(since.lower <= UInt64((ContinuousClock.now - before) / .milliseconds(1)))
    }
  }

  @Test("L1 does not accuse: a server that closes at EOF, open connections, half-closed connections still sending")
  func knownNeighbours() throws {
    for mode in ["closed", "open"] {
      try Scene.with("close_wait", mode) {
        let ids = try $0.findings().ids; #expect(ids.isDisjoint(with: [.closeWaitKnown, .closeWaitUnseen]))
      }
    }
    try Scene.with("close_wait", "replying") { scene in
      let findings = try scene.findings().filter { $0.id == .closeWaitKnown }
      #expect(findings.allSatisfy { $0.severity == .info })
      let young = try scene.findings(.patient)
      #expect(young.isEmpty)
    }
  }

  @Test("L1: a few connections are information only, and young ones are not reported")
  func young() throws {
    try Scene.with("close_wait", "known", "3") { scene in
      let few = try scene.findings().only(.closeWaitKnown)
      #expect(few.severity == .info)
      let young = try scene.findings(.patient)
      #expect(young.isEmpty)
      let strict = try scene.findings(.leaks).only(.closeWaitKnown)
      #expect(strict.severity >= .warning)
    }
  }

  @Test(
    "L2: EOF that the program does not read, with the reason",
    arguments: [
      ("forgotten", "No epoll set has them and no thread waits on them"), ("masked", "neither EPOLLIN nor EPOLLRDHUP"),
      ("watched", "the program did not act on it"), ("blocked", "is in sendto on them"),
      ("unread", "data is unread too"), ("polled", "is in poll on them"),
    ])
  func unseen(mode: String, why: String) throws {
    try Scene.with("close_wait", mode, "11") { scene in
      var thresholds = Thresholds.eager
      thresholds.closeWaitLong = .zero
      let finding = try scene.findings(thresholds).only(.closeWaitUnseen)
      #expect(finding.count == 11 && finding.severity == .warning)
      #expect(finding.why?.contains(why) == true, "\(finding.why ?? "")")
      #expect(finding["Recv-Q"] == (mode == "unread" ? "19" : "1"))
      #expect(finding.who?.descriptors.count == 11)
    }
  }

  @Test("L2 does not accuse: open connections, idle pooled connections whose server has just closed")
  func unseenNeighbours() throws {
    try Scene.with("close_wait", "forgotten", "12") { scene in
      let young = try scene.findings(.patient)
      #expect(young.isEmpty)
      let few = try scene.findings().only(.closeWaitUnseen)
      #expect(few.severity == .info)
    }
    try Scene.with("close_wait", "open") {
      let ids = try $0.findings().ids; #expect(!ids.contains(.closeWaitUnseen))
    }
  }

  @Test("L3: descriptors of sockets in no kernel table", arguments: ["reset", "refused", "unused"])
  func detached(mode: String) throws {
    try Scene.with("detached", mode, "8") { scene in
      let finding = try scene.findings().only(.detached)
      #expect(finding.count == 8 && finding.severity == .warning)
      #expect(finding.who?.descriptors.count == 8)
      #expect(finding["system.sockprotoname"] == "TCP")
      // Only the scene's network namespace was read: these may be sockets of another one.
      guard case .possible = finding.confidence else { throw RigError("sure: \(finding.confidence)") }
    }
  }

  @Test("L3 does not accuse: sockets of other protocols, sockets between socket() and connect()")
  func detachedNeighbours() throws {
    try Scene.with("detached", "others") {
      let ids = try $0.findings().ids; #expect(!ids.contains(.detached))
    }
    try Scene.with("detached", "busy", "8") { scene in
      for _ in 0..<20 {
        let finding = try scene.findings(Thresholds()).first { $0.id == .detached }
        #expect(finding?.severity ?? .info == .info, "\(finding?.sentence ?? "")")
      }
    }
  }

  @Test(
    "L1 and L3: a leak that grows from census to census is critical; one that grew once or stays is a warning",
    arguments: [("close_wait", FindingID.closeWaitKnown), ("detached", .detached)])
  func growing(program: String, id: FindingID) throws {
    try Scene.with(program, "growing", "12") { scene in
      var looks: [Census] = []
      var counts: [Int] = []
      try eventually(within: .seconds(120), "three looks, each with more than the one before") {
        let look = try scene.census()
        let count =
          id == .detached
          ? look.detached.count
          : look.sockets.count { $0.state == .closeWait && $0.receiveQueue == 0 && !look.holders(of: $0).isEmpty }
        if count >= 12, count > counts.last ?? 0 { (looks, counts) = (looks + [look], counts + [count]) }
        return looks.count == 3
      }
      func finding(_ between: [Census]) throws -> Finding {
        try scene.awaitFinding(id, since: looks[0], between: between) { $0.count > counts[2] }
      }
      let steady = try finding([looks[1], looks[2]])
      #expect(steady.severity == .critical)
      #expect(steady["in the earlier snapshots"] == counts.map { "\($0)" }.joined(separator: ", "))
      for between in [[looks[0], looks[0]], [looks[1], looks[1]], [looks[2], looks[1]]] {
        #expect(try finding(between).severity == .warning)
      }
      let single = try finding([])
      #expect(single.severity == .critical && single["in the earlier snapshot"] == "\(counts[0])")
    }
  }

  @Test("L4: 190 of 200 descriptors are critical, 150 a warning, 60 nothing")
  func descriptorLimit() throws {
    for (share, severity) in [("95", Severity.critical), ("75", .warning), ("30", nil)] {
      try Scene.with("fd_limit", share) { scene in
        let found = try scene.findings(Thresholds()).first { $0.id == .descriptorLimit }
        #expect(found?.severity == severity, "\(share) %")
        if severity != nil { #expect(found?["descriptors"] == "\(scene.words[0]) of 200") }
      }
    }
  }

  @Test("L4 predicts when growth reaches the limit, and ignores the same growth over a day")
  func descriptorForecast() throws {
    try Scene.with("fd_limit", "50", "growing") { scene in
      let earlier = try scene.census()
      let finding = try scene.awaitFinding(.descriptorLimit, since: earlier)
      #expect(finding.severity == .critical)
      #expect(finding.why?.contains("At this rate the limit is reached in") == true)
      let slow = try scene.allFindings(since: earlier) { $0.when.monotonic += 86_400_000_000_000 }
      #expect(!slow.contains { $0.id == .descriptorLimit && $0.who?.pid == scene.pid && $0.why != nil })
      let soon = try scene.findings(since: earlier)
      #expect(soon.ids.contains(.descriptorLimit))
    }
  }

  @Test("L1 explains L4 and comes before it in the chain")
  func chain() throws {
    try Scene.with("fd_limit", "95", "close-wait") { scene in
      let chains = Diagnosis.chains(try scene.findings().filter { FindingID.leaks.contains($0.id) })
      #expect(chains.count == 1, "\(chains.joined().map(\.sentence))")
      #expect(chains.first?.map(\.id) == [.closeWaitKnown, .descriptorLimit])
      #expect(chains.first?.first?.severity == .critical)
    }
  }
}
