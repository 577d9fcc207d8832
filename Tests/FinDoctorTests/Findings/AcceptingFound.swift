import FinDoctor
import Peers
import TestTraits
import Testing

@Suite("Findings: listeners that keep clients waiting", .needsScenes, .onThreads, .timeLimit(.minutes(30)))
struct AcceptingFound {
  @Test("A1 and A2: a full accept queue, its limit, its drops, and the clients that cannot connect, as one chain")
  func overflow() throws {
    try Scene.with("accepting", "overflow", "2", "8") { scene in
      let finding = try scene.awaitFinding(.acceptOverflow) { $0.count > 0 }
      #expect(finding.severity == .critical)
      #expect(finding["waiting"] == "3, limit 2")
      #expect(finding.why?.contains("No epoll set has the listener") == true)
      var chain: [FindingID] = []
      try eventually(within: .seconds(120), "clients who try in vain") {
        chain = Diagnosis.chains(try scene.allFindings()).first?.map(\.id) ?? []
        return chain.contains(.connectStuck)
      }
      #expect(chain == [.acceptStalled, .acceptOverflow, .connectStuck])
    }
  }

  @Test("A1 counts the dropped attempts, or the waiting clients if none was dropped")
  func overflowCounts() throws {
    var listener = InetSocket()
    listener.state = .listen
    listener.localPort = 80
    (listener.receiveQueue, listener.sendQueue, listener.cookie) = (3, 2, 5)
    for (drops, before, count, word) in [
      (0, nil, 3, "waiting clients"), (7, nil, 7, "dropped attempts"), (7, 5, 2, "dropped attempts"),
      (7, 7, 3, "waiting clients"),
    ] as [(UInt32, UInt32?, Int, String)] {
      listener.memory.drops = drops
      var options = Diagnosis.Options()
      if let before {
        var earlier = listener
        earlier.memory.drops = before
        options.earlier = Census(sockets: [earlier])
      }
      let finding = try Diagnosis.findings(in: Census(sockets: [listener]), options).only(.acceptOverflow)
      #expect(finding.severity == .critical && finding.count == count && finding["the count is of"] == word)
    }
  }

  @Test(
    "A2: waiting clients, clients that gave up, and a program that is busy elsewhere",
    arguments: ["stalled", "given-up", "busy"])
  func stalled(mode: String) throws {
    try Scene.with("accepting", mode, "16", "5") { scene in
      let waiting = mode == "busy" ? 4 : 5
      let finding = try scene.awaitFinding(.acceptStalled) {
        $0.count == waiting && ($0["in CLOSE-WAIT"] == "5") == (mode == "given-up")
      }
      #expect(finding.severity == .warning)
      #expect(finding["waiting"] == "\(waiting), limit 16")
      #expect(finding.sentence.contains("have given up") == (mode == "given-up"))
      let usual = try scene.awaitFinding(.acceptStalled, Thresholds())
      #expect(usual.since?.lower ?? 0 >= 1000)
    }
  }

  @Test("A1 and A2 do not report a listener whose program accepts at once")
  func accepts() throws {
    try Scene.with("accepting", "accepts", "64", "8") { scene in
      let found = try scene.allFindings().ids
      #expect(found.isDisjoint(with: [.acceptOverflow, .acceptStalled, .acceptWithoutDescriptors]))
    }
  }

  @Test("A1 does not report a queue that is just full and has turned no client away")
  func brimful() throws {
    try Scene.with("accepting", "stalled", "5", "5") { scene in
      let stalled = try scene.awaitFinding(.acceptStalled) { $0.count == 5 }
      #expect(stalled["waiting"] == "5, limit 5")
      let found = try scene.allFindings().ids
      #expect(!found.contains(.acceptOverflow))
    }
  }

  @Test("A2 does not report clients that have just connected")
  func newcomers() throws {
    var listener = InetSocket()
    (listener.state, listener.localPort, listener.inode) = (.listen, 80, 7)
    (listener.receiveQueue, listener.sendQueue) = (1, 16)
    var client = InetSocket()
    (client.localPort, client.remotePort, client.info.bytesReceived) = (80, 50_000, 0)
    for (waits, severity) in [(900, nil), (1100, Severity.warning), (11_000, .critical)] as [(UInt32, Severity?)] {
      (client.info.lastDataReceived, client.info.lastAcknowledgementReceived) = (waits, waits)
      let found = Diagnosis.findings(in: Census(sockets: [listener, client])).filter { $0.id == .acceptStalled }
      #expect(found.map(\.severity) == (severity.map { [$0] } ?? []), "\(waits) ms")
    }
  }

