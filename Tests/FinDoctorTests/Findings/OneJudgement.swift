import TestTraits
import Testing

@testable import FinDoctor

/// A generator of random numbers whose seed repeats a run.
private struct Seeded: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = (state ^ state >> 30) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
    return mixed ^ mixed >> 31
  }
}

@Suite("Findings, explanations and listener reports are one judgement", .onThreads)
struct OneJudgement {
  /// A census with listeners that share addresses and holders, and connections in all states, some with both ends.
  private static func census(_ random: inout Seeded) -> Census {
    var sockets: [InetSocket] = []
    var holders: ContiguousArray<Holder> = []
    let states: [SocketState] = [
      .established, .closeWait, .finWait2, .finWait1, .lastAck, .synSent, .timeWait, .synReceived,
    ]
    func number(_ range: Range<UInt32>) -> UInt32 { UInt32.random(in: range, using: &random) }
    for inode in 1..<(4 + number(0..<12)) {
      let isListener = inode < 4
      let state = isListener ? SocketState.listen : states[Int(number(0..<UInt32(states.count)))]
      let hasInode = isListener || state != .timeWait && state != .synReceived && number(0..<3) > 0
      let socket = Stage.row(
        state, hasInode ? inode : 0, local: 80 + UInt16(number(0..<2)), remote: 50_000 + UInt16(inode)
      ) { socket in
        socket.cookie = UInt64(inode)
        socket.receiveQueue = isListener ? number(0..<5) : [0, 0, 1, 7000][Int(number(0..<4))]
        socket.sendQueue = isListener ? number(0..<3) : [0, 1, 900][Int(number(0..<3))]
        socket.timer = isListener ? .off : SocketTimer(rawValue: UInt8([0, 0, 1, 2, 4][Int(number(0..<5))]))
        socket.retransmits = UInt8(number(0..<5))
        (socket.info.probes, socket.info.sendWindow) = (UInt8(number(0..<3)), number(0..<2) * 5000)
        socket.memory.drops = isListener ? number(0..<3) : 0
        if number(0..<4) == 0, !isListener { socket.remoteBits = AddressBits(low: 0x0a00_0001 + UInt64(number(0..<6))) }
        if state == .synSent, number(0..<2) == 0 { socket.remotePort = 80 + UInt16(number(0..<2)) }
      }
      sockets.append(socket)
      if !isListener, number(0..<2) == 0 {
        var end = Stage.row([.established, .finWait2, .timeWait][Int(number(0..<3))], inode + 100)
        (end.localBits, end.localPort) = (socket.remoteBits, socket.remotePort)
        (end.remoteBits, end.remotePort) = (socket.localBits, socket.localPort)
        if number(0..<2) == 0 || end.state == .timeWait { end.inode = 0 }
        sockets.append(end)
        if end.inode != 0 { holders.append(Holder(inode: end.inode, pid: 60, descriptor: Int32(inode + 100))) }
      }
      guard socket.inode != 0, number(0..<6) > 0 else { continue }
      for pid in 50..<(51 + Int32(number(0..<3))) {
        holders.append(Holder(inode: socket.inode, pid: pid, descriptor: Int32(inode)))
      }
    }
    sockets.shuffle(using: &random)
    var census = Stage.census(sockets)
    let pids = Set(holders.map(\.pid))
    census.holders = Holders(
      sockets: holders,
      processes: ContiguousArray(pids.map { HoldingProcess(pid: $0, descriptorCount: 15 + number(0..<10)) }))
    census.watchers = [:]
    for pid in pids {
      census.programs[pid] = Program(pid: pid, name: "program\(pid % 3)")
      census.programs[pid]?.descriptorLimit = 20
      if number(0..<5) == 0 { continue }
      let watched = holders.filter { $0.pid == pid && number(0..<3) == 0 }
      census.watchers[pid] = Watchers(
        interests: watched.map {
          .init(
            epoll: 3, descriptor: $0.descriptor, events: [1, 5, 0x2001, 4, 0x8000_2001][Int(number(0..<5))],
            inode: $0.inode)
        }, isComplete: number(0..<6) > 0,
        state: ProcessState(letter: [UInt8(ascii: "S"), UInt8(ascii: "T"), UInt8(ascii: "D")][Int(number(0..<3))]))
    }
    if number(0..<4) == 0 { census.gaps.interruptedDumps = 1 }
    census.namespaces[0].counters = Counters(
      number(0..<3) == 0 ? [:] : ["TcpExt.ListenOverflows": Int64(number(0..<4))])
    return census
  }

