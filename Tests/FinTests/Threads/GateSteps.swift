import Peers
import Synchronization
import TestTraits
import Testing

@_spi(Fin) @testable import Fin

/// A gate that threads can share.
final class SharedGate: Sendable {
  private let gate = Gate()

  var isClosing: Bool { gate.isClosing }
  var snapshot: Gate.Snapshot { gate.snapshot }
  func enterReading() throws(Gate.EntryError) { try gate.enterReading() }
  func enterPassing() throws(Gate.EntryError) { try gate.enterPassing() }
  func leave(_ entry: Gate.Entry) -> Bool { gate.leave(entry) }
  func park(_ parker: Parker) -> Bool { gate.park(parker) }
  func unpark(_ parker: Parker) { gate.unpark(parker) }
  func wakeParked() { gate.wakeParked() }
  func beginClosing() -> Bool { gate.beginClosing() }

  /// A writer in the queue, which it enters because another one writes.
  func queue() throws -> WriterQueue.Turn { try #require(try gate.queue(waking: Parker())) }
  func leaveQueue(_ turn: WriterQueue.Turn) throws(Gate.EntryError) { try gate.leaveQueue(turn) }
  var queueSteps: Int { gate.queueSteps }

  func enterWriting(within: Timeout = .seconds(10)) throws(Gate.EntryError) {
    var timeout = LazyDeadline(within)
    try gate.enterWriting(&timeout)
  }

  /// Closes as an owner does, with `release` in place of `close(2)`.
  @discardableResult
  func close(_ release: () -> Void = {}) -> Bool {
    guard gate.beginClosing() else {
      gate.awaitRelease()
      return false
    }
    gate.awaitQuiescence()
    release()
    let wasLast = gate.leave(.using)
    precondition(wasLast, "the closer holds the last reference")
    gate.finishClosing()
    return true
  }
}

@Suite("Promise 4: closing wakes everyone: the descriptor's gate, step by step", .onThreads)
struct GateSteps {
  @Test(
    "ENTER_READ: one reader at a time, a second is refused at once; writers and others enter beside it", .faults(60))
  func reading() throws {
    let door = SharedGate()
    try door.enterReading()
    #expect(throws: Gate.EntryError.busy) { try door.enterReading() }
    try door.enterPassing()
    try door.enterPassing()
    try door.enterWriting()
    #expect(door.snapshot == .init(hasReader: true, hasWriter: true, references: 4))
    #expect(!door.leave(.reading))
    try door.enterReading()
    for entry in [Gate.Entry.reading, .writing, .using, .using] { #expect(!door.leave(entry)) }
    #expect(door.snapshot == .init())
  }

  @Test("ENTER_WRITE, QUEUE, HANDOFF: writers enter one at a time, in the order of their arrival")
  func writing() throws {
    let door = SharedGate()
    try door.enterWriting()
    let log = Log()
    var threads: [Joining<Bool>] = []
    for number in 1...4 {
      threads.append(
        onThread {
          try door.enterWriting()
          log.add(number)
          return door.leave(.writing)
        })
      try eventually("queued writers", equals: number) { door.snapshot.queuedWriters }
    }
    // Queued writers hold no reference: the writer that hands over passes its own on.
    #expect(door.snapshot == .init(hasWriter: true, queuedWriters: 4, references: 1))
    #expect(!door.leave(.writing))
    for thread in threads { #expect(try !thread.join()) }
    #expect(log.entries == [1, 2, 3, 4])
    #expect(door.snapshot == .init())
  }

  @Test("WRITER_DEADLINE: a queued writer gives up at its deadline, and those behind it are unaffected")
  func writerDeadline() throws {
    let door = SharedGate()
    try door.enterWriting()
    // Long enough to be seen in the queue, even on a busy machine.
    let first = onThread { try door.enterWriting(within: .seconds(1)) }
    try eventually("queued writers", equals: 1) { door.snapshot.queuedWriters }
    let second = onThread { try door.enterWriting() }
    #expect(throws: Gate.EntryError.timedOut) { try first.join() }
    try eventually("queued writers", equals: 1) { door.snapshot.queuedWriters }
    #expect(!door.leave(.writing))
    try second.join()
    #expect(door.snapshot == .init(hasWriter: true, references: 1))
    #expect(throws: Gate.EntryError.timedOut) { try door.enterWriting(within: .zero) }
    #expect(!door.leave(.writing))
    #expect(door.snapshot == .init())
  }

  @Test(
    "a deadline that passes while the turn is granted: the writer is either inside or not, in all 8,000 rounds")
  func deadlineAgainstGrant() throws {
    let door = SharedGate()
    let inside = Tally()
    let granted = Tally()
    let late = Tally()
    let threads = (0..<8).map { number in
      onThread {
        var random = SeededRandom(seed: UInt64(number))
        for _ in 0..<1000 {
          do throws(Gate.EntryError) {
            try door.enterWriting(within: .microseconds(Int(random.next() % 200)))
          } catch {
            guard error == .timedOut else { throw error }
            late.add()
            continue
          }
          inside.add()
          granted.add()
          // Long enough that the deadlines of others expire at every point of the handover.
          for _ in 0..<(random.next() % 64) { _ = door.isClosing }
          inside.add(-1)
          guard !door.leave(.writing) else { throw RigError("leave asked to release a gate that is open") }
        }
      }
    }
    for thread in threads { try thread.join(within: .seconds(60)) }
    #expect(inside.most == 1)
    #expect(granted.value + late.value == 8000)
    #expect(granted.value > 0 && late.value > 0, "\(granted.value) granted, \(late.value) late")
    #expect(door.snapshot == .init())
  }

  @Test("PARK, UNPARK: closing wakes exactly the parked waiters, and none parks after it")
  func parking() {
    let door = SharedGate()
    let (stays, leaves) = (Parker(), Parker())
    #expect(door.park(stays))
    #expect(door.park(leaves))
    #expect(door.snapshot.parked == 2)
    door.unpark(leaves)
    #expect(door.beginClosing())
    #expect(stays.park(until: .init(after: .zero)))
    #expect(!leaves.park(until: .init(after: .zero)))
    #expect(!door.park(Parker()))
    #expect(door.snapshot.parked == 0)
  }

  @Test("WAKE for another reason than closing: the parked waiters check again, and stay in the list")
  func wakingParked() {
    let door = SharedGate()
    let parker = Parker()
    #expect(door.park(parker))
    door.wakeParked()
    #expect(parker.park(until: .init(after: .zero)))
    #expect(door.snapshot == .init(parked: 1))
    door.unpark(parker)
  }

  @Test("BEGIN_CLOSE: no operation enters any more, whatever its access")
  func refusing() throws {
    let door = SharedGate()
    try door.enterReading()
    #expect(door.beginClosing())
    #expect(!door.beginClosing())
    #expect(throws: Gate.EntryError.closed) { try door.enterReading() }
    #expect(throws: Gate.EntryError.closed) { try door.enterPassing() }
    #expect(throws: Gate.EntryError.closed) { try door.enterWriting() }
    #expect(door.snapshot == .init(isClosing: true, hasReader: true, references: 2))
    #expect(!door.leave(.reading))
    #expect(door.leave(.using))
  }

  @Test("BEGIN_CLOSE: queued writers are refused, and the writer inside leaves as if the queue were empty")
  func refusingTheQueue() throws {
    let door = SharedGate()
    try door.enterWriting()
    let threads = (1...3).map { _ in onThread { try door.enterWriting() } }
    try eventually("queued writers", equals: 3) { door.snapshot.queuedWriters }
    #expect(door.beginClosing())
    for thread in threads { #expect(throws: Gate.EntryError.closed) { try thread.join() } }
    #expect(door.snapshot == .init(isClosing: true, hasWriter: true, references: 2))
    #expect(!door.leave(.writing))
    #expect(door.leave(.using))
  }

  @Test("LEAVE: of the operations that leave a closing gate, only the last one has to release the descriptor")
  func leaving() throws {
    let door = SharedGate()
    for _ in 0..<3 { try door.enterPassing() }
    #expect(door.beginClosing())
    #expect(!door.leave(.using))
    #expect(!door.leave(.using))
    #expect(!door.leave(.using))
    #expect(door.leave(.using))
  }

  @Test("QUIESCENT: the closer sleeps until it holds the only reference")
  func quiescence() throws {
    let door = SharedGate()
    try door.enterReading()
    let closer = onThread { door.close() }
    try eventually("closing") { door.isClosing }
    try steadily(for: .milliseconds(50), "finished", equals: false) { closer.isFinished }
    #expect(!door.leave(.reading))
    #expect(try closer.join())
  }

  @Test(
    "SECOND_CLOSE, RELEASED: of eight threads that close at once one does the work, and all return after it",
    .faults(5))
  func manyClosers() throws {
    for _ in 0..<200 {
      let door = SharedGate()
      let isReleased = Tally()
      let threads = (0..<8).map { _ in
        onThread { () -> (Bool, Int) in
          let isFirst = door.close { isReleased.add() }
          return (isFirst, isReleased.value)
        }
      }
      let results = try threads.map { try $0.join() }
      #expect(results.count { $0.0 } == 1)
      #expect(results.allSatisfy { $0.1 == 1 })
    }
  }

  @Test("closing during handovers, reads and other operations: none is inside when the descriptor is released")
  func closingInTheMiddle() throws {
    for round in 0..<150 {
      let door = SharedGate()
      let inside = Tally()
      let isReady = Tally()
      let threads = (0..<6).map { number in
        onThread {
          isReady.add()
          var random = SeededRandom(seed: UInt64(round * 10 + number))
          while true {
            let entry: Gate.Entry = [.writing, .writing, .writing, .reading, .using, .using][number]
            do throws(Gate.EntryError) {
              switch entry {
              case .writing: try door.enterWriting(within: .microseconds(Int(random.next() % 500)))
              case .reading: try door.enterReading()
              case .using: try door.enterPassing()
              }
            } catch {
              if error == .closed { return }
              continue
            }
            inside.add()
            inside.add(-1)
            // An operation that is inside while the closer waits is never the last to leave: the closer is.
            guard !door.leave(entry) else { throw RigError("leave asked an operation to release an open gate") }
          }
        }
      }
      try eventually("threads", equals: 6) { isReady.value }
      let left = Tally()
      door.close { left.add(inside.value) }
      #expect(left.value == 0)
      for thread in threads { try thread.join() }
      #expect(door.snapshot == .init(isClosing: true))
    }
  }

  @Test("1,048,575 operations at once may enter; one more is refused, with every kind of access", .faults(17))
  func tooMany() throws {
    let (ours, theirs) = try Medium.pair.open()
    let core = ours.reference.core
    for _ in 0..<1_048_575 { try core.gate.enterPassing() }
    #expect(throws: SocketError.self) {
      var timeout = LazyDeadline(.zero)
      var progress = Stateless()
      _ = try core.perform(.reading, .receive, &timeout, &progress) { _, _ throws(SocketError) in .done(()) }
    }
    let error = #expect(throws: SocketError.self) { try ours.send("x") }
    #expect(error?.cause == .tooManyOperations)
    #expect(throws: SocketError.self) { _ = try ours.bytesUnacknowledged() }
    // An operation that leaves makes room for another.
    core.leave(.using)
    try ours.send("x")
    #expect(try theirs.receive(upTo: 10) == Array("x".utf8))
    for _ in 0..<1_048_574 { core.leave(.using) }
    #expect(ours.abort().ending == .aborted)
    theirs.abort()
  }
}

/// A log of events, in order.
final class Log: Sendable {
  private let list = Mutex<[Int]>([])
  func add(_ entry: Int) { list.withLock { $0.append(entry) } }
  var entries: [Int] { list.withLock { $0 } }
}
