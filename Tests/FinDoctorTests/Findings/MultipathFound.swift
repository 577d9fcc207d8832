import Peers
import TestTraits
import Testing

@testable import FinDoctor

@Suite(
  "Findings: an MPTCP connection counts once, however many subflows it has", .needsScenes, .onThreads,
  .timeLimit(.minutes(30))
)
struct MultipathFound {
  /// Runs `body` with the scene; does nothing if the kernel has no MPTCP.
  private func with(_ mode: String, _ body: (Scene) throws -> Void) throws {
    let scene: Scene
    do {
      scene = try Scene.begin("multipath", [mode])
    } catch let error as RigError where error.attempt.contains("missing MPTCP") {
      return
    }
    defer { scene.end() }
    try body(scene)
  }

  private func rows(_ scene: Scene, _ state: SocketState, isHeld: Bool = true) throws -> [InetSocket] {
    try scene.census().sockets.filter { $0.transport == .mptcp && $0.state == state && ($0.inode != 0) == isHeld }
  }

  @Test("L1 counts MPTCP connections in CLOSE-WAIT once, while their subflows are still ESTABLISHED")
  func closeWait() throws {
    try with("known") { scene in
      try eventually("three in CLOSE-WAIT", equals: 3) { try rows(scene, .closeWait).count }
      let census = try scene.census()
      let multipath = MPTCPSubflows(census.sockets)
      let places = census.sockets.indices.filter {
        census.sockets[$0].transport == .mptcp && census.sockets[$0].state == .closeWait
      }
      for place in places {
        let paths = multipath.paths(of: place)
        #expect((1...2).contains(paths.count))
        #expect(paths.allSatisfy { census.sockets[$0].state == .established })
        #expect(census.holders(of: census.sockets[place]).map(\.pid) == [scene.pid])
      }
      let finding = try scene.findings().only(.closeWaitKnown)
      #expect(finding.count == 3 && finding.who?.descriptors.count == 3)
      #expect(finding.sentence.contains("keeps 3 MPTCP connections on local port \(scene.words[0]) open"))
      // The receive queue of an MPTCP socket does not include EOF.
      #expect(finding.why?.contains("does not show whether the end of file was read") == true)
      let ids = try scene.allFindings().ids
      #expect(ids.isDisjoint(with: [.closeWaitUnseen, .noDescriptor, .finWait2Held, .detached, .inherited]))
    }
  }

  @Test("L2: MPTCP connections with unread data whose peer has finished")
  func unread() throws {
    try with("unread") { scene in
      try eventually("three in CLOSE-WAIT", equals: 3) { try rows(scene, .closeWait).count }
      let finding = try scene.findings().only(.closeWaitUnseen)
      #expect(finding.count == 3 && finding.sentence.contains("3 MPTCP connections"))
      #expect(finding.why?.contains("Recv-Q is above 0") == true && finding["unread"] == nil)
      let ids = try scene.findings().ids
      #expect(!ids.contains(.closeWaitKnown))
    }
  }