  @Test("over 500 random censuses, fin explain, fin check and fin listeners agree")
  func agree() {
    let seed = UInt64.random(in: 0 ... .max)
    var random = Seeded(state: seed)
    for round in 0..<500 {
      let census = Self.census(&random)
      let findings = Diagnosis.findings(in: census)
      let panels = ListenerOverview.all(in: census)
      for place in census.sockets.indices {
        let life = SocketExplanation(of: .inet(place), in: census, findings: findings)
        compare(life, place, findings, census, "seed \(seed), round \(round), row \(place)")
      }
      for panel in panels { compare(panel, findings, census, "seed \(seed), round \(round), \(panel.place)") }
      compare(findings.filter { $0.id == .connectStuck }, panels, census, "seed \(seed), round \(round)")
    }
  }

  @Test("each finding is in the lives of its sockets, also of Unix sockets and of descriptors in no table")
  func agreeOnAll() {
    let seed = UInt64.random(in: 0 ... .max)
    for round in 0..<60 as Range<UInt64> {
      var random = SeededNumbers(seed &+ round)
      var census = CensusRecord.random(&random).census
      for place in census.unixSockets.indices {
        census.unixSockets[place].receiveQueue = UInt32(random.number(4))
        census.unixSockets[place].sendQueue = UInt32(random.number(3))
      }
      let findings = Diagnosis.findings(in: census)
      let places =
        census.sockets.indices.map { SocketReference.inet($0) } + census.unixSockets.indices.map { .unix($0) }
        + census.detached.indices.map { .detached($0) }
      for place in places {
        let life = SocketExplanation(of: place, in: census, findings: findings)
        let told = Set(life.findings.map(\.sentence))
        let found = findings.filter { $0.sockets.contains(place) && !$0.id.rule.concernsMachine }
        #expect(told.isSuperset(of: found.map(\.sentence)), "seed \(seed), round \(round), \(place)")
        #expect(told.isSubset(of: findings.map(\.sentence)), "seed \(seed), round \(round), \(place)")
      }
      // A listener of Unix sockets is as full, and as bad, in every report.
      for panel in ListenerOverview.all(in: census) {
        guard case .unix(let place) = panel.place else { continue }
        let mine = findings.filter { $0.sockets.contains(.unix(place)) }
        let isFull = mine.contains { $0.claim.name == "queue full" }
        #expect(isFull == panel.isFull, "seed \(seed), round \(round), \(place)")
        #expect(mine.allSatisfy { panel.severity() ?? .info >= $0.severity }, "seed \(seed), round \(round), \(place)")
      }
    }
  }

