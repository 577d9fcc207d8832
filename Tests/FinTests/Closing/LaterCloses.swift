import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Promise 2: close always answers: of two closes, the earlier deadline holds", .needsTUN, .onThreads)
struct LaterCloses {
  private static func policy(_ phase: Phase, _ within: Duration) -> ClosePolicy {
    phase == .confirming
      ? .confirmed(within: within) : .lingering(within: within, idle: .seconds(60), discarding: 1 << 20)
  }

  @Test(
    "a second close with a shorter timeout ends the first one by then, in threads",
    arguments: [Phase.confirming, .lingering])
  func shorter(_ phase: Phase) throws {
    try withRawPeer(.neverAcknowledges) { peer in
      let connection = try connection(to: peer).share()
      try connection.send([1, 2, 3])
      let script = Script()
      let first = onThread {
        Seam.$script.withValue(script) { connection.close(LaterCloses.policy(phase, .seconds(60))) }
      }
      try eventually("the phase", equals: phase) { connection.phase }
      let start = Instant.now
      let report = connection.close(.confirmed(within: .milliseconds(200)))
      #expect(script.count(.ioctl) < 40, "it sleeps until then: \(script.count(.ioctl)) looks at the queue")
      #expect(start.elapsed >= .milliseconds(200) && start.elapsed < .milliseconds(200) + slack, "\(start.elapsed)")
      #expect(report.ending == .timedOut(phase) && report.bytesUnacknowledged == 3, "\(report)")
      #expect(try first.join() == report)
    }
  }

  @Test(
    "a second close with a shorter timeout ends the first one by then, in tasks",
    arguments: [Phase.confirming, .lingering],
    Place.allCases)
  func shorterInTasks(_ phase: Phase, _ place: Place) throws {
    try withRawPeer(.neverAcknowledges) { peer in
      let connection = try connection(to: peer).share()
      try connection.send([1, 2, 3])
      let first = errand(on: place) { await connection.close(LaterCloses.policy(phase, .seconds(60))) }
      try eventually("the phase", equals: phase) { connection.phase }
      let start = Instant.now
      let report = try inTask { await connection.close(.confirmed(within: .milliseconds(200))) }
      #expect(start.elapsed >= .milliseconds(200) && start.elapsed < .milliseconds(200) + slack, "\(start.elapsed)")
      #expect(report.ending == .timedOut(phase) && report.bytesUnacknowledged == 3, "\(report)")
      #expect(try first.join() == report)
    }
  }

  @Test("a second close with a longer timeout, or in the background, changes nothing")
  func longer() throws {
    for second in [ClosePolicy.confirmed(within: .seconds(60)), .lingering, .background] {
      try withRawPeer(.neverAcknowledges) { peer in
        let connection = try connection(to: peer).share()
        try connection.send([1, 2, 3])
        let first = onThread { connection.close(.confirmed(within: .milliseconds(500))) }
        try eventually("the phase", equals: .confirming) { connection.phase }
        let report = connection.close(second)
        #expect(report.ending == .timedOut(.confirming), "\(report)")
        #expect(report.duration >= .milliseconds(500) && report.duration < .milliseconds(500) + slack, "\(report)")
        #expect(try first.join() == report)
      }
    }
  }

  @Test("a second close with a timeout of zero checks once, and reports what was confirmed by then")
  func noTime() throws {
    try withRawPeer(.neverFinishes) { peer in
      let connection = try connection(to: peer).share()
      try connection.send([1, 2, 3])
      let first = onThread {
        connection.close(.lingering(within: .seconds(60), idle: .seconds(60), discarding: 1 << 20))
      }
      try eventually("the phase", equals: .lingeringAcknowledged) { connection.phase }
      let report = connection.close(.confirmed(within: .zero))
      #expect(report.ending == .acknowledged, "\(report)")
      #expect(try first.join() == report)
    }
  }
}

@Suite("Promise 2: close always answers: budgets of zero, and budgets too large to count", .onThreads)
struct Budgets {
  @Test(
    "with a discard budget of zero, our FIN is sent and the peer's is awaited", .needsTUN, arguments: [0, -1, Int.min])
  func nothingDiscarded(_ most: Int) throws {
    let policy = ClosePolicy.lingering(within: .seconds(10), idle: .seconds(10), discarding: most)
    for isInTask in [false, true] {
      try withRawPeer(.good) { peer in
        let connection = try connection(to: peer).share()
        try connection.send([1, 2, 3])
        let report = isInTask ? try inTask { await connection.close(policy) } : connection.close(policy)
        #expect(report.ending == .peerFinished && report.isDelivered, "\(report)\n\(peer.log)")
        #expect(peer.log.count(.rst) == 0 && peer.log.count(.fin) == 1, "\(peer.log)")
      }
    }
  }

