import TestTraits
import Testing

@testable import FinDoctor

/// Situations that give nearly the same rows as a fault of the program, from rows.
@Suite("Findings: situations that only look like another one", .onThreads)
struct OtherSituations {
  private func found(_ census: Census, _ id: FindingID, _ options: Diagnosis.Options = .init()) throws -> Finding {
    try #require(Diagnosis.findings(in: census, options).first { $0.id == id })
  }

  @Test("CLOSE-WAIT, all read: neither finding nor explanation says that a call returned 0")
  func finTakenWithTheData() throws {
    let census = Stage.census([Stage.row(.closeWait, 1)])
    let finding = try found(census, .closeWaitKnown)
    #expect(finding.sentence.contains("that its peer closed: it read all that was sent, and did not close."))
    #expect(finding.why?.contains("or it took the end of file together with the last data") == true)
    let life = SocketExplanation(of: .inet(0), in: census)
    #expect(life.events.contains { $0.kind == .endRead && $0.text.contains("together with the last data") })
    #expect(finding.fix.code.contains("look (recv with MSG_DONTWAIT, or poll) before it uses a connection again"))
  }

  @Test("CLOSE-WAIT of peers on other machines: whether they only finished sending is not known")
  func unseenPeers() throws {
    let census = Stage.census([Stage.row(.closeWait, 1) { $0.remoteBits = AddressBits(low: 0x0a00_0001) }])
    let finding = try found(census, .closeWaitKnown)
    #expect(finding.sentence.contains("whose peer has finished sending:") && !finding.sentence.contains("closed"))
    guard case .likely(let doubt) = finding.confidence else { throw SurpriseError("\(finding.confidence)") }
    #expect(doubt.contains("may have finished sending only"))
  }

  @Test("CLOSE-WAIT with the other end in FIN-WAIT-2: a descriptor there makes it a half-close, none a close")
  func halfClose() throws {
    let own = Stage.row(.closeWait, 1)
    let held = try found(Stage.census([own, Stage.row(.finWait2, 2, local: 50_000, remote: 80)]), .closeWaitKnown)
    #expect(held.sentence.contains("whose peer has finished sending and still receives: a half-close"))
    #expect(held.confidence != .certain)
    #expect(held.facts.contains { $0.fact == .otherEnd && $0.value == "fd 2 of client (pid 60), in FIN-WAIT-2" })
    let closed = try found(Stage.census([own, Stage.row(.finWait2, 0, local: 50_000, remote: 80)]), .closeWaitKnown)
    #expect(closed.sentence.contains("that its peer closed") && closed.confidence == .certain)
    // Another connection between the same ports, and the same one in another namespace, are other ends of others.
    var elsewhere = Stage.row(.finWait2, 2, local: 50_000, remote: 80)
    elsewhere.namespace = 1
    var census = Stage.census([own, elsewhere, Stage.row(.finWait2, 4, local: 50_001, remote: 80)])
    census.namespaces.append(Namespace(inode: 2, isOwn: false))
    #expect(try !found(census, .closeWaitKnown).sentence.contains("closed"))
  }

  @Test("haproxy, between two half-closed connections, gets the names of its settings")
  func haproxy() throws {
    var census = Stage.census([Stage.row(.closeWait, 1), Stage.row(.finWait2, 2, local: 50_000, remote: 80)])
    census.programs[Stage.program] = Program(pid: Stage.program, name: "haproxy")
    let code = try found(census, .closeWaitKnown).fix.code
    #expect(code.contains("timeout client-fin") && code.contains("timeout server-fin"))
  }

  @Test("two listeners of one address: clients wait for the one whose queue has them, in both orders of the rows")
  func reusePort() throws {
    let healthy = Stage.listener(waiting: 0)
    let stopped = Stage.row(.listen, 9) { ($0.receiveQueue, $0.sendQueue) = (2, 16) }
    for rows in [[healthy, stopped], [stopped, healthy]] {
      var census = Stage.census(rows + [Stage.client(50_000), Stage.client(50_001)])
      census.holders = Stage.holders([(7, Stage.program), (9, Stage.peer)])
      let all = Diagnosis.findings(in: census).filter { $0.id == .acceptStalled }
      #expect(all.map { $0.who?.pid } == [Stage.peer] && all.first?["waiting"] == "2, limit 16")
      #expect(all.first?.count == 2 && all.first?.confidence == .certain)
    }
    // With clients in both queues, it is not known which client waits in which.
    let both = Stage.census([
      Stage.listener(waiting: 1), Stage.row(.listen, 9) { ($0.receiveQueue, $0.sendQueue) = (1, 16) },
      Stage.client(50_000), Stage.client(50_001),
    ])
    let all = Diagnosis.findings(in: both).filter { $0.id == .acceptStalled }
    #expect(all.map(\.count) == [1, 1] && all.allSatisfy { $0.confidence != .certain })
  }