  @Test("L1 counts an MPTCP connection that fell back to TCP once, with the age of its only subflow")
  func plain() throws {
    try with("plain") { scene in
      try eventually("three in CLOSE-WAIT", equals: 3) { try rows(scene, .closeWait).count }
      let census = try scene.census()
      #expect(census.sockets.count { $0.state == .closeWait && $0.inode != 0 } == 6)
      for place in census.sockets.indices where census.sockets[place].transport == .mptcp {
        let socket = census.sockets[place]
        #expect(socket.multipath.isPlainTCP == true && AgeBounds.inState(socket) == .unknown)
        let path = try #require(MPTCPSubflows(census.sockets).paths(of: place).first)
        #expect(
          MPTCPSubflows(census.sockets).since(place, in: census.sockets) == AgeBounds.inState(census.sockets[path]))
      }
      let found = try scene.findings()
      #expect(try found.only(.closeWaitKnown).count == 3)
      #expect(!found.ids.contains(.closeWaitUnseen))
    }
  }

  @Test("L3: reset MPTCP connections stay in the kernel's table, with a descriptor and without a subflow")
  func over() throws {
    try with("over") { scene in
      try eventually("three are over", equals: 3) { try rows(scene, .closed).count }
      let finding = try scene.findings().only(.detached)
      #expect(finding.count == 3 && finding["system.sockprotoname"] == "MPTCP")
      #expect(finding.sentence.contains("3 descriptors of MPTCP sockets that have no connection"))
    }
  }

  @Test("H1 counts half-closed MPTCP connections once")
  func halfClosed() throws {
    try with("half") { scene in
      try eventually("three in FIN-WAIT-2", equals: 3) { try rows(scene, .finWait2).count }
      let finding = try scene.findings().only(.finWait2Held)
      #expect(finding.count == 3 && finding.sentence.contains("3 MPTCP connections"))
    }
  }

  @Test("A2 counts waiting MPTCP clients once, also one that gave up while its subflow is ESTABLISHED")
  func queue() throws {
    try with("queue") { scene in
      try eventually("one has given up", equals: 1) { try rows(scene, .closeWait, isHeld: false).count }
      let finding = try scene.findings().only(.acceptStalled)
      #expect(finding.count == 3 && finding["in CLOSE-WAIT"] == "1")
      let panel = try #require(ListenerOverview.all(in: try scene.census()).first)
      #expect(panel.waiting == 3 && panel.gone == 1 && panel.oldest?.atMost != nil)
      let all = ListenerOverview.all(in: try scene.census())
      #expect(all.count == 1)
    }
  }

  @Test("L5 counts inherited MPTCP connections and their listener once")
  func inherited() throws {
    try with("held") { scene in
      let found = try scene.allFindings().filter { $0.id == .inherited }
      // The program holds both sides of three connections.
      #expect(Set(found.map(\.count)) == [6, 1], "\(found.map(\.sentence))")
    }
  }

  @Test("MPTCP connections in use, or closed by both sides, are not reported", arguments: ["healthy", "ended"])
  func silent(mode: String) throws {
    try with(mode) { scene in
      // Findings about the machine and about other programs are possible.
      let found = try scene.allFindings().filter {
        $0.id != .memory && ($0.who?.pid == nil || $0.who?.pid == scene.pid)
      }
      #expect(found.isEmpty, "\(found.map(\.sentence))")
    }
  }

  @Test("accepted MPTCP connections that share their listener's cookie are distinguished")
  func cookies() throws {
    try with("healthy") { scene in
      let census = try scene.census()
      let own = census.sockets.filter { $0.transport == .mptcp }
      #expect(own.count == 7 && Set(own.map(\.identity)).count == 7)
      for socket in own where socket.state != .listen {
        let references = census.references(toInode: socket.inode)
        guard case .inet(let place)? = references.first else { throw RigError("no reference") }
        #expect(references.count == 1 && census.sockets[place].transport == .mptcp)
        #expect(census.sockets[place].inode == socket.inode)
      }
      // Each descriptor is one socket: both sides of three connections, and a listener, which has a row in TCP's table.
      let held = census.references(heldBy: scene.pid)
      #expect(held.count == 7 && Set(held.map(\.descriptor)).count == 7)
    }
  }

  @Test("an MPTCP connection is explained with its subflows, and without values of a misread structure")
  func life() throws {
    try with("known") { scene in
      try eventually("three in CLOSE-WAIT", equals: 3) { try rows(scene, .closeWait).count }
      let census = try scene.census()
      let held = census.references(heldBy: scene.pid)
      // The lower descriptor is the listener.
      let socket = try #require(held.max { $0.descriptor < $1.descriptor })
      let life = SocketExplanation(of: socket.socket, in: census, .read(socket.socket, in: census))
      #expect(life.title.hasPrefix("mptcp 127.0.0.1:") && life.state == "CLOSE-WAIT")
      #expect(Set(life.events.map(\.kind)) == [.dataReceived, .dataSent, .peerFinished])
      #expect(life.events.allSatisfy { $0.ago.atMost != nil && $0.ago.lower < 600_000 })
      #expect(life.facts.contains { $0.topic == .path && $0.text.hasSuffix("ESTABLISHED") })
      #expect(life.facts.contains { $0.text == "3 bytes received" })
      #expect(life.findings.map(\.id) == [] || life.findings.map(\.id) == [.closeWaitKnown])
    }
  }
}
