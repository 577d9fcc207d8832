import FinDoctor
import Peers
import TestTraits
import Testing

@Suite("Findings: half-closed connections, orphans, zero windows", .needsScenes, .onThreads, .timeLimit(.minutes(30)))
struct HalvesAndWindowsFound {
  @Test("H1: twelve connections in FIN-WAIT-2 that wait for their peers without a timeout")
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

  @Test("H1 does not report half-closed connections whose peer still sends after the threshold")
  func finWait2Neighbour() throws {
    try Scene.with("half_closed", "answered", "12") { scene in
      var thresholds = Thresholds.eager
      thresholds.finWait2 = .seconds(2)
      try steadily(for: .seconds(3), "H1 among the findings", equals: false) {
        try scene.findings(thresholds).ids.contains(.finWait2Held)
      }
    }
  }

  @Test("H1 does not report half-closed connections with keepalive")
  func finWait2WithKeepalive() throws {
    try Scene.with("half_closed", "keepalive", "12") { scene in
      let waiting = try scene.census().sockets.count { $0.state == .finWait2 && $0.timer == .keepalive }
      #expect(waiting == 12)
      let found = try scene.findings().ids
      #expect(!found.contains(.finWait2Held))
    }
  }

  @Test("H2: closed connections whose peer does not take the remaining data")
  func orphans() throws {
    try Scene.with("orphans", "situation", "3") { scene in
      let finding = try scene.allFindings().only(.orphans)
      #expect(finding.count == 3)
      #expect(finding["inode"] == "0: no descriptor is left" && finding["timer"] == "persist")
      // Three orphans do not matter on a machine that allows tens of thousands.
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

  @Test("H2 does not report a closed connection that has just sent its last bytes to a peer with room for them")
  func orphansOnTheirWay() {
    var socket = InetSocket()
    (socket.state, socket.timer, socket.sendQueue) = (.finWait1, .retransmit, 1001)
    (socket.info.sendWindow, socket.info.retransmits) = (65536, 0)
    #expect(Diagnosis.findings(in: Census(sockets: [socket])).isEmpty)
    socket.retransmits = 1
    #expect(Diagnosis.findings(in: Census(sockets: [socket])).map(\.id) == [.orphans])
  }

  @Test(
    "W1 and W2: a peer that does not read, and the local program that is this peer, as one chain, cause first",
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
      #expect(chains.first?.first?.why?.contains("No epoll set has them") == true)
    }
  }

  @Test(
    "W1: eleven connections to one peer are critical, one to each of eleven peers a warning, with the kernel's values")
  func zeroWindowPeers() throws {
    for (peers, severity) in [(1, Severity.critical), (11, .warning)] {
      let sockets = (0..<11).map { number -> InetSocket in
        var socket = InetSocket()
        (socket.inode, socket.localPort, socket.remotePort) = (UInt32(number + 1), 80, UInt16(50000 + number))
        socket.remoteBits = AddressBits(low: UInt64(0x0a00_0001 + number % peers))
        (socket.timer, socket.sendQueue, socket.info.sendWindow) = (.persist, 7000, 0)
        (socket.info.lastDataSent, socket.info.windowLimitedTime) = (40_000, 41_000_000)
        (socket.info.probes, socket.info.retransmits, socket.info.backoff) = (3, 4, 5)
        return socket
      }
      let finding = try Diagnosis.findings(in: Census(sockets: ContiguousArray(sockets))).only(.peerZeroWindow)
      #expect(finding.count == 11 && finding.severity == severity)
      #expect(finding["Send-Q"] == "7000" && finding["timer"] == "persist" && finding["tcpi_probes"] == "3")
      #expect(finding["tcpi_last_data_sent"] == "40,000 ms" && finding["tcpi_rwnd_limited"] == "41,000 ms")
    }
  }

  @Test("W2 does not report a receive buffer with unread data and room for more")
  func halfFull() throws {
    try Scene.with("zero_window", "some", "3") { scene in
      let receiver = Int32(try scene.number(1))
      let census = try scene.census()
      let unread = census.sockets.filter {
        $0.receiveQueue == 8192 && census.holders(of: $0).contains { $0.pid == receiver }
      }
      #expect(unread.count == 3)
      let found = try scene.allFindings().ids
      #expect(!found.contains(.unread))
    }
  }

  @Test("W1 and W2 do not report a peer that reads slowly but steadily for longer than the threshold")
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
