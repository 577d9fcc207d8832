import FinDoctor
import Peers
import TestTraits
import Testing

@Suite("Findings: half-closed connections, orphans, closed windows", .needsScenes, .onThreads, .timeLimit(.minutes(30)))
struct HalvesAndWindowsFound {
  @Test("H1: twelve connections that wait for their peers to finish, without a limit")
  func finWait2() throws {
    try Scene.with("half_closed", "situation", "12") { scene in
      let finding = try scene.findings().only(.finWait2Held)
      #expect(finding.count == 12 && finding.severity == .warning)
      #expect(finding["state"] == "FIN-WAIT-2" && finding["timer"] == "off")
      #expect(finding.who?.descriptors.count == 12)
      let young = try scene.findings(.patient).ids
      #expect(!young.contains(.finWait2Held))
    }
  }

  @Test("H1, its neighbour: the peer still sends, for longer than the threshold")
  func finWait2Neighbour() throws {
    try Scene.with("half_closed", "answered", "12") { scene in
      var thresholds = Thresholds.eager
      thresholds.finWait2 = .seconds(2)
      try steadily(for: .seconds(3), "H1 among the findings", equals: false) {
        try scene.findings(thresholds).ids.contains(.finWait2Held)
      }
    }
  }

  @Test("H2: connections that were closed with data the peer does not take")
  func orphans() throws {
    try Scene.with("orphans", "situation", "3") { scene in
      let finding = try scene.allFindings().only(.orphans)
      #expect(finding.count == 3)
      #expect(finding["inode"] == "0: no descriptor is left" && finding["timer"] == "persist")
      // Three do not matter to a machine that can have tens of thousands.
      #expect(finding.severity == .info)
      for (limit, severity) in [(9, Severity.warning), (5, .critical)] {
        let strict = try scene.allFindings {
          $0.namespaces[0].counters.values["sockstat.TCP.orphan"] = 3
          $0.namespaces[0].limits.orphans = limit
        }.only(.orphans)
        #expect(strict.severity == severity)
      }
    }
    try Scene.with("orphans", "neighbour") { scene in
      let found = try scene.allFindings().ids
      #expect(!found.contains(.orphans))
    }
  }

  @Test(
    "W1 and W2: a peer that does not read, and the program that is this peer; one chain, cause first",
    arguments: ["situation", "shrunk"])
  func zeroWindow(mode: String) throws {
    try Scene.with("zero_window", mode, "11") { scene in
      let receiver = Int32(try scene.number(1))
      let finding = try scene.awaitFinding(.peerZeroWindow) { $0.count == 11 }
      #expect(finding.severity == .critical)
      #expect(finding["tcpi_snd_wnd"] == "0")
      #expect(finding["timer"] == (mode == "shrunk" ? "on" : "persist"))
      let chains = Diagnosis.chains(
        try scene.allFindings().filter { [.unread, .peerZeroWindow].contains($0.id) && $0.who?.pid != nil })
      #expect(chains.map { $0.map(\.id) } == [[.unread, .peerZeroWindow]])
      #expect(chains.first?.first?.who?.pid == receiver)
      #expect(chains.first?.first?.why?.contains("forgotten") == true)
    }
  }

  @Test("W1 and W2, their neighbour: a peer that is slow and steady, for longer than the threshold")
  func slow() throws {
    try Scene.with("zero_window", "slow", "3") { scene in
      var thresholds = Thresholds.eager
      thresholds.window = .seconds(2)
      try steadily(for: .seconds(4), "W1 or W2 among the findings", equals: false) {
        !(try scene.allFindings(thresholds).ids.isDisjoint(with: [.peerZeroWindow, .unread]))
      }
    }
  }
}
