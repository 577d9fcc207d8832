import FinDoctor
import Peers
import TestTraits
import Testing

@Suite(
  "Findings: clients of many hosts, sockets connected to themselves, UDP drops, listeners left behind, old processes",
  .needsScenes, .onThreads, .timeLimit(.minutes(30))
)
struct WholeProgramsFound {
  @Test("L1: a client that leaks one connection to each of twenty hosts has one finding, and is a warning")
  func manyPeers() throws {
    try Scene.with("crawler", "leaking", "20") { scene in
      let finding = try scene.findings().only(.closeWaitKnown)
      #expect(finding.count == 20 && finding.severity == .warning && finding.who?.descriptors.count == 20)
      #expect(finding.sentence.contains("20 connections to 20 peers, port \(scene.words[0])"), "\(finding.sentence)")
      // Three hosts are three findings: each names its host.
    }
    try Scene.with("crawler", "leaking", "3") { scene in
      let found = try scene.findings().filter { $0.id == .closeWaitKnown }
      #expect(found.count == 3 && found.allSatisfy { $0.sentence.contains("to 127.1.0.") })
    }
    try Scene.with("crawler", "closing", "20") { scene in
      let found = try scene.findings().ids
      #expect(!found.contains(.closeWaitKnown))
    }
  }

  @Test("P4: attempts to connect to twenty hosts that do not answer are one finding")
  func unansweredHosts() throws {
    let network = try NetworkNamespace()
    // The kernel sends what is routed to the loopback interface, and discards it when it arrives.
    try network.addAddress("10.97.0.1", prefix: 32, to: "lo")
    try network.addRoute(to: "10.98.0.0", prefix: 16, link: "lo")
    try Scene.with("crawler", "unanswered", "20", in: network) { scene in
      let finding = try scene.awaitFinding(.connectStuck) { $0.count == 20 }
      #expect(finding.sentence.contains("waits for 20 connections to 20 peers, port 80: no answer"))
      #expect(finding.severity <= .warning && finding.who?.descriptors.count == 20)
      let all = try scene.findings().count { $0.id == .connectStuck }
      #expect(all == 1)
    }
  }

  @Test("L1: a leak to ever more hosts grows")
  func growingPeers() throws {
    try Scene.with("crawler", "growing", "12") { scene in
      let earlier = try scene.census()
      // The newest one may not have been read yet, or its descriptor not seen.
      let count = earlier.sockets.count { socket in
        socket.state == .closeWait && socket.receiveQueue == 0 && !earlier.holders(of: socket).isEmpty
      }
      let finding = try scene.awaitFinding(.closeWaitKnown, since: earlier) { $0.count > count }
      #expect(finding.severity == .critical && finding["in the earlier snapshot"] == "\(count)")
    }
  }

  @Test("P5: a socket connected to itself is named, and is not older than its program")
  func selfConnected() throws {
    try Scene.with("self_connected") { scene in
      let finding = try scene.findings(Thresholds()).only(.selfConnected)
      #expect(finding.severity == .warning && finding.count == 1)
      #expect(finding.who?.descriptors == [Int32(try scene.number(1))])
      #expect(finding.sentence.contains("127.0.0.1:\(scene.words[0]), and is connected to itself"))
      let census = try scene.census()
      let place = try #require(census.sockets.firstIndex { $0.isConnectedToItself })
      #expect(census.sockets[place].info.lastDataReceived == nil)
      let age = try #require(census.program(of: census.sockets[place])?.age)
      // The age of the program is counted in ticks.
      let limit = UInt64(age / .milliseconds(1)) + 100
      let life = SocketExplanation(of: .inet(place), in: census)
      for bounds in [life.since] + life.events.map(\.ago) {
        #expect(bounds.lower <= limit && bounds.upper <= limit, "\(bounds) of a program of \(age)")
      }
    }
    try Scene.with("close_wait", "open", "2") { scene in
      let found = try scene.allFindings().ids
      #expect(!found.contains(.selfConnected))
    }
  }

