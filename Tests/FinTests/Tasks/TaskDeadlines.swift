import Glibc
import Peers
import Synchronization
import SystemPackage
import TestTraits
import Testing

@_spi(Fin) @testable import Fin

@Suite("Promise 5: nothing waits forever, in a task: each wait has a deadline", .onThreads)
struct TaskDeadlines {
  @Test(
    "a receive without data ends at its deadline, and not before", .faults(61),
    arguments: ReceiveVerb.allCases, Place.allCases)
  func receive(_ verb: ReceiveVerb, _ place: Place) throws {
    let (ours, theirs) = try Medium.tcp.open()
    for milliseconds in [40, 1, 0] {
      let time = try elapsed {
        let error = try errand(on: place) { try await verb.ask(ours, within: .milliseconds(milliseconds)) }.refusal()
        #expect(error.cause == .timedOut && error.operation == .receive)
      }
      #expect(time >= .milliseconds(milliseconds) && time < .seconds(10))
    }
    // The expired receive consumed nothing.
    try theirs.send("ab\n")
    #expect(try inTask(on: place) { try await verb.ask(ours) } == verb.answer)
    ours.abort()
    theirs.abort()
  }

  @Test("every other wait ends at its deadline: accept, send, queued writers, connect", .faults(61))
  func others() throws {
    let time = Duration.milliseconds(30)
    func ends<R: Sendable>(
      _ operation: SocketError.Operation, _ body: @escaping @Sendable () async throws -> R
    ) throws {
      let took = try elapsed {
        let error = try errand(body).refusal()
        #expect(error.cause == .timedOut && error.operation == operation, "\(error)")
      }
      #expect(took >= time && took < .seconds(10))
    }
    let keeper = try openListener()
    try ends(.accept) { try await keeper.listener.accept(within: Timeout(time)).share() }
    let (ours, theirs) = try Medium.pair.open(timeouts: .all(Timeout(time)))
    let filled = try ours.fill()
    try ends(.send) { try await ours.send("x", within: Timeout(time)) }
    let writer = errand { try await ours.send("a writer", within: .seconds(60)) }
    try ours.awaitParked()
    try ends(.send) { try await ours.send("behind it", within: Timeout(time)) }
    try ends(.finishSending) { try await ours.finishSending() }
    #expect(ours.gate.queuedWriters == 0)
    #expect(try theirs.receive(exactly: filled + 8)?.suffix(8) == Array("a writer".utf8)[...])
    try writer.join()

    let full = Keeper(try Listener.bind(try StreamKind.unix.freshAddress, backlog: 0))
    let first = try Connection.connect(to: full.listener.localAddress)
    try ends(.connect) { try await Connection.connect(to: full.listener.localAddress, within: Timeout(time)).share() }
    let datagrams = try DatagramSocket.bind(.loopback(port: 0)).share()
    try ends(.receive) { try await datagrams.receive(within: Timeout(time)) }
    first.abort()
    full.end()
    keeper.end()
    datagrams.close()
    ours.abort()
    theirs.abort()
  }

  @Test("an unanswered connect in a task ends at its deadline, and leaves no SYN-SENT", .faults(47, 61), .needsTUN)
  func connect() throws {
    try withRawPeer(.neverAnswersSYN) { peer in
      let ours = try peer.namespace.run { try SharedConnection(unconnected: .ipv4) }
      let target = try SocketAddress(ip: RawPeer.peerAddress, port: 7)
      let time = try elapsed {
        let error = try errand { try await ours.connect(to: target, within: .milliseconds(60)) }.refusal()
        #expect(error.cause == .timedOut && error.operation == .connect)
      }
      #expect(time >= .milliseconds(60))
      #expect(ours.phase == .closed)
      #expect(try peer.namespace.run { try KernelView.tcp() }.isEmpty)
    }
  }

