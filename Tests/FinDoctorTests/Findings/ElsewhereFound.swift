import FinDoctor
import Peers
import TestTraits
import Testing

@Suite(
  "Findings: sockets held by another process or by no descriptor, and sockets closed with unread data",
  .needsScenes, .onThreads, .timeLimit(.minutes(30))
)
struct ElsewhereFound {
  @Test(
    "L5: a child process holds a connection or a listener that it inherited",
    arguments: ["connection", "listener"])
  func inherited(mode: String) throws {
    try Scene.with("inherited", mode) { scene in
      let heir = Int32(try scene.number(1))
      let finding = try scene.findings(Thresholds(), of: heir).only(.inherited)
      #expect(finding.severity == .critical)
      #expect(finding.who?.others == [scene.pid] && finding.who?.descriptors.count == 1)
      #expect(finding.fix.code.contains("close_fds=True"))
      #expect(finding.why?.contains(mode == "listener" ? "a restart of" : "sends no FIN") == true)
      guard mode == "connection" else { return }
      // The program holds one descriptor of the leaked connection, and the child another.
      let leak = try scene.allFindings().only(.closeWaitKnown)
      #expect(leak.count == 1 && leak.who?.descriptors.count == 1 && leak.who?.others.count == 1)
    }
  }

  @Test(
    "L5 does not report workers of one program, or a child that inherited nothing", arguments: ["prefork", "cloexec"])
  func inheritedNeighbours(mode: String) throws {
    try Scene.with("inherited", mode) { scene in
      let found = try scene.allFindings().ids
      #expect(!found.contains(.inherited))
    }
  }

  @Test(
    "L5 does not report a listener that the service manager opened for the program", arguments: ["systemd", "inetd"])
  func handedOver(manager: String) throws {
    try Scene.with("inherited", "listener") { scene in
      // A test cannot be the machine's service manager: the holders are real, the name is not.
      let found = try scene.allFindings { $0.programs[scene.pid]?.fileName = manager }.ids
      #expect(!found.contains(.inherited))
      let byAnother = try scene.allFindings { $0.programs[scene.pid]?.fileName = "make" }.ids
      #expect(byAnother.contains(.inherited))
    }
  }

  @Test(
    "L6: a connection in an unreceived SCM_RIGHTS message, and one in an io_uring ring",
    arguments: ["in-flight", "ring"])
  func withoutDescriptor(mode: String) throws {
    let scene: Scene
    do {
      scene = try Scene.begin("no_descriptor", [mode])
    } catch let error as RigError where error.attempt.contains("missing io_uring") {
      return
    }
    defer { scene.end() }
    let finding = try scene.allFindings().only(.noDescriptor)
    #expect(finding.count == 1 && finding.severity == .info)
    #expect(finding["inode"] == scene.words[0])
    #expect(finding.who?.pid == scene.pid && finding.sentence.contains(mode == "ring" ? "io_uring" : "SCM_RIGHTS"))
  }

  @Test("L6 does not report the subflows of a closed MPTCP connection")
  func multipath() throws {
    let scene: Scene
    do {
      scene = try Scene.begin("no_descriptor", ["multipath"])
    } catch let error as RigError where error.attempt.contains("missing MPTCP") {
      return
    }
    defer { scene.end() }
    let inode = UInt32(try scene.number(0))
    let path = try #require(try scene.census().sockets.first { $0.inode == inode })
    #expect(path.isSubflow && path.state == .established)
    let found = try scene.allFindings().ids
    #expect(!found.contains(.noDescriptor))
  }

  @Test("L6 does not report a socket with a descriptor, one just closed, or one that an unreadable process may hold")
  func withDescriptor() throws {
    try Scene.with("no_descriptor", "neighbour") { scene in
      let found = try scene.allFindings().ids
      #expect(!found.contains(.noDescriptor))
    }
    try Scene.with("no_descriptor", "in-flight") { scene in
      let census = try scene.census()
      var options = Diagnosis.Options()
      options.passingBefore = []
      let found = Diagnosis.findings(in: census, options).ids
      #expect(!found.contains(.noDescriptor))
      // A process that could not be read may hold the socket as well.
      let blind = try scene.allFindings { $0.gaps.unreadableProcesses[0] = 1 }.only(.noDescriptor)
      let seeing = try scene.allFindings { $0.gaps.unreadableProcesses = [:] }.only(.noDescriptor)
      #expect(blind.confidence.word == "possible" && seeing.confidence.word == "likely")
    }
  }

  @Test("L7 counts closes with unread data between two censuses; none if the program drains first")
  func closedUnread() throws {
    try Scene.with("unread_close", "situation") { scene in
      let earlier = try scene.census()
      var found: Finding?
      try eventually(within: .seconds(120), "ten closes with unread data") {
        found = try scene.allFindings(since: earlier).first { $0.id == .closedUnread }
        return found?.count ?? 0 >= 10
      }
      let finding = try #require(found)
      #expect(finding["TCPAbortOnClose"] != nil)
      #expect(finding.severity == .warning)
    }
    try Scene.with("unread_close", "neighbour") { scene in
      let earlier = try scene.census()
      let before = earlier.namespaces[0].counters["Tcp.PassiveOpens"] ?? 0
      try eventually(within: .seconds(120), "ten more connections") {
        try scene.census().namespaces[0].counters["Tcp.PassiveOpens"] ?? 0 >= before + 10
      }
      let found = try scene.allFindings(since: earlier).ids
      #expect(!found.contains(.closedUnread))
    }
  }

  @Test("L7 from destroy events names the listener of a real program and its unread bytes")
  func closedUnreadOfAProgram() throws {
    try Scene.with("unread_close", "situation") { scene in
      let earlier = try scene.census()
      guard let ended = scene.network.run({ DestroyedSockets() }) else {
        throw RigError("the kernel tells nothing of sockets that end")
      }
      var closed: [InetSocket] = []
      try eventually(within: .seconds(120), "ten ends with unread data") {
        closed += ended.all()
        return closed.count { $0.receiveQueue > 1 } >= 10
      }
      let finding = try scene.findings(since: earlier, closed: closed).only(.closedUnread)
      #expect(finding.severity == .warning && finding.count >= 10)
      #expect(finding.sentence.contains("on local port \(scene.words[0])"))
      #expect(finding["bytes unread"] == "\(finding.count * 100)")
    }
  }

  @Test("L7 from destroy events names the listener; EOF alone is not unread data")
  func closedUnreadByEvents() {
    var listener = InetSocket()
    listener.state = .listen
    listener.localPort = 80
    listener.inode = 7
    var closed = InetSocket()
    closed.localPort = 80
    closed.receiveQueue = 101
    var drained = closed
    drained.receiveQueue = 1
    let holders = Holders(sockets: [Holder(inode: 7, pid: 5, descriptor: 3)], processes: [HoldingProcess(pid: 5)])
    let programs: [Int32: Program] = [5: Program(pid: 5, name: "api")]
    var options = Diagnosis.Options()
    options.earlier = Census(when: Census.Moment(monotonic: 1_000_000_000))
    options.closed = ClosedUnread([closed, closed, drained])
    let census = Census(
      sockets: [listener], holders: holders, programs: programs, when: Census.Moment(monotonic: 2_000_000_000))
    let found = Diagnosis.findings(in: census, options).filter { $0.id == .closedUnread }
    #expect(found.count == 1)
    #expect(found.first?.count == 2 && found.first?.severity == .warning && found.first?.who?.program == "api")
    options.closed = ClosedUnread([drained])
    #expect(!Diagnosis.findings(in: census, options).ids.contains(.closedUnread))
  }
}
