import Peers
import TestTraits
import Testing

@testable import FinDoctor

@Suite("Explanations of real sockets are true", .needsScenes, .onThreads, .timeLimit(.minutes(30)))
struct LifeScenes {
  /// The steps of a scene, each with the times before and after it.
  private typealias Steps = [String: (before: UInt64, after: UInt64)]

  private func steps(_ scene: Scene) throws -> Steps {
    var all: Steps = [:]
    for word in scene.words.dropFirst(2) {
      let parts = word.split(separator: ":")
      all[String(parts[0])] = (try #require(UInt64(parts[1])), try #require(UInt64(parts[2])))
    }
    return all
  }

  private func life(
    _ scene: Scene, _ descriptor: Int32, readsOptions: Bool = false
  ) throws -> (life: SocketExplanation, from: UInt64, to: UInt64) {
    var census = try scene.census()
    guard case .socket(let inode, _) = DescriptorTarget.read(scene.pid, descriptor) else {
      throw RigError("descriptor \(descriptor) is no socket")
    }
    census.watch([scene.pid])
    let socket = try #require(census.references(toInode: inode).first)
    let readings = scene.network.run { SocketDetails.read(socket, in: census, readsOptions: readsOptions) }
    #expect(readings.hidden.isEmpty)
    return (
      SocketExplanation(of: socket, in: census, readings), census.when.monotonic, try scene.census().when.monotonic
    )
  }

  private func expect(
    _ life: (life: SocketExplanation, from: UInt64, to: UInt64), _ kind: SocketExplanation.Event.Kind,
    _ truth: (before: UInt64, after: UInt64)?, _ comment: String
  ) throws {
    let truth = try #require(truth)
    let event = try #require(life.life.events.first { $0.kind == kind }, "\(comment): no \(kind)")
    // The row was read at some time between the two censuses.
    let least = (life.from - truth.after) / 1_000_000
    let most = (life.to - truth.before) / 1_000_000
    #expect(
      event.ago.lower <= most && event.ago.upper >= least,
      "\(comment), \(kind): \(least) to \(most) ms, said \(event.ago.lower) to \(event.ago.upper)")
  }

