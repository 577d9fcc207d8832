import FinDoctor
import Peers
import TestTraits
import Testing

@Suite("Findings: peers that do not answer", .needsScenes, .onThreads, .needsTUN, .timeLimit(.minutes(30)))
struct PeersFound {
  /// Runs `body` with a link that has a server on its right side, and the server's port.
  private func withServer(_ body: (LossyLink, String) throws -> Void) throws {
    try withLossyLink { link in
      try Scene.with("across", "serve", LossyLink.rightAddress, in: link.right) { try body(link, $0.words[0]) }
    }
  }

  @Test("P1: unacknowledged data is reported once the path is cut, not before")
  func unacknowledged() throws {
    try withServer { link, port in
      try Scene.with("across", "send", LossyLink.rightAddress, port, "6", in: link.left) { scene in
        try scene.program.write("send\n")
        _ = try scene.program.readLine()
        let before = try scene.findings().ids
        #expect(!before.contains(.unacknowledged))
        link.cut()
        try scene.program.write("send\n")
        let finding = try scene.awaitFinding(.unacknowledged) { $0.count == 6 }
        #expect(finding.severity == .critical)
        #expect(finding.sentence.contains("to \(LossyLink.rightAddress):\(port)"))
        #expect(Int(finding["retransmits"] ?? "") ?? 0 >= 3)
        let usual = try scene.findings(Thresholds())
        #expect(usual.allSatisfy { $0.id != .unacknowledged || $0.since?.upper ?? 0 >= 10_000 })
      }
    }
  }

  /// The findings once all three connections of the scene have been idle for longer than the threshold.
  private func findingsWhenIdle(_ scene: Scene, _ thresholds: Thresholds) throws -> Set<FindingID> {
    try eventually(within: .seconds(120), "three connections without a word") {
      let census = try scene.census()
      return census.sockets.count { socket in
        socket.state == .established && AgeBounds.idle(socket)?.atLeast ?? .zero > thresholds.idle * 2
          && census.holders(of: socket).contains { $0.pid == scene.pid }
      } >= 3
    }
    return try scene.findings(thresholds).ids
  }

  @Test("P2: idle connections to another machine without keepalive; not with keepalive, and not on loopback")
  func idle() throws {
    var thresholds = Thresholds.eager
    thresholds.idle = .milliseconds(300)
    thresholds.idleLong = .milliseconds(300)
    thresholds.idleMany = 3
    try withServer { link, port in
      try Scene.with("across", "idle", LossyLink.rightAddress, port, "3", in: link.left) { scene in
        let finding = try scene.awaitFinding(.idleWithoutKeepalive, thresholds) { $0.count == 3 }
        #expect(finding.severity == .warning)
        #expect(finding["timer"] == "off")
      }
      try Scene.with("across", "keepalive", LossyLink.rightAddress, port, "3", in: link.left) { scene in
        let found = try findingsWhenIdle(scene, thresholds)
        #expect(!found.contains(.idleWithoutKeepalive))
      }
    }
    try Scene.with("close_wait", "open", "3") { scene in
      let found = try findingsWhenIdle(scene, thresholds)
      #expect(!found.contains(.idleWithoutKeepalive))
    }
  }

  @Test("P3: unanswered keepalive probes are reported once the path is cut, not before")
  func keepalive() throws {
    try withServer { link, port in
      try Scene.with("across", "keepalive", LossyLink.rightAddress, port, "2", in: link.left) { scene in
        // A probe in flight is not answered yet, and on a busy machine that may take a while.
        try steadily(for: .milliseconds(2500), "P3 among the findings of probes that are answered", equals: false) {
          try scene.findings().contains { $0.id == .keepaliveFailing && $0["probes"] != "1" }
        }
        link.cut()
        let finding = try scene.awaitFinding(.keepaliveFailing) { $0.count == 2 && $0["probes"] != "1" }
        #expect(finding.severity == .warning && finding["timer"] == "keepalive")
      }
    }
  }

  @Test("P3: with TCP_USER_TIMEOUT more probes than TCP_KEEPCNT are unanswered, and the time decides")
  func userTimeout() throws {
    try withServer { link, port in
      try Scene.with("across", "keepalive", LossyLink.rightAddress, port, "1", "3", "120000", in: link.left) { scene in
        link.cut()
        let finding = try scene.awaitFinding(.keepaliveFailing) { Int($0["probes"] ?? "") ?? 0 > 9 }
        #expect(finding.why?.contains("That more than 9 have no answer means that the program has set") == true)
        #expect(finding.why?.contains("gives up with ETIMEDOUT after") == false)
        let census = try scene.census()
        let place = try #require(census.sockets.firstIndex { $0.timer == .keepalive })
        let readings = scene.network.run { SocketDetails.read(.inet(place), in: census, readsOptions: true) }
        #expect(readings.options?.keepaliveCount == 3 && readings.options?.userTimeout == 120_000)
        let next = SocketExplanation(of: .inet(place), in: census, readings).next.joined(separator: " ")
        #expect(next.contains("after 2 min without an answer (TCP_USER_TIMEOUT)"), "\(next)")
      }
    }
  }

  @Test("P4: unanswered connection attempts; not reported once they are answered")
  func connecting() throws {
    try withServer { link, port in
      link.cut()
      try Scene.with("across", "connect", LossyLink.rightAddress, port, "10", in: link.left) { scene in
        let finding = try scene.awaitFinding(.connectStuck) { $0.count == 10 }
        #expect(finding.severity == .critical)
        #expect(finding.sentence.contains("to \(LossyLink.rightAddress):\(port)"))
        #expect(finding.why?.contains("something on the way drops") == true)
        #expect((finding.since?.lower ?? 0) >= 1000)
        link.heal()
        try eventually(within: .seconds(120), "the attempts to be answered") {
          try !scene.findings().ids.contains(.connectStuck)
        }
      }
    }
  }
}