  @Test("A4: no descriptor left for accept is the cause of waiting clients; not reported while one is left")
  func withoutDescriptors() throws {
    try Scene.with("accepting", "no-descriptors", "16", "5") { scene in
      let finding = try scene.awaitFinding(.acceptWithoutDescriptors) { $0.count == 5 }
      #expect(finding.severity == .critical && finding["waiting"] == "5, limit 16")
      let limit = try #require(finding["descriptors"]).split(separator: " of ")
      #expect(limit.count == 2 && limit[0] == limit[1])
      var chain: [FindingID] = []
      try eventually(within: .seconds(120), "clients who wait") {
        chain = Diagnosis.chains(try scene.findings()).first?.map(\.id) ?? []
        return chain.contains(.acceptStalled)
      }
      #expect(chain == [.descriptorLimit, .acceptWithoutDescriptors, .acceptStalled])
    }
    for mode in ["stalled", "last-descriptor"] {
      try Scene.with("accepting", mode, "16", "5") { scene in
        let found = try scene.findings().ids
        #expect(found.contains(.acceptStalled) && !found.contains(.acceptWithoutDescriptors), "\(mode)")
      }
    }
    // At the limit, but no client waits.
    try Scene.with("accepting", "no-descriptors", "16", "0") { scene in
      let found = try scene.findings().ids
      #expect(found.contains(.descriptorLimit) && !found.contains(.acceptWithoutDescriptors))
    }
  }

  @Test("A3 does not report many handshakes that have just begun, as when all clients reconnect at once")
  func handshakesBegin() {
    var listener = InetSocket()
    (listener.state, listener.localPort, listener.sendQueue) = (.listen, 80, 16)
    let handshakes = (0..<UInt16(12)).map { number -> InetSocket in
      var socket = InetSocket()
      (socket.state, socket.timer, socket.localPort, socket.remotePort) = (
        .synReceived, .retransmit, 80, 50_000 + number
      )
      return socket
    }
    var sockets = ContiguousArray([listener] + handshakes)
    #expect(Diagnosis.findings(in: Census(sockets: sockets)).isEmpty)
    sockets[7].retransmits = 1
    #expect(Diagnosis.findings(in: Census(sockets: sockets)).map(\.id) == [.synBacklog])
  }

  @Test("A3: many handshakes that the peers do not finish; a few are not reported")
  func synBacklog() throws {
    let network = try NetworkNamespace()
    let other = try NetworkNamespace()
    try network.addVeth("v0", to: other, as: "v1")
    try other.linkUp("v1")
    try network.linkUp("v0")
    try network.addAddress("10.97.0.1", prefix: 24, to: "v0")
    try network.addRoute(to: "10.98.0.0", prefix: 24, link: "v0")
    for (name, value) in [("all/rp_filter", "0"), ("lo/rp_filter", "0"), ("all/accept_local", "1")] {
      try network.setSysctl("net/ipv4/conf/\(name)", value)
    }
    try Scene.with("half_open", "situation", "10.97.0.1", "10.98.0", "16", "12", in: network) { scene in
      let finding = try scene.awaitFinding(.synBacklog)
      #expect(finding.severity == .warning && finding.count == 12)
      #expect(finding.sentence.contains("on local port \(scene.words[0])"))
    }
    try Scene.with("half_open", "neighbour", "10.97.0.1", "10.98.0", "64", "3", in: network) { scene in
      try eventually(within: .seconds(120), "an answer sent again") {
        try scene.census().sockets.contains { $0.state == .synReceived && $0.retransmits > 0 }
      }
      let found = try scene.findings().ids
      #expect(!found.contains(.synBacklog))
    }
  }

  @Test("A1: SYNs from addresses without a way back are dropped, and no accept queue was full")
  func noWayBack() throws {
    let network = try NetworkNamespace()
    try Scene.with("half_open", "dropped", "127.0.0.1", "203.0.113", "16", "5", in: network) { scene in
      let finding = try scene.awaitFinding(.acceptOverflow)
      #expect(finding.sentence.contains("dropped, and not because its queue was full"), "\(finding.sentence)")
      #expect(finding["ListenOverflows"] == "0" && finding.severity == .info)
      #expect(finding.why?.contains("; ListenDrops is ") == true, "\(finding.why ?? "")")
      #expect(finding.why?.contains("An address without a way back") == true)
      let found = try scene.allFindings().ids
      #expect(found.isDisjoint(with: [.synBacklog, .acceptStalled]), "no finding about handshakes or clients")
    }
  }

  @Test("A1: a flood of SYNs without cookies is dropped at the queue of handshakes, and no accept queue was full")
  func flood() throws {
    let network = try NetworkNamespace()
    try network.addAddress("10.97.0.1", prefix: 32, to: "lo")
    try network.addRoute(to: "10.98.0.0", prefix: 16, link: "lo")
    try network.setSysctl("net/ipv4/tcp_syncookies", "0")
    try Scene.with("half_open", "dropped", "10.97.0.1", "10.98.0", "8", "40", in: network) { scene in
      let finding = try scene.awaitFinding(.acceptOverflow)
      #expect(finding.sentence.contains("dropped, and not because its queue was full"), "\(finding.sentence)")
      #expect(finding["ListenOverflows"] == "0")
      #expect(finding.why?.contains("because the queue of unfinished handshakes was full (TCPReqQFullDrop)") == true)
    }
  }
}