  @Test("with a discard budget of zero and a silent peer, the ending is acknowledged", .needsTUN)
  func silence() throws {
    try withRawPeer(.neverFinishes) { peer in
      let connection = try connection(to: peer)
      try connection.send([1, 2, 3])
      let report = connection.close(.lingering(within: .seconds(10), idle: .milliseconds(50), discarding: 0))
      #expect(report.ending == .acknowledged && report.duration < slack, "\(report)")
      #expect(peer.log.count(.fin) == 1, "\(peer.log)")
    }
  }

  @Test(
    "the first byte beyond the discard budget ends a close; exactly the budget and then EOF is peerFinished", .needsTUN)
  func beyond() throws {
    for (sent, budget) in [(1, 0), (3000, 3000), (3001, 3000), (0, 0)] {
      let talks = Behaviour("answers the FIN with \(sent) bytes and its own") { conversation, segment in
        let hadTaken = conversation.hasTakenFIN
        Behaviour.neverFinishes.answer(&conversation, segment)
        if conversation.hasTakenFIN, !hadTaken {
          conversation.send([UInt8](repeating: 1, count: sent))
          conversation.finish()
        }
      }
      try withRawPeer(talks) { peer in
        let connection = try connection(to: peer)
        try connection.send([1])
        let report = connection.close(.lingering(within: .seconds(10), idle: .seconds(10), discarding: budget))
        #expect(report.ending == (sent > budget ? .acknowledged : .peerFinished), "\(sent): \(report)\n\(peer.log)")
        #expect(report.bytesDiscarded == sent, "\(report)")
        #expect(report.duration < slack)
      }
    }
  }

  @Test("with a discard budget of zero on a Unix stream, EOF is awaited, and a first byte ends the close")
  func unix() throws {
    let policy = ClosePolicy.lingering(within: .seconds(10), idle: .seconds(10), discarding: 0)
    let quiet = try Connection.pair()
    quiet.second.close(.background)
    #expect(quiet.first.close(policy).ending == .peerFinished)
    let talking = try Connection.pair()
    try talking.second.send([1])
    let report = talking.first.close(policy)
    #expect(report.ending == .acknowledged && report.bytesDiscarded == 1, "\(report)")
    talking.second.close(.background)
  }

  @Test(
    "with an idle limit of zero, a lingering close ends once everything is acknowledged", .needsTUN,
    arguments: [Duration.zero, .seconds(-1)])
  func noIdle(_ idle: Duration) throws {
    try withRawPeer(.neverFinishes) { peer in
      let connection = try connection(to: peer)
      try connection.send([1, 2, 3])
      let report = connection.close(.lingering(within: .seconds(10), idle: idle, discarding: 1000))
      #expect(report.ending == .acknowledged && report.duration < slack, "\(report)")
    }
  }

  @Test(
    "an orphan's timeout is the requested one, within the kernel's range",
    arguments: [
      (Duration.seconds(-5), CInt(1)), (.zero, 1), (.nanoseconds(1), 1), (.milliseconds(7), 7), (.seconds(30), 30_000),
      (.milliseconds(CInt.max - 1), .max - 1), (.milliseconds(CInt.max), .max),
      (.milliseconds(CInt.max) + .nanoseconds(1), .max), (.seconds(86_400 * 365), .max),
      (.seconds(Int64.max), .max),
    ])
  func orphan(_ timeout: Duration, _ milliseconds: CInt) throws {
    let pair = try Loopback()
    let peer = pair.peer
    try pair.ours.send([1])
    // The test's own duplicate keeps the socket alive, so that its options can be read after Fin has closed its
    // descriptor.
    let spy = try pair.ours.withDescriptor { dup($0.rawValue) }
    defer { close(spy) }
    #expect(pair.ours.close(.background(orphanTimeout: timeout)).ending == .background)
    func option(_ name: CInt) -> CInt {
      var value: CInt = -1
      var size = socklen_t(4)
      return unsafe getsockopt(spy, CInt(IPPROTO_TCP), name, &value, &size) == 0 ? value : -1
    }
    #expect(option(18) == milliseconds, "TCP_USER_TIMEOUT")
    // The kernel caps this at 120 s. It only matters that the time is now bounded.
    #expect((1...120).contains(option(TCP_LINGER2)), "TCP_LINGER2")
    _ = consume peer
  }
}