  @Test("SYNs without an answer to a listener with room: the queue is not full, and a filter is likely")
  func filtered() throws {
    let stage = try #require(StagedCensus.all.first { $0.claim == "listener has room" })
    let finding = try #require(stage.finding)
    #expect(finding.why?.contains("room in its queue (0 of 16)") == true && finding.why?.contains("filter") == true)
    #expect(finding.why?.contains("is full") == false && finding.confidence.word == "likely")
    let full = try #require(StagedCensus.all.first { $0.claim == "listener is full" }?.finding)
    #expect(full.why?.contains("its queue is full") == true)
  }

  @Test("SYNs without an answer to an address that listeners share: those with a full queue, in both orders of rows")
  func attemptsAtAGroup() throws {
    let stage = try #require(StagedCensus.all.first { $0.claim == "one listener is full" })
    let rows = Array(stage.census.sockets)
    for sockets in [rows, rows.reversed()] {
      var census = stage.census
      census.sockets = ContiguousArray(sockets)
      let finding = try found(census, .connectStuck)
      #expect(finding.why?.hasPrefix("2 listeners of this machine share that address") == true)
      #expect(finding.why?.contains("the queue of 1 of them is full (17 of 16)") == true)
      #expect(finding.confidence.word == "likely")
    }
    var census = stage.census
    for index in census.sockets.indices where census.sockets[index].state == .listen {
      census.sockets[index].receiveQueue = 17
    }
    let full = try found(census, .connectStuck)
    #expect(full.why?.contains("the queue of each of the 2 is full") == true && full.confidence == .certain)
    // A listener on the address itself gets the attempts, and not one on every address.
    census.sockets[2].localBits = AddressBits()
    census.sockets[2].receiveQueue = 0
    #expect(try found(census, .connectStuck).why?.hasSuffix("drops the attempts: its queue is full.") == true)
  }

  @Test("SYNs without an answer to many hosts of one port are one finding, those to listeners of this machine another")
  func attemptsToManyHosts() throws {
    func attempt(_ number: UInt32, to address: UInt64) -> InetSocket {
      Stage.row(.synSent, number, local: 50_000 + UInt16(number), remote: 80) {
        ($0.timer, $0.retransmits, $0.remoteBits) = (.retransmit, 3, AddressBits(low: address))
        ($0.info.totalTimeoutTime, $0.info.retransmitTimeout) = (7000, 8_000_000)
      }
    }
    let far = (1...20).map { attempt(2 * $0, to: 0x0a00_0000 + UInt64($0)) }
    let near = (31...34).map { attempt(2 * $0, to: 0x7f00_0001) }
    let census = Stage.census(far + near + [Stage.listener(waiting: 17)])
    let all = Diagnosis.findings(in: census).filter { $0.id == .connectStuck }.sorted { $0.count > $1.count }
    #expect(all.map(\.count) == [20, 4])
    #expect(all[0].sentence.contains("waits for 20 connections to 20 peers, port 80") && all[0].severity == .warning)
    #expect(all[0].why?.contains("for many peers at once, most likely near this machine") == true)
    #expect(all[1].sentence.contains("to 127.0.0.1:80") && all[1].why?.contains("its queue is full") == true)
  }

  @Test("dropped attempts are an overflow only if ListenOverflows counts one in that namespace")
  func drops() throws {
    let listener = Stage.listener(waiting: 0) { $0.memory.drops = 4 }
    var census = Stage.census([listener])
    census.namespaces[0].counters = Counters(["TcpExt.ListenOverflows": 0])
    let other = try found(census, .acceptOverflow)
    #expect(other.sentence.hasSuffix("4 attempts were dropped, and not because its queue was full."))
    #expect(other.why?.hasPrefix("ListenOverflows is 0 in this namespace") == true && other.severity == .info)
    // Another namespace's overflows are no overflows here.
    var elsewhere = Namespace(inode: 2, isOwn: false)
    elsewhere.counters = Counters(["TcpExt.ListenOverflows": 9])
    census.namespaces.append(elsewhere)
    #expect(try found(census, .acceptOverflow).sentence == other.sentence)
    census.namespaces[0].counters = Counters(["TcpExt.ListenOverflows": 4])
    #expect(try found(census, .acceptOverflow).sentence.contains("has been full: 4 attempts were dropped"))
  }