  @Test(
    "in a task, a timeout of zero or less is one attempt: available data is returned, else it times out", .faults(61),
    arguments: [Duration.zero, .seconds(-1)], Place.allCases)
  func zero(_ now: Duration, _ place: Place) throws {
    let keeper = try openListener()
    let client = try Connection.connect(to: keeper.listener.localAddress)
    let ours = try inTask(on: place) { try await keeper.listener.accept(within: Timeout(now)).share() }
    let accept = errand(on: place) { try await keeper.listener.accept(within: Timeout(now)).share() }
    #expect(try accept.refusal().cause == .timedOut)
    for round in 0..<50 {
      #expect(
        try errand(on: place) { try await ours.receive(upTo: 9, within: Timeout(now)) }.refusal().cause == .timedOut)
      try client.send([UInt8(round)])
      try ours.awaitUnread(1)
      // The loop may not have seen the event yet.
      #expect(try inTask(on: place) { try await ours.receive(upTo: 9, within: Timeout(now)) } == [UInt8(round)])
    }
    try inTask(on: place) { try await ours.send("x", within: Timeout(now)) }
    #expect(try client.receive(upTo: 1) == Array("x".utf8))
    ours.abort()
    client.abort()
    keeper.end()
  }

  @Test(
    "data that arrived in time is returned, although the loop sees it together with the expired deadline", .faults(61))
  func together() throws {
    let reactor = try Reactor(loops: 1)
    defer { reactor.stop() }
    let (ours, theirs) = try Medium.tcp.open()
    let (bell, ringer) = try Medium.pair.open()
    // Both sockets are registered with this loop.
    for connection in [ours, bell] {
      let error = try onLoop(of: reactor) { try await connection.receive(upTo: 1, within: .zero) }.refusal()
      #expect(error.cause == .timedOut)
    }
    let other = OwnThread()
    let ringing = errand(on: other) { try await bell.receive(upTo: 1) }
    try bell.awaitParked()
    // Makes sure that the task has suspended: a task that is resumed just before it suspends goes on without a job.
    try errand(on: other) {}.join()
    let asking = Kept<TestTask<[UInt8]?>>()
    // Runs in the loop's own thread, between its poll for events and its check for expired deadlines.
    other.beforeNextJob {
      try? theirs.send([5])
      try? ours.awaitUnread(1)
      asking.value = errand(on: .elsewhere) { try await ours.receive(upTo: 1, within: .zero) }
      try? ours.awaitParked()
    }
    try ringer.send([1])
    #expect(try ringing.join() == [1])
    #expect(try #require(asking.value).join() == [5])
    for connection in [ours, theirs, bell, ringer] { connection.abort() }
  }

  @Test(
    "a line that arrives byte by byte has one deadline, and not one for each byte", .faults(61),
    arguments: ReceiveVerb.patient)
  func trickle(_ verb: ReceiveVerb) throws {
    let (ours, theirs) = try Medium.tcp.open()
    let isOver = Flag()
    let peer = onThread {
      while !isOver.isSet {
        try theirs.send([0x61])
        usleep(500)
      }
    }
    let time = try elapsed {
      let error = try errand {
        switch verb {
        case .exactly: _ = try await ours.receive(exactly: 1 << 20, within: .milliseconds(80))
        case .until: _ = try await ours.receive(until: 0x0A, limit: 1 << 20, within: .milliseconds(80))
        default: _ = try await ours.receiveLine(limit: 1 << 20, within: .milliseconds(80))
        }
      }.refusal()
      #expect(error.cause == .timedOut)
    }
    isOver.set()
    try peer.join()
    #expect(time >= .milliseconds(80) && time < .seconds(10))
    ours.abort()
    theirs.abort()
  }

  @Test("deadlines longer and shorter than before on the same socket, each kept", .faults(61))
  func changing() throws {
    let (ours, theirs) = try Medium.tcp.open()
    for round in 0..<6 {
      // A deadline of one minute, whose receive is answered: its heap entry stays behind.
      let long = errand { try await ours.receive(upTo: 1, within: .seconds(60)) }
      try ours.awaitParked()
      try theirs.send([1])
      #expect(try long.join() == [1])
      let milliseconds = [50, 5, 20, 1, 30, 10][round]
      let time = try elapsed {
        let short = errand { try await ours.receive(upTo: 1, within: .milliseconds(milliseconds)) }
        let error = try short.refusal()
        #expect(error.cause == .timedOut)
      }
      #expect(time >= .milliseconds(milliseconds) && time < .seconds(10))
    }
    // A short deadline whose receive was answered does not end a longer one after it.
    let short = errand { try await ours.receive(upTo: 1, within: .milliseconds(300)) }
    try ours.awaitParked()
    try theirs.send([1])
    let heard = try? short.join()
    if heard == nil { _ = try inTask { try await ours.receive(upTo: 1) } }
    let long = errand { try await ours.receive(upTo: 1, within: .seconds(60)) }
    try steadily(for: .milliseconds(350), "the end of the long wait", equals: false) { long.isFinished }
    try theirs.send([2])
    #expect(try long.join() == [2])
    ours.abort()
    theirs.abort()
  }

  @Test("a reader and a writer of one socket have a deadline each", .faults(61))
  func both() throws {
    let (ours, theirs) = try Medium.pair.open()
    try ours.fill()
    let start = Fin.Instant.now
    let slow = errand { try await ours.receive(upTo: 1, within: .milliseconds(150)) }
    try ours.awaitParked(1)
    let fast = errand { try await ours.send("x", within: .milliseconds(20)) }
    #expect(try fast.refusal().cause == .timedOut)
    #expect(start.elapsed >= .milliseconds(20))
    #expect(try slow.refusal().cause == .timedOut)
    #expect(start.elapsed >= .milliseconds(150))
    ours.abort()
    theirs.abort()
  }

  @Test(
    "three hundred sockets at once, each with its own deadline: none ends before it, none is forgotten", .faults(61))
  func many() throws {
    var dice = Dice(seed: 11)
    let sockets = try (0..<300).map { _ in (try Medium.pair.open(), Int.random(in: 1...200, using: &dice)) }
    let waits = sockets.enumerated().map { number, socket in
      let (ends, milliseconds) = socket
      return errand(on: number % 3 == 0 ? .elsewhere : .loop) { () async throws -> Bool in
        let start = Fin.Instant.now
        do { return try await ends.0.receive(upTo: 1, within: .milliseconds(milliseconds)) == nil } catch {
          return (error as? SocketError)?.cause == .timedOut && start.elapsed >= .milliseconds(milliseconds)
        }
      }
    }
    for wait in waits { #expect(try wait.join(within: .seconds(20))) }
    for (ends, _) in sockets {
      ends.0.abort()
      ends.1.abort()
    }
  }
}

extension StreamSocketProtocol where Self: ~Copyable {
  /// Waits until this many bytes are unread.
  borrowing func awaitUnread(_ count: Int) throws {
    let number = reference.core.number
    try eventually(within: .seconds(10), "bytes unread", equals: count) {
      try Syscalls.queue(number, CInt(FIONREAD))
    }
  }
}