  @Test(
    "each printed interval contains the true time of its event, on both sides",
    arguments: ["read", "unread", "silent", "finished", "open"])
  func truth(mode: String) throws {
    try Scene.with("life", mode) { scene in
      let steps = try steps(scene)
      let server = try life(scene, Int32(try scene.number(0)))
      let client = try life(scene, Int32(try scene.number(1)))
      try expect(server, .handshake, steps["handshake"], mode)
      try expect(client, .handshake, steps["handshake"], mode)
      if mode != "silent" {
        try expect(server, .dataReceived, steps["received"], mode)
        try expect(server, .dataSent, steps["sent"], mode)
        try expect(client, .dataSent, steps["received"], mode)
        try expect(client, .dataReceived, steps["sent"], mode)
      }
      if mode == "read" || mode == "unread" || mode == "silent" {
        try expect(server, .peerFinished, steps["peerFinished"], mode)
        try expect(client, .finished, steps["peerFinished"], mode)
        try expect(client, .finishAcknowledged, steps["peerFinished"], mode)
      }
      if mode == "read" { try expect(server, .endRead, steps["endRead"], mode) }
      if mode == "finished" {
        try expect(server, .finished, steps["finished"], mode)
        try expect(client, .peerFinished, steps["finished"], mode)
      }
      // No event is listed that did not happen.
      let kinds = Set(server.life.events.map(\.kind))
      #expect(kinds.contains(.endRead) == (mode == "read"))
      #expect(kinds.contains(.unread) == (mode == "unread" || mode == "silent"))
      #expect(kinds.contains(.peerFinished) == ["read", "unread", "silent"].contains(mode))
      #expect(
        server.life.otherEnd?.pid == scene.pid
          && server.life.otherEnd?.descriptor == client.life.holders[0].descriptors[0].number)
    }
  }

  @Test("unread EOF behind data: the number of bytes, and that the program would not notice")
  func unread() throws {
    try Scene.with("life", "unread") { scene in
      let life = try life(scene, Int32(try scene.number(0))).life
      #expect(life.state == "CLOSE-WAIT")
      #expect(life.events.last?.text == "19 bytes and the end of file not read by the program since")
      #expect(
        life.attention == [
          "No epoll set has it and no thread waits on it: nothing tells the program of the event."
        ])
      #expect(life.outlook.contains("no time limit for this state"))
      #expect(life.facts.contains { $0.topic == .bytes && $0.text == "119 bytes received" })
      #expect(life.facts.contains { $0.topic == .queues && $0.text == "19 bytes not read" })
      #expect(life.holders.map(\.pid) == [scene.pid] && life.holders[0].descriptors[0].closesOnExec == true)
    }
  }

  @Test(
    "watchers of a socket: a thread in poll or select, and an epoll mask that hides the close",
    arguments: [("polled", "is in "), ("selected", "select on it."), ("masked", "neither EPOLLIN nor EPOLLRDHUP")])
  func attention(mode: String, words: String) throws {
    try Scene.with("life", mode) { scene in
      let noticed = try life(scene, Int32(try scene.number(0))).life.attention
      #expect(noticed.count == 1 && noticed[0].contains(words), "\(noticed)")
      // The other side is in no epoll set.
      let other = try life(scene, Int32(try scene.number(1))).life.attention
      #expect(other.count == 1 && other[0].hasPrefix("No epoll set has it"), "\(other)")
    }
  }

  @Test("TIME-WAIT: its age and the time left")
  func rests() throws {
    try Scene.with("life", "rests") { scene in
      let steps = try steps(scene)
      let census = try scene.census()
      let place = try #require(census.sockets.firstIndex { $0.state == .timeWait })
      let life = SocketExplanation(of: .inet(place), in: census)
      try expect((life, census.when.monotonic, try scene.census().when.monotonic), .rests, steps["rests"], "rests")
      #expect(life.holders.isEmpty && life.attention.isEmpty)
      #expect(life.next.count == 1 && life.next[0].hasSuffix("and its port is free for any program."))
    }
  }

  @Test("a listener: the number of waiting clients and the age of the oldest; a client is in its listener's queue")
  func clients() throws {
    try Scene.with("life", "clients") { scene in
      let steps = try steps(scene)
      let listener = try life(scene, Int32(try scene.number(0)))
      try expect(listener, .clientWaits, steps["first"], "clients")
      #expect(listener.life.facts.contains { $0.text == "2 of 4,096 wait for accept" })
      let client = try life(scene, Int32(try scene.number(1))).life
      #expect(client.otherEnd?.text.contains("in its listener's queue") == true && client.otherEnd?.pid == nil)
    }
  }

  @Test("a connection attempt: the predicted time of giving up is right")
  func givingUp() throws {
    let network = try NetworkNamespace()
    try network.setSysctl("net/ipv4/tcp_syn_retries", "2")
    try? network.setSysctl("net/ipv4/tcp_syn_linear_timeouts", "1")
    try Scene.with("life", "connecting", in: network) { scene in
      let steps = try steps(scene)
      let census = try scene.census()
      let seen = try scene.network.run { try Census.take() }.when.monotonic
      let place = try #require(census.sockets.firstIndex { $0.state == .synSent }, "the attempt is over already")
      var readings = SocketDetails()
      readings.patience = scene.network.run { TCPRetryLimits.read(in: census.namespaces[0]) }
      #expect(readings.patience.synRetries == 2)
      let life = SocketExplanation(of: .inet(place), in: census, readings)
      try expect((life, census.when.monotonic, seen), .opened, steps["asked"], "connecting")
      let left = try #require(readings.patience.givesUp(census.sockets[place]))
      #expect(life.next.contains { $0.hasPrefix("It gives up with ETIMEDOUT in \(left)") })
      let ended = try #require(try scene.program.readLine(within: .seconds(60))).split(separator: " ")
      #expect(ended[1] == "110", "ETIMEDOUT")
      let end = try #require(UInt64(ended[0])) / 1_000_000
      // The row was read at some time between the two censuses. A timer may fire late, by a part of its length, and the
      // thread returns a moment after it.
      #expect(end + 20 >= census.when.monotonic / 1_000_000 + left.lower)
      #expect(end <= seen / 1_000_000 + left.upper + left.upper / 4 + 1000, "\(left)")
    }
  }

  @Test("a Unix pair: the process on the other side is named")
  func unix() throws {
    try Scene.with("life", "unix") { scene in
      let life = try life(scene, Int32(try scene.number(0))).life
      #expect(life.otherEnd?.pid == Int32(try scene.number(1)))
      #expect(life.state == "ESTABLISHED" && life.events.isEmpty)
    }
  }

  @Test("a datagram socket has no ages, and its unread bytes are shown")
  func datagrams() throws {
    try Scene.with("life", "datagrams") { scene in
      let life = try life(scene, Int32(try scene.number(0))).life
      #expect(life.events.isEmpty && life.since == .unknown && life.meaning == "Receives datagrams from any sender.")
      #expect(
        life.facts.contains { $0.topic == .queues && $0.text.hasSuffix("not read") && $0.text != "0 bytes not read" })
    }
  }

  @Test(
    "a socket in no kernel table: its options, read through a duplicate, show how it ended",
    arguments: [
      ("reset", "It was connected, and was reset or aborted."),
      ("unused", "Never connected, or its connection attempt was refused or timed out."),
      ("refused", "Never connected, or its connection attempt was refused or timed out."),
    ])
  func detached(mode: String, meaning: String) throws {
    try Scene.with("detached", mode, "1") { scene in
      let census = try scene.census()
      let detached = try #require(census.detached.first { $0.pid == scene.pid })
      let shallow = try life(scene, detached.descriptor).life
      #expect(shallow.state == "DETACHED" && shallow.meaning.contains("--deep"))
      let deep = try life(scene, detached.descriptor, readsOptions: true).life
      #expect(deep.meaning == meaning)
      #expect(deep.events.isEmpty == (mode != "reset"))
      #expect(deep.findings.map(\.id) == [.detached])
    }
  }

  @Test("the options of another program's socket are read, and no duplicate of it stays open")
  func options() throws {
    try Scene.with("life", "open") { scene in
      let life = try life(scene, Int32(try scene.number(0)), readsOptions: true).life
      let options = life.facts.filter { $0.topic == .options }.map(\.text)
      #expect(options.contains("SO_REUSEADDR") && options.contains("keepalive off") && options.contains("blocking"))
      // No duplicate is left behind: only the program holds its sockets.
      let census = try scene.census()
      let mine = census.references(at: AddressPort(nil, port: census.sockets.first { $0.state == .listen }!.localPort))
      #expect(mine.allSatisfy { census.holders[census.inode(of: $0)].allSatisfy { $0.pid == scene.pid } })
    }
  }

  @Test("the findings of one socket are worded as in the whole diagnosis")
  func findings() throws {
    try Scene.with("close_wait", "known", "12") { scene in
      var census = try scene.census()
      var options = Diagnosis.Options()
      options.thresholds = .eager
      Diagnosis.prepare(&census, &options)
      let all = Diagnosis.findings(in: census, options)
      let leak = try #require(all.first { $0.id == .closeWaitKnown })
      let place = try #require(census.sockets.firstIndex { $0.state == .closeWait })
      // With default thresholds the socket would be too young for a finding; any finding must have the same words.
      for finding in SocketExplanation(of: .inet(place), in: census, findings: all).findings {
        #expect(finding.sentence == leak.sentence)
      }
      let listener = try #require(census.sockets.firstIndex { $0.state == .listen })
      #expect(SocketExplanation(of: .inet(listener), in: census, findings: all).findings.isEmpty)
    }
  }

  @Test("the target of a descriptor: a socket, another file, closed, or of no process")
  func targets() throws {
    try Scene.with("life", "open") { scene in
      guard case .socket(_, "TCP"?) = DescriptorTarget.read(scene.pid, Int32(try scene.number(0))) else {
        Issue.record("no socket")
        return
      }
      guard case .other(let pipe) = DescriptorTarget.read(scene.pid, 0) else {
        Issue.record("no pipe")
        return
      }
      #expect(pipe.hasPrefix("pipe:["))
      #expect(DescriptorTarget.read(scene.pid, 999) == .closed)
      #expect(DescriptorTarget.read(0x3fff_ffff, 0) == .noProcess)
    }
  }
}