  @Test("U2: datagrams that are dropped are counted, with their rate; a socket that is read has no finding")
  func datagramDrops() throws {
    try Scene.with("datagram_drops", "flood") { scene in
      let single = try scene.findings(Thresholds()).only(.datagramDrops)
      #expect(single.severity == .warning && single.confidence.word == "likely")
      #expect(single.sentence.contains("on local port \(scene.words[0])") && single.sentence.contains("buffer is full"))
      #expect(single["receive buffer"]?.contains("of 8,192 bytes") == true && single["rmem_max"] != nil)
      #expect(single.who?.descriptors == [Int32(try scene.number(1))])
      #expect(single.why?.contains("No epoll set has the socket and no thread waits on it") == true)
      let earlier = try scene.census()
      let before = earlier.sockets.lazy.compactMap(\.drops).max() ?? 0
      let finding = try scene.awaitFinding(.datagramDrops, Thresholds(), since: earlier) { $0.count > 20 }
      #expect(finding.confidence == .certain && finding.severity == .warning)
      let now = Int(finding["dropped since the socket was opened"]?.filter(\.isNumber) ?? "") ?? 0
      #expect(finding.count == now - Int(before) && finding.sentence.contains(" in "))
    }
    try Scene.with("datagram_drops", "burst") { scene in
      let finding = try scene.findings(Thresholds()).only(.datagramDrops)
      #expect(finding.severity == .info && finding.sentence.contains("has room now"))
      let later = try scene.findings(Thresholds(), since: scene.census()).only(.datagramDrops)
      #expect(later.severity == .info && later["dropped between the two snapshots"] == "0")
    }
    try Scene.with("datagram_drops", "read") { scene in
      let found = try scene.allFindings().ids
      #expect(!found.contains(.datagramDrops))
    }
  }

  @Test("A5: a listener in the child of a server that has ended, if no process waits on it")
  func leftListener() throws {
    var thresholds = Thresholds()
    thresholds.orphanAge = .zero
    try Scene.with("left_listener", "left") { scene in
      let child = Int32(try scene.number(0))
      let finding = try scene.findings(thresholds, of: child).only(.neverAccepts)
      #expect(finding.severity == .warning && finding.sentence.contains("127.0.0.1:\(scene.words[1])"))
      #expect(finding.sentence.hasPrefix("sleep (pid \(child)) holds the listener"))
      let young = try scene.allFindings(Thresholds.patient).ids
      #expect(!young.contains(.neverAccepts))
    }
    for mode in ["accepting", "alive"] {
      try Scene.with("left_listener", mode) { scene in
        let found = try scene.allFindings(thresholds).ids
        #expect(!found.contains(.neverAccepts), "\(mode)")
      }
    }
  }

  @Test("G1: a process from before a reload is named with its successor; workers of one generation are not")
  func oldGeneration() throws {
    func program(_ pid: Int32, age: Int, parent: Int32 = 1, file: String = "/usr/sbin/haproxy") -> Program {
      var program = Program(pid: pid, name: "haproxy")
      (program.age, program.parent, program.executable) = (.seconds(age), parent, file)
      return program
    }
    var (listener, connection) = (InetSocket(), InetSocket())
    (listener.state, listener.localPort, listener.inode) = (.listen, 80, 7)
    (connection.localPort, connection.remotePort, connection.inode) = (80, 50000, 8)
    func findings(_ programs: [Program], listening: [Int32] = [30], connected: Int32 = 20) -> [Finding] {
      let holders = listening.map { Holder(inode: 7, pid: $0, descriptor: 3) }
      let census = Census(
        sockets: [listener, connection],
        holders: Holders(sockets: ContiguousArray(holders + [Holder(inode: 8, pid: connected, descriptor: 9)])),
        programs: Dictionary(uniqueKeysWithValues: programs.map { ($0.pid, $0) }))
      return Diagnosis.findings(in: census).filter { $0.id == .oldGeneration }
    }
    let found = findings([program(20, age: 1000), program(30, age: 60)])
    #expect(found.count == 1 && found.first?.severity == .info && found.first?.who?.pid == 20)
    #expect(found.first?.sentence.contains("haproxy (pid 30), started 15 min later") == true, "\(found)")
    #expect(findings([program(20, age: 5000), program(30, age: 3600)]).first?.severity == .warning)
    // The older one still accepts; the connection is the younger one's; another parent; another program.
    #expect(findings([program(20, age: 1000), program(30, age: 60)], listening: [20, 30]).isEmpty)
    #expect(findings([program(20, age: 60), program(30, age: 1000)]).isEmpty)
    #expect(findings([program(20, age: 1000, parent: 5), program(30, age: 60)]).isEmpty)
    #expect(findings([program(20, age: 1000, file: "/usr/bin/other"), program(30, age: 60)]).isEmpty)
  }
}
