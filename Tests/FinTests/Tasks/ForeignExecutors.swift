import CFin
import Glibc
import Peers
import Synchronization
import SystemPackage
import Testing

@testable import Fin

@Suite("Executors of other people: what wakes a task holds no lock, whatever the executor does in enqueue")
struct ForeignExecutors {
  @Test("every verb works, whoever runs the jobs and when", arguments: Foreign.allCases)
  func verbs(_ foreign: Foreign) throws {
    try errand(on: foreign.make()) { try await everyVerb { true } }.join(within: .seconds(30))
  }

  @Test(
    "a close wakes a receive, a send that waits for room and three in the queue behind it, and each hears .closed",
    arguments: Foreign.allCases, [true, false])
  func closing(_ foreign: Foreign, inTask: Bool) throws {
    let executor = foreign.make()
    let (ours, theirs) = try Medium.tcp.open()
    try ours.fill()
    let receiving = errand(on: executor) { await heard { _ = try await ours.receive(upTo: 1) } }
    try ours.awaitParked()
    let sending = errand(on: executor) { await heard { try await ours.send([UInt8](repeating: 1, count: 1 << 20)) } }
    try ours.awaitParked(2)
    let queued = (1...3).map { _ in errand(on: executor) { await heard { try await ours.send("x") } } }
    try eventually("queued writers", equals: 3) { ours.gate.queuedWriters }
    if inTask {
      let closing = errand(on: executor) { await ours.close(.abort).ending }
      #expect(try closing.join() == .aborted)
    } else {
      #expect(try onThread { ours.close(.abort).ending }.join() == .aborted)
    }
    for task in [receiving, sending] + queued { #expect(try task.join() == .closed) }
    theirs.abort()
  }

  @Test("writers that wait in a queue are let in one after the other, and each sends", arguments: Foreign.allCases)
  func queue(_ foreign: Foreign) throws {
    let executor = foreign.make()
    let (ours, theirs) = try Medium.pair.open()
    let full = try ours.fill()
    let first = onThread { try ours.send([7, 7]) }
    try eventually("a writer that waits") { ours.gate.hasWriter }
    // As many as would not fit into a thread's stack, if each were let in inside of the one before it.
    let count = 3000
    let writers = (0..<count).map { number in
      errand(on: executor) { try await ours.send([UInt8(truncatingIfNeeded: number)]) }
    }
    try eventually(within: .seconds(30), "queued writers", equals: count) { ours.gate.queuedWriters }
    var bytes: [UInt8] = []
    while bytes.count < full + 2 + count {
      guard let more = try theirs.receive(upTo: 1 << 16, within: .seconds(20)) else { break }
      bytes += more
    }
    try first.join()
    for writer in writers { try writer.join() }
    #expect(Array(bytes[full...]) == [7, 7] + (0..<count).map { UInt8(truncatingIfNeeded: $0) })
    #expect(ours.gate == .init(parked: ours.gate.parked))
    ours.abort()
    theirs.abort()
  }

  @Test("what never waits yields on a loop, and nobody is lost", arguments: Foreign.allCases)
  func yielding(_ foreign: Foreign) throws {
    let executor = foreign.make()
    let reactor = try Reactor(loops: 1)
    let (ours, theirs) = try Medium.pair.open()
    // Begun on a loop, so that the socket is waited for there: an executor that runs jobs inside of `enqueue` then goes on in the
    // loop's thread.
    let total = 20_000
    let receiving = errand(on: reactor.executor) {
      _ = try await ours.receive(upTo: 1)
      return try await withTaskExecutorPreference(executor) {
        var count = 0
        while count < total, try await ours.receive(exactly: 1) != nil { count += 1 }
        return count
      }
    }
    try ours.awaitParked()
    let sending = onThread { try theirs.send([UInt8](repeating: 1, count: total + 1), within: .seconds(20)) }
    #expect(try receiving.join(within: .seconds(30)) == total)
    try sending.join()
    ours.abort()
    theirs.abort()
    reactor.stop()
  }

  @Test("several tasks wait at one datagram socket: each datagram goes to one of them", arguments: Foreign.allCases)
  func together(_ foreign: Foreign) throws {
    let executor = foreign.make()
    let reactor = try Reactor(loops: 1)
    let pair = try DatagramSocket.pair()
    let (ours, theirs) = (pair.first.share(), pair.second.share())
    let count = 500
    let waiting = (0..<4).map { _ in
      // Begun on a loop, in whose thread an executor that runs jobs at once then goes on.
      errand(on: reactor.executor) {
        try await withTaskExecutorPreference(executor) {
          var mine = 0
          while true {
            do throws(SocketError) { _ = try await ours.receive() } catch {
              if error.cause == .closed { return mine }
              throw error
            }
            mine += 1
          }
        }
      }
    }
    try ours.awaitParked(4)
    for number in 0..<count { try theirs.send([UInt8(truncatingIfNeeded: number)]) }
    try eventually(within: .seconds(20), "datagrams that nobody took", equals: 0) {
      try Int(Syscalls.queue(theirs.withDescriptor { $0.rawValue }, CInt(FIN_SIOCOUTQ)))
    }
    ours.close()
    #expect(try waiting.reduce(0) { try $0 + $1.join() } == count)
    theirs.close()
    reactor.stop()
  }

  @Test(
    "a cancellation, a deadline, a stop of the listener and of the reactor each end the wait they are for",
    arguments: Foreign.allCases)
  func endings(_ foreign: Foreign) throws {
    let executor = foreign.make()
    let (ours, theirs) = try Medium.tcp.open()
    let cancelled = errand(on: executor) { await heard { _ = try await ours.receive(upTo: 1) } }
    try ours.awaitParked()
    cancelled.cancel()
    #expect(try cancelled.join() == .cancelled)
    let late = errand(on: executor) { await heard { _ = try await ours.receive(upTo: 1, within: .milliseconds(5)) } }
    #expect(try late.join() == .timedOut)

    let keeper = try openListener()
    let accepting = errand(on: executor) { await heard { try await keeper.listener.accept().abort() } }
    try keeper.listener.awaitParked()
    keeper.listener.stop(within: .zero)
    #expect(try accepting.join() == .closed)

    // A socket waits at the loop of the task that waits for it first.
    let reactor = try Reactor(loops: 1)
    let (near, far) = try Medium.pair.open()
    let stopped = errand(on: reactor.executor) { () async throws -> SocketError.Cause? in
      await withTaskExecutorPreference(executor) { await heard { _ = try await near.receive(upTo: 1) } }
    }
    try near.awaitParked()
    if try near.reference.core.seat(.task).loop === reactor.next() {
      reactor.stop()
      #expect(try stopped.join() == .reactorStopped)
    } else {
      near.abort()
      #expect(try stopped.join() == .closed)
      reactor.stop()
    }
    for end in [ours, theirs, near, far] { end.abort() }
  }

  @Test("a close in a task waits until those inside are out, and an abort cuts it short", arguments: Foreign.allCases)
  func cutShort(_ foreign: Foreign) throws {
    let executor = foreign.make()
    let (ours, theirs) = try Medium.tcp.open()
    try ours.fill()
    // The peer does not read: nothing confirms this close.
    let closing = errand(on: executor) { await ours.close(.confirmed(within: .seconds(60))).ending }
    try eventually("the close that waits") { ours.phase == .confirming }
    try ours.awaitParked()
    let second = errand(on: executor) { await ours.close().ending }
    let report = onThread { ours.abort().ending }
    #expect(try closing.join() == .aborted)
    #expect(try second.join() == .aborted)
    #expect(try report.join() == .aborted)
    theirs.abort()
  }

  @Test("a serve whose handlers run elsewhere is paused, resumed and stopped", arguments: Foreign.allCases)
  func serving(_ foreign: Foreign) throws {
    let executor = foreign.make()
    let keeper = try openListener()
    let serving = errand(on: executor) {
      await keeper.listener.serve { connection in
        try await withTaskExecutorPreference(executor) {
          while let line = try await connection.readLine() { try await connection.send("\(line)!\n") }
        }
      }
    }
    func ask() throws {
      let client = try Connection.connect(to: keeper.listener.address)
      try client.send("a\n")
      #expect(try client.readLine(within: .seconds(20)) == "a!")
      client.close()
    }
    try ask()
    try keeper.listener.handle.pause()
    try keeper.listener.handle.resume()
    try ask()
    keeper.listener.stop(within: .seconds(20))
    #expect(try serving.join(within: .seconds(30)).served == 2)
  }

  // MARK: A lock that is held around a call

  /// Waits until a job waits for the executor's lock, which the caller holds, and then calls `body`.
  private func whileEnqueuing<R: Sendable>(
    _ executor: LockingExecutor, by wake: @escaping @Sendable () throws -> Void,
    _ body: @escaping @Sendable () throws -> R
  ) throws -> R {
    let waking = Kept<Joining<Void>>()
    // On a thread of its own, for a deadline: a call that waits for the waking thread would never end.
    // Who is to be woken has suspended, and is not only about to: one that is resumed before that goes on without a job.
    try errand(on: executor) {}.join()
    let calling = onThread { () throws -> R in
      try executor.withLock {
        waking.value = onThread { try wake() }
        try eventually("a job that waits for the lock") { executor.isAwaited }
        return try body()
      }
    }
    let result = try calling.join()
    try waking.value?.join()
    return result
  }

  @Test("while a turn to send is being granted, its executor held up, others enter and leave the queue")
  func lockAroundSend() throws {
    let executor = LockingExecutor()
    let (ours, theirs) = try Medium.pair.open()
    let full = try ours.fill()
    let first = onThread { try ours.send([7]) }
    try eventually("a writer that waits") { ours.gate.hasWriter }
    let second = errand(on: executor) { try await ours.send([8]) }
    try eventually("a queued writer", equals: 1) { ours.gate.queuedWriters }
    // What makes room lets the first go on, and that one hands its turn over.
    let cause = try whileEnqueuing(executor) {
      _ = try theirs.receive(exactly: full)
      try first.join()
    } _: {
      #expect(throws: SocketError.self) { try ours.send([9], within: .zero) }?.cause
    }
    #expect(cause == .timedOut)
    try second.join()
    #expect(try theirs.receive(exactly: 2) == [7, 8])
    ours.abort()
    theirs.abort()
  }

  @Test("while a pause or a stop wakes, its executor held up, the listener can be asked, stopped and stopped again")
  func lockAroundStop() throws {
    let executor = LockingExecutor()
    let keeper = try openListener()
    let handle = keeper.listener.handle
    let accepting = errand(on: executor) { await heard { try await keeper.listener.accept().abort() } }
    try keeper.listener.awaitParked()
    let phase = try whileEnqueuing(executor) {
      handle.stop(within: .seconds(60))
    } _: {
      handle.stop(within: .seconds(30))
      return handle.phase
    }
    #expect(phase == .stopping)
    #expect(try accepting.join() == .closed)
  }

  @Test("while an abort cuts a close short, its executor held up, another abort and a cancellation go through")
  func lockAroundAbort() throws {
    let executor = LockingExecutor()
    let (ours, theirs) = try Medium.tcp.open()
    try ours.fill()
    let closing = errand(on: executor) { await ours.close(.confirmed(within: .seconds(60))).ending }
    try eventually("the close that waits") { ours.phase == .confirming }
    try ours.awaitParked()
    let core = ours.reference.core
    let isCut = try whileEnqueuing(executor) {
      #expect(ours.abort().ending == .aborted)
    } _: {
      // What an abort and the cancellation of a second close do first.
      core.closing.withLock { $0.isCut }
    }
    #expect(isCut)
    #expect(try closing.join() == .aborted)
    theirs.abort()
  }
}

/// What a body ends with.
private func heard(_ body: () async throws -> Void) async -> SocketError.Cause? {
  do { try await body() } catch let error as SocketError { return error.cause } catch { return .invalid("\(error)") }
  return nil
}
