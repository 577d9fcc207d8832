import FinBase
import Glibc
import Peers
import Synchronization
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Counters near overflow: none traps, and none wraps into a wrong answer", .onThreads)
struct CountersComeRound {
  /// A loop's counters, a few steps before they wrap.
  private static let last = EventLoop.Beginnings(
    generation: .max - 1, changes: 1 << 56 - 3, wakes: .max - 3, turn: .max - 2)

  @Test("every verb works while a reactor's counters of generations, changes, wakes and turns wrap")
  func verbs() throws {
    let reactor = try Reactor(count: 2, beginnings: CountersComeRound.last)
    // The slots are used repeatedly.
    for _ in 0..<4 {
      try errand(on: reactor.executor) { try await everyVerb { EventLoop.current != nil } }.join(within: .seconds(30))
    }
    reactor.stop()
  }

  @Test("a reactor hands out its loops in turn, even when its counter wraps")
  func turns() throws {
    let reactor = try Reactor(count: 3, beginnings: CountersComeRound.last)
    let loops = (0..<12).map { _ in ObjectIdentifier(reactor.next()) }
    #expect(Set(loops).count == 3)
    reactor.stop()
  }

  @Test("a wake of a poller whose event counter is full still wakes it")
  func bell() throws {
    let poller = try Poller(wakes: .max - 1)
    // The first event reports the state at the time the watch began.
    poller.wait(until: .init(after: .zero)) { _, _ in }
    for _ in 0..<3 {
      poller.wake()
      let start = Instant.now
      poller.wait(until: .init(after: .seconds(60))) { _, _ in }
      #expect(start.elapsed < .seconds(30), "the wake was not heard")
    }
  }

  @Test("a registration's change counter wraps without touching readiness, and clears nothing that arrived since")
  func changes() throws {
    let loop = try EventLoop(EventLoop.Beginnings(changes: 1 << 56 - 1))
    let registration = try loop.makeRegistration()
    registration.deliver([.input, .inputIsPartial])
    #expect(registration.snapshot.changes == 0 && registration.snapshot.readiness == [.input, .inputIsPartial])
    let seen = registration.snapshot
    registration.wake()
    registration.clear(.input, since: seen)
    #expect(registration.snapshot.readiness == [.input, .inputIsPartial], "something had happened since")
    registration.clear(.input, since: registration.snapshot)
    #expect(registration.snapshot.changes == 1 && registration.snapshot.readiness == .inputIsPartial)
  }

  @Test(
    "a wait for a change ends after one change, after a wrap, and after exactly 2³² changes",
    arguments: [1, 2, 1 << 24, 1 << 32, 1 << 48] as [UInt64])
  func since(_ steps: UInt64) throws {
    let before = (1 << 56 - 1) as UInt64
    let now = (before &+ steps) & (1 << 56 - 1)
    // A registration that has counted `steps` changes since `before`.
    let registration = try EventLoop(EventLoop.Beginnings(changes: now)).makeRegistration()
    #expect(try inTask { await registration.park(.change(since: before), until: .passed) } == .ready)
    // No change since `now`, so this wait lasts.
    let waiting = errand { await registration.park(.change(since: now), until: .never) }
    try eventually("a waiter", equals: 1) { registration.waiterCount }
    registration.wake()
    #expect(try waiting.join() == .look)
  }

  @Test("an event for a slot's last generation is not delivered to its first", .faults(9))
  func generations() throws {
    let loop = try EventLoop(EventLoop.Beginnings(generation: .max))
    #expect(loop.start(name: "generations") == 0)
    defer { loop.stop() }
    var ends: [CInt] = [-1, -1]
    try #require(unsafe socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends) == 0)
    let first = try loop.makeRegistration(ends[0])
    try eventually("its first event", equals: .output) { first.snapshot.readiness }
    let duplicate = fcntl(ends[0], F_DUPFD_CLOEXEC, 0)
    try #require(duplicate >= 0)
    defer { for number in [duplicate, ends[1]] { close(number) } }
    // The duplicate keeps the epoll watch alive.
    close(ends[0])
    first.leave()
    let second = try loop.makeRegistration()
    #expect(first.token.generation == .max && second.token.generation == 0)
    #expect(second.token.slot == first.token.slot)
    let third = try loop.makeRegistration(ends[1])
    try eventually("its first event", equals: .output) { third.snapshot.readiness }
    try #require(unsafe send(ends[1], [1] as [UInt8], 1, CInt(MSG_NOSIGNAL)) == 1)
    try #require(unsafe send(duplicate, [1] as [UInt8], 1, CInt(MSG_NOSIGNAL)) == 1)
    try eventually("the event behind it", equals: [.input, .output]) { third.snapshot.readiness }
    #expect(second.snapshot.readiness == [] && second.snapshot.changes == 0)
    third.leave(watching: ends[1])
    second.leave()
  }

  @Test("of two tasks that wait for one socket, a cancellation reaches the right one, however many waited before")
  func cancellations() throws {
    let pair = try Medium.pair.open()
    let datagrams = try DatagramSocket.pair()
    let shared = datagrams.first.share()
    let first = errand { try await shared.receive().length }
    try shared.awaitParked()
    for _ in 0..<200 {
      let second = errand { try await shared.receive().length }
      try shared.awaitParked(2)
      second.cancel()
      #expect(try second.refusal().cause == .cancelled)
      #expect(!first.isFinished)
    }
    try datagrams.second.send("abc")
    #expect(try first.join() == 3)
    shared.close()
    datagrams.second.close()
    pair.0.abort()
    pair.1.abort()
  }