  @Test("keepalive: TCP_USER_TIMEOUT decides when the kernel gives up, and more probes than the count prove a setting")
  func userTimeout() {
    let probing = Stage.row(.established, 1) {
      ($0.timer, $0.expires, $0.info.probes) = (.keepalive, 424, 41)
      ($0.info.lastAcknowledgementReceived, $0.info.lastDataReceived) = (90_000, 90_000)
    }
    var readings = SocketDetails()
    var options = SocketOptions()
    (options.keepaliveCount, options.keepaliveInterval, options.userTimeout) = (3, 2, 120_000)
    func next() -> String {
      SocketExplanation(of: .inet(0), in: Stage.census([probing]), readings).next.joined(separator: " ")
    }
    readings.options = options
    // 90.424 s have passed when the next probe is due; after 15 more of them 120 s have.
    #expect(
      next().contains("gives up with ETIMEDOUT in 30 s: after 2 min without an answer (TCP_USER_TIMEOUT)"), "\(next())")
    options.userTimeout = 90_000
    readings.options = options
    #expect(next().contains("in 424 ms"), "\(next())")
    readings.options = nil
    #expect(next().contains("more than the namespace's 9 probes") && !next().contains("gives up with"), "\(next())")
  }

  @Test("a closed window: TCP_USER_TIMEOUT decides when the kernel gives up, although the peer answers")
  func userTimeoutOfWindow() throws {
    let stage = try #require(StagedCensus.all.first { $0.claim == "window closed" })
    func next(_ time: Int?) -> String {
      var readings = SocketDetails()
      if let time {
        readings.options = SocketOptions()
        readings.options?.userTimeout = time
      }
      return SocketExplanation(of: .inet(0), in: stage.census, readings).next.joined(separator: " ")
    }
    #expect(next(200_000).contains("whether the peer answers or not (TCP_USER_TIMEOUT)"), "\(next(200_000))")
    #expect(next(0).hasSuffix("without an answer (tcp_retries2)."), "\(next(0))")
    #expect(next(nil).hasSuffix("unless the program set TCP_USER_TIMEOUT (--deep reads it)."), "\(next(nil))")
  }

  @Test("an explained listener whose queue is empty has no waiting client, though another one of its address has")
  func emptyQueueOfAGroup() {
    let census = Stage.census([
      Stage.listener(waiting: 0), Stage.row(.listen, 9) { ($0.receiveQueue, $0.sendQueue) = (1, 16) },
      Stage.client(50_000),
    ])
    for (place, hasClients) in [(0, false), (1, true)] {
      let life = SocketExplanation(of: .inet(place), in: census)
      #expect(life.events.contains { $0.kind == .clientWaits } == hasClients)
      #expect(life.findings.map(\.id) == (hasClients ? [.acceptStalled] : []))
    }
  }

  @Test("one keepalive probe without an answer may be on its way: information, and possible only")
  func oneProbe() throws {
    let one = try #require(StagedCensus.all.first { $0.claim == "one probe unanswered" }?.finding)
    #expect(one.severity == .info && one.confidence.word == "possible" && one.sentence.contains("yet"))
    let two = try #require(StagedCensus.all.first { $0.claim == "probes unanswered" }?.finding)
    #expect(two.severity == .warning && two.fix.fin.contains(".lost") && !two.fix.fin.contains(".timedOut"))
  }

  @Test(
    "an event loop is not blamed where no event is due: no room, no acknowledgement, no end of the peer",
    arguments: ["window closed, no answer", "no acknowledgement", "waits for the peer"])
  func nothingDue(claim: String) throws {
    var stage = try #require(StagedCensus.all.first { $0.claim == claim })
    stage.census.watchers[Stage.program] = Watchers(
      interests: [.init(epoll: 4, descriptor: 1, events: 0x2005, inode: 1)])
    let finding = try #require(stage.finding)
    let why = try #require(finding.why)
    #expect(why.contains("An epoll set (descriptor 4) watches it for EPOLLIN|EPOLLOUT|EPOLLRDHUP"), "\(why)")
    #expect(why.contains("no event is due") && !why.contains("did not act"), "\(why)")
    let index = CensusIndex(stage.census, stage.options)
    #expect(index.processesToWatch.contains(Stage.program), "fin check must read who watches it")
  }

  @Test(
    "a listener held by a master and stopped workers: all are asked, and the state is the cause",
    arguments: ["T", "D", "S"])
  func stoppedWorkers(state: String) throws {
    var census = Stage.census([Stage.listener(waiting: 1), Stage.client(50_000)])
    census.holders = Stage.holders([(7, Stage.program), (7, 51), (7, 52)])
    let letter = try #require(state.utf8.first)
    for worker in [51, 52] as [Int32] {
      census.programs[worker] = Program(pid: worker, name: "nginx")
      census.watchers[worker] = Watchers(
        interests: [.init(epoll: 8, descriptor: 7, events: 1, inode: 7)], state: ProcessState(letter: letter))
    }
    let why = try #require(try found(census, .acceptStalled).why)
    #expect(
      why.contains("process 51) watches the listener") && why.contains("process 52) watches the listener"), "\(why)")
    #expect(!why.contains("No epoll set"))
    #expect(why.contains("nginx (pid 51), nginx (pid 52) are") == (state != "S"), "\(why)")
    #expect(why.contains("none was accepted") == (state == "S"), "\(why)")
    // Unless every holder was read, no sentence says that none watches it.
    census.watchers = [Stage.program: Watchers()]
    let unread = try found(census, .acceptStalled)
    #expect(unread.why?.contains("could not be read") == true && unread.why?.contains("No epoll set") == false)
    #expect(unread.confidence != .certain)
  }

  @Test("a thousand entries of a socket in one epoll set say as much as one")
  func manyEntries() {
    var census = Stage.census([Stage.listener(waiting: 1)])
    census.holders = Stage.holders([(7, Stage.program)])
    let entries = (0..<1000).map { Watchers.Interest(epoll: 8 + $0 / 500, descriptor: 100 + $0, events: 1, inode: 7) }
    census.watchers[Stage.program] = Watchers(interests: entries)
    let ways = CensusIndex(census, .init()).watchers(of: 7).map(\.way)
    #expect(ways == [.epoll(descriptor: 8, events: 1), .epoll(descriptor: 9, events: 1)])
  }

  @Test("a server that pauses accept near its limit of descriptors: the limit leads to the clients that wait")
  func pausedByDesign() throws {
    var census = Stage.census([Stage.listener(waiting: 1), Stage.client(50_000)])
    census.holders = Stage.holders([(7, Stage.program)], counts: [Stage.program: 98])
    census.programs[Stage.program]?.descriptorLimit = 100
    #expect(CensusIndex(census, .init()).processesToWatch == [Stage.program])
    let all = Diagnosis.findings(in: census)
    #expect(Diagnosis.chains(all).map { $0.map(\.id) } == [[.descriptorLimit, .acceptStalled]])
    let why = try #require(try found(census, .acceptStalled).why)
    #expect(why.contains("has 98 of 100 descriptors open: a server may pause accept by design"), "\(why)")
    // An edge-triggered loop may have paused. One that the kernel notifies again and again has not.
    census.watchers[Stage.program] = Watchers(
      interests: [.init(epoll: 8, descriptor: 7, events: 1 << 31 | 1, inode: 7)])
    #expect(Diagnosis.chains(Diagnosis.findings(in: census)).count == 1)
    census.watchers[Stage.program] = Watchers(interests: [.init(epoll: 8, descriptor: 7, events: 1, inode: 7)])
    #expect(Diagnosis.chains(Diagnosis.findings(in: census)).count == 2)
  }

  @Test("a closed connection of which only the end is not acknowledged has no bytes left")
  func onlyTheEnd() throws {
    let finding = try found(
      Stage.census([Stage.row(.lastAck, 0) { ($0.timer, $0.sendQueue, $0.retransmits) = (.retransmit, 1, 3) }]),
      .orphans)
    #expect(
      finding.sentence.contains("has an end that its peer does not acknowledge") && finding.confidence != .certain)
  }
}

/// An unexpected value.
struct SurpriseError: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }
}
