import FinDoctor
import Peers
import TestTraits
import Testing

@Suite("Findings: local ports", .needsScenes, .onThreads, .timeLimit(.minutes(30)))
struct PortsFound {
  /// A network namespace with so few ephemeral ports that a test can use them up.
  private func smallNetwork(_ range: String = "40000 40099") throws -> NetworkNamespace {
    let network = try NetworkNamespace()
    try network.setSysctl("net/ipv4/ip_local_port_range", range)
    return network
  }

  @Test("E1: 70 of 100 ports to one destination are a warning, 90 critical, 90 over three destinations nothing")
  func exhausted() throws {
    for (count, places, severity) in [("70", "1", Severity.warning), ("90", "1", .critical), ("90", "3", nil)] {
      try Scene.with("ports", "plain", count, places, in: smallNetwork()) { scene in
        let found = try scene.findings().first { $0.id == .portsExhausted }
        #expect(found?.severity == severity, "\(count) to \(places)")
        guard let found else { return }
        // The listener's own port is in the range too.
        #expect(found.count == (Int(count) ?? 0) + 1 && found["connected"] == count)
        #expect(found["bound, for every destination"] == "1")
        #expect(
          found.sentence.contains(
            "of 100 ports are taken for connections from 127.0.0.1 to 127.0.0.1:\(scene.words[0])"))
      }
    }
  }

  @Test("E1 does not count reserved ports as available")
  func reserved() throws {
    let network = try smallNetwork()
    try network.setSysctl("net/ipv4/ip_local_reserved_ports", "40050-40099")
    try Scene.with("ports", "plain", "40", in: network) { scene in
      let finding = try scene.findings().only(.portsExhausted)
      #expect(finding["of these not reserved"] == "50")
    }
  }

  @Test(
    "E2: ports bound before connect; not ports that connect chose",
    arguments: ["bound", "late-bound", "plain"])
  func bound(mode: String) throws {
    // bind chooses the listener's own port from the range.
    try Scene.with("ports", mode, "30", "2", in: smallNetwork()) { scene in
      let found = try scene.findings().first { $0.id == .bindBeforeConnect }
      #expect((found != nil) == (mode == "bound"))
      guard let found else { return }
      #expect(found.count == 30 && found.severity == .warning)
      #expect(found.sentence.contains("binds 127.0.0.6 before it connects"))
    }
  }

  @Test("E2 counts a port once: the connections that a closed listener had accepted share its port")
  func draining() throws {
    try Scene.with("ports", "draining", "30", in: smallNetwork()) { scene in
      let port = UInt16(try scene.number(0))
      let census = try scene.census()
      #expect(census.sockets.count { $0.localPort == port && $0.state == .established } == 30)
      let found = try scene.allFindings().ids
      #expect(!found.contains(.bindBeforeConnect))
    }
  }

  @Test("E2 is not about ends that were accepted, each from a listener of its own that is closed by now")
  func accepted() throws {
    try Scene.with("ports", "accepted", "24", in: smallNetwork()) { scene in
      let ports = Set(try (0..<24).map { UInt16(try scene.number($0)) })
      // Without the counters, their odd ports would look like those of bind.
      #expect(ports.count { $0 % 2 == 1 } >= 22)
      let census = try scene.census()
      let open = census.sockets.filter { [.established, .closeWait].contains($0.state) }
      for socket in open { #expect(socket.wasAccepted == ports.contains(socket.localPort), "\(socket)") }
      #expect(open.count == 40)
      #expect(try !scene.allFindings().ids.contains(.bindBeforeConnect))
    }
  }

  @Test("E3: 40 of 100 ports in TIME-WAIT after this side closed are a warning, 10 information, 3 nothing")
  func timeWait() throws {
    for (count, severity) in [("40", Severity.warning), ("10", .info), ("3", nil)] {
      try Scene.with("ports", "churn", count, in: smallNetwork()) { scene in
        let found = try scene.allFindings().first { $0.id == .timeWaitChurn }
        #expect(found?.severity == severity, "\(count)")
        if let found { #expect(found.count == Int(count) && found.sentence.contains("are in TIME-WAIT")) }
      }
    }
  }

  @Test("E4 names the listener that blocks a bind, or the rest of TIME-WAIT; nothing blocks a free port")
  func bindBlocked() throws {
    let local = NetworkAddress(127, 0, 0, 1)
    try Scene.with("close_wait", "known", "2") { scene in
      let port = UInt16(try scene.number(0))
      let census = try scene.census()
      let found = Diagnosis.bindBlocked(in: census, BindRequest(local, port: port))
      #expect(found.first?.severity == .critical && found.first?.who?.pid == scene.pid)
      #expect(found.first?.sentence.hasPrefix("127.0.0.1:\(port) is taken: ") == true)
      #expect(found.dropFirst().allSatisfy { $0.severity == .warning })
      let any = NetworkAddress(AddressBits(), isIPv6: true)
      #expect(!Diagnosis.bindBlocked(in: census, BindRequest(any, port: port)).isEmpty)
      // Not reported for another address or another port.
      #expect(Diagnosis.bindBlocked(in: census, BindRequest(NetworkAddress(127, 0, 0, 2), port: port)).isEmpty)
      #expect(Diagnosis.bindBlocked(in: census, BindRequest(local, port: 1)).isEmpty)
    }
    try Scene.with("ports", "churn", "3") { scene in
      let census = try scene.census()
      let resting = try #require(census.sockets.first { $0.state == .timeWait })
      let found = Diagnosis.bindBlocked(in: census, BindRequest(local, port: resting.localPort))
      #expect(found.map(\.severity) == [.warning])
      #expect(found.first?.sentence.contains("in TIME-WAIT: free in") == true)
    }
  }

  @Test("E3 calls TIME-WAIT on the server's side harmless")
  func timeWaitOfServer() throws {
    var listener = InetSocket()
    listener.state = .listen
    listener.localPort = 80
    let resting = (0..<90).map { number -> InetSocket in
      var socket = InetSocket()
      socket.state = .timeWait
      socket.localPort = 80
      socket.remotePort = UInt16(50000 + number)
      return socket
    }
    var namespace = Namespace()
    namespace.limits.ephemeralPorts = 40000...40099
    let census = Census(sockets: ContiguousArray([listener] + resting), namespaces: [namespace])
    let finding = try Diagnosis.findings(in: census).only(.timeWaitChurn)
    #expect(finding.severity == .info)
    #expect(finding.why?.contains("harmless") == true)
  }
}