  @Test("a gate full of operations can be closed, and only the last one to leave releases the descriptor")
  func references() throws {
    let door = SharedGate()
    for _ in 0..<1_048_575 { try door.enterPassing() }
    #expect(throws: Gate.EntryError.tooMany) { try door.enterPassing() }
    #expect(throws: Gate.EntryError.tooMany) { try door.enterReading() }
    #expect(door.beginClosing())
    #expect(door.snapshot == .init(isClosing: true, references: 1_048_576))
    for _ in 0..<1_048_575 { #expect(!door.leave(.using)) }
    #expect(door.leave(.using))
  }

  @Test("a published record is not written by a socket whose id has the same lower half")
  func identities() throws {
    let ledger = Ledger()
    try ledger.publish()
    let number = unsafe open("/dev/null", O_RDONLY | O_CLOEXEC)
    try #require(number >= 0)
    defer { close(number) }
    let site = Ledger.Site(file: #fileID, line: #line)
    let first = ledger.open(number, isDatagram: false, site, .connected)
    ledger.close(first, .closed)
    ledger.book.withLock { $0.counts.opened = 1 << 32 }
    let second = ledger.open(number, isDatagram: false, site, .connected)
    #expect(second.id == 1 << 32 + 1 && second.slot == first.slot && first.id == 1)
    let published = try #require(ledger.published)
    // /dev/null is not a socket and has no cookie, so the test writes one.
    published.enter(second, cookie: .max, nil)
    published.wait(first, for: .input, until: .never)
    published.leave(first)
    let record = try #require(LedgerReader(ledger)?.records.first)
    #expect(record.cookie == .max && record.input == 0)
    published.wait(second, for: .input, until: .never)
    #expect(LedgerReader(ledger)?.records.first?.input == .max)
    ledger.close(second, .closed)
  }

  @Test("a socket beyond the last slot of a published ledger is counted as unpublished, and leaves the others alone")
  func slots() throws {
    let ledger = Ledger()
    try ledger.publish()
    let last = LedgerFormat.mostRecords
    ledger.book.withLock { book in
      book.records = Array(repeating: nil, count: last + 2)
      // Slots are taken from the end of this list.
      book.free = [UInt32(last + 1), UInt32(last)]
    }
    let number = unsafe open("/dev/null", O_RDONLY | O_CLOEXEC)
    try #require(number >= 0)
    defer { close(number) }
    let record = ledger.open(number, isDatagram: false, .init(file: #fileID, line: #line), .connected)
    #expect(record.slot == UInt32(last))
    let reader = try #require(LedgerReader(ledger))
    #expect(reader.word(40) == 1 && reader.count == 0)
    #expect(ledger.openSockets().map(\.id) == [1])
    ledger.published?.wait(record, for: .input, until: .never)
    ledger.close(record, .closed)
    #expect(ledger.counts.open == 0)
  }

  @Test("the byte counts of a server's report saturate at the maximum")
  func reports() {
    var report = ServerReport()
    report.add(bytesUnacknowledged: .max - 5)
    report.add(bytesUnacknowledged: 3)
    #expect(report.bytesUnacknowledged == .max - 2)
    report.add(bytesUnacknowledged: 3)
    #expect(report.bytesUnacknowledged == .max)
  }

  @Test("deadlines at both ends of the clock: the heap keeps them in order, and their remaining time is right")
  func deadlines() {
    var deadlines = TimerHeap()
    let times: [Int64] = [.max - 1, .min, 0, .min + 1, -1, 1]
    for (slot, time) in times.enumerated() { deadlines.set(UInt32(slot), Fin.Deadline(nanoseconds: time)) }
    deadlines.set(17, .never)
    var order: [Int64] = []
    while let slot = deadlines.takeDue(at: .max) { order.append(times[Int(slot)]) }
    #expect(order == times.sorted() && deadlines.earliest == .never)
    for time in times + [.max] {
      let deadline = Fin.Deadline(nanoseconds: time)
      #expect(deadline.hasPassed == (time < 2))
      #expect(deadline.milliseconds == (time == .max ? -1 : time < 2 ? 0 : .max))
      #expect((deadline.remaining == nil) == (time == .max))
      #expect((deadline.remaining == .zero) == (time < 2))
    }
    #expect(Fin.Deadline(after: .nanoseconds(Int64.max)) == .never)
    #expect(Fin.Deadline(allowing: Timeout(nanoseconds: .max - 1)) == .never)
    #expect(Fin.Deadline(after: Duration.nanoseconds(Int64.min)).hasPassed)
    #expect(Fin.Deadline(allowing: Timeout(nanoseconds: .min)).nanoseconds <= Instant.now.nanoseconds)
  }

  @Test("waits with deadlines at both ends of the clock: data is received, in a thread and in a task")
  func waits() throws {
    let (ours, theirs) = try Medium.pair.open()
    for within in [Duration.nanoseconds(Int64.max), .nanoseconds(Int64.max - 1), .seconds(Int64.max)] {
      let receiving = errand { try await ours.receive(upTo: 1, within: Timeout(within)) }
      try ours.awaitParked()
      try theirs.send([1])
      #expect(try receiving.join() == [1])
      let thread = try waiting { try ours.receive(upTo: 1, within: Timeout(within)) }
      try theirs.send([2])
      #expect(try thread.join() == [2])
    }
    for within in [Duration.nanoseconds(Int64.min), .seconds(Int64.min)] {
      #expect(try errand { _ = try await ours.receive(upTo: 1, within: Timeout(within)) }.refusal().cause == .timedOut)
      #expect(throws: SocketError.self) { _ = try ours.receive(upTo: 1, within: Timeout(within)) }
    }
    ours.abort()
    theirs.abort()
  }
}