  private func compare(
    _ life: SocketExplanation, _ place: Int, _ findings: [Finding], _ census: Census, _ context: String
  ) {
    // The findings of a socket are findings of fin check, word by word, and none is left out.
    let own = findings.count { $0.sockets.contains(.inet(place)) && !$0.id.rule.concernsMachine }
    #expect(life.findings.count == own, "\(context)")
    for finding in life.findings {
      #expect(findings.contains { $0.id == finding.id && $0.sentence == finding.sentence }, "\(context)")
      #expect(finding.sockets.contains(.inet(place)), "\(context)")
    }
    let socket = census.sockets[place]
    // Both say the same about what was read.
    for finding in life.findings where finding.id == .closeWaitKnown || finding.id == .closeWaitUnseen {
      #expect((finding.id == .closeWaitKnown) == life.events.contains { $0.kind == .endRead }, "\(context)")
      #expect((finding.id == .closeWaitUnseen) == life.events.contains { $0.kind == .unread }, "\(context)")
      // A finding that says that the peer closed has no other end that still receives.
      if finding.sentence.contains("closed") { #expect(life.otherEnd?.pid == nil, "\(context): \(finding.sentence)") }
    }
    // Where a finding is about this socket alone, it names the same threads and epoll sets as the explanation does.
    for finding in life.findings where finding.sockets == [.inet(place)] {
      guard let why = finding.why, why.contains("epoll set"), socket.state != .listen else { continue }
      for sentence in life.attention where sentence.contains("epoll set") {
        let subject = sentence.prefix { $0 != ":" && $0 != "." }
        #expect(why.contains(subject), "\(context): \(why) — \(sentence)")
      }
    }
  }

  /// Findings about attempts without an answer agree with the queues that `fin listeners` shows, and count no
  /// attempt twice.
  private func compare(_ stuck: [Finding], _ panels: [ListenerOverview], _ census: Census, _ context: String) {
    let all = stuck.flatMap(\.sockets)
    #expect(Set(all).count == all.count, "\(context)")
    #expect(stuck.allSatisfy { $0.count == $0.sockets.count }, "\(context)")
    // Peers of one port that are alike form one finding, unless they are very few.
    let alike = Dictionary(grouping: stuck) { finding -> String in
      guard case .inet(let place)? = finding.sockets.first else { return "" }
      return "\(finding.who?.pid ?? 0) \(finding.claim.name) \(census.sockets[place].remotePort)"
    }
    #expect(alike.values.allSatisfy { $0.count < 4 }, "\(context): \(stuck.map(\.sentence))")
    for finding in stuck {
      guard case .inet(let place)? = finding.sockets.first else { continue }
      let attempt = census.sockets[place]
      let reached = panels.filter { panel in
        guard case .inet(let listener) = panel.place else { return false }
        let row = census.sockets[listener]
        return row.localPort == attempt.remotePort && row.localBits == attempt.remoteBits
      }
      let full = reached.count { $0.isFull }
      let claim =
        reached.isEmpty
        ? "no answer"
        : full == 0 ? "listener has room" : full == reached.count ? "listener is full" : "one listener is full"
      #expect(finding.claim.name == claim, "\(context): \(finding.why ?? "")")
    }
  }

  private func compare(_ panel: ListenerOverview, _ findings: [Finding], _ census: Census, _ context: String) {
    guard case .inet(let place) = panel.place else { return }
    let mine = findings.filter { $0.sockets.contains(.inet(place)) }
    let isSaidFull = mine.contains { $0.id == .acceptOverflow && $0.sentence.contains("is full (") }
    #expect(isSaidFull == panel.isFull, "\(context)")
    for finding in mine where [.acceptOverflow, .acceptStalled, .acceptWithoutDescriptors].contains(finding.id) {
      #expect(panel.severity() ?? .info >= finding.severity, "\(context): \(finding.sentence)")
    }
    let stalls = mine.filter { $0.id == .acceptStalled }
    #expect(stalls.count <= 1, "\(context)")
    for stall in stalls {
      #expect(panel.waiting == Int(census.sockets[place].receiveQueue), "\(context)")
      if panel.waiting > 0 { #expect(stall.since == panel.oldest, "\(context)") }
      let isWatched = panel.acceptors.contains { if case .epoll = $0.way { true } else { false } }
      if isWatched { #expect(stall.why?.contains("No epoll set") == false, "\(context)") }
      #expect(panel.halted.allSatisfy { stall.why?.contains($0) == true }, "\(context)")
      let isUnread = panel.acceptors.contains { $0.way == .unknown }
      if isUnread { #expect(stall.confidence != .certain, "\(context)") }
    }
  }
}
