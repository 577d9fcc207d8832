import CFin
import Glibc
import Peers
import Synchronization
import SystemPackage
import TestTraits
import Testing

@_spi(Fin) @testable import Fin

@Suite(
  "A program's own executors: a task is woken without a lock held, whatever the executor does in enqueue", .onThreads)
struct ForeignExecutors {
  @Test("every verb works on each kind of executor that a program may bring", arguments: Foreign.allCases)
  func verbs(_ foreign: Foreign) throws {
    try errand(on: foreign.make()) { try await everyVerb { true } }.join(within: .seconds(30))
  }

  @Test(
    "a close wakes a receive, a send that waits for room and three writers behind it, and each gets .closed",
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

  @Test("queued writers enter one after the other, and each sends", arguments: Foreign.allCases)
  func queue(_ foreign: Foreign) throws {
    let executor = foreign.make()
    let (ours, theirs) = try Medium.pair.open()
    let full = try ours.fill()
    let first = onThread { try ours.send([7, 7]) }
    try eventually("a writer that waits") { ours.gate.hasWriter }
    // Enough to overflow a thread's stack if each entered inside the handover of the one before it.
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

  @Test("a receive that never waits yields on a loop, and loses no byte", arguments: Foreign.allCases)
  func yielding(_ foreign: Foreign) throws {
    let executor = foreign.make()
    let reactor = try Reactor(loops: 1)
    let (ours, theirs) = try Medium.pair.open()
    // Starts on a loop, so that the socket is registered there: an executor that runs jobs inside `enqueue` then
    // continues in the loop's thread.
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

  @Test("several tasks wait for one datagram socket: each datagram goes to one of them", arguments: Foreign.allCases)
  func together(_ foreign: Foreign) throws {
    let executor = foreign.make()
    let reactor = try Reactor(loops: 1)
    let pair = try DatagramSocket.pair()
    let (ours, theirs) = (pair.first.share(), pair.second.share())
    let count = 500
    let waiting = (0..<4).map { _ in
      // Starts on a loop, in whose thread an executor that runs jobs at once then continues.
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
    try eventually(within: .seconds(20), "unread datagrams", equals: 0) {
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

    // A socket is registered with the loop of the first task that waits for it.
    let reactor = try Reactor(loops: 1)
    let (near, far) = try Medium.pair.open()
    let stopped = errand(on: reactor.executor) { () async throws -> SocketError.Cause? in
      await withTaskExecutorPreference(executor) { await heard { _ = try await near.receive(upTo: 1) } }
    }
    try near.awaitParked()
    if try near.reference.core.registration(.suspending).loop === reactor.next() {
      reactor.stop()
      #expect(try stopped.join() == .reactorStopped)
    } else {
      near.abort()
      #expect(try stopped.join() == .closed)
      reactor.stop()
    }
    for end in [ours, theirs, near, far] { end.abort() }
  }

  @Test(
    "a close in a task waits until the operations inside have left, and an abort cuts it short",
    arguments: Foreign.allCases)
  func cutShort(_ foreign: Foreign) throws {
    let executor = foreign.make()
    let (ours, theirs) = try Medium.tcp.open()
    try ours.fill()
    // The peer does not read, so this close cannot be confirmed.
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

  @Test(
    "a server whose handlers run on the program's executor is paused, resumed and stopped", arguments: Foreign.allCases)
  func serving(_ foreign: Foreign) throws {
    let executor = foreign.make()
    let keeper = try openListener()
    let serving = errand(on: executor) {
      await keeper.listener.serve { connection in
        try await withTaskExecutorPreference(executor) {
          while let line = try await connection.receiveLine() { try await connection.send("\(line)!\n") }
        }
      }
    }
    func ask() throws {
      let client = try Connection.connect(to: keeper.listener.localAddress)
      try client.send("a\n")
      #expect(try client.receiveLine(within: .seconds(20)) == "a!")
      client.close()
    }
    try ask()
    try keeper.listener.handle.pause(resettingQueue: true)
    try keeper.listener.handle.resume()
    try ask()
    keeper.listener.stop(within: .seconds(20))
    #expect(try serving.join(within: .seconds(30)).served == 2)
  }

  // MARK: A lock held around a call

  /// Waits until a job waits for the executor's lock, which the caller holds, and then calls `body`.
  private func whileEnqueuing<R: Sendable>(
    _ executor: LockingExecutor, by wake: @escaping @Sendable () throws -> Void,
    _ body: @escaping @Sendable () throws -> R
  ) throws -> R {
    let waking = Kept<Joining<Void>>()
    // On a thread of its own, so that the wait has a deadline: a call that waits for the waking thread would never
    // return. The empty errand makes sure that the task to be woken has suspended: a task that is resumed just before
    // it suspends goes on without a job.
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

  @Test("while a writer's turn is being granted to a blocked executor, others enter and leave the queue")
  func lockAroundSend() throws {
    let executor = LockingExecutor()
    let (ours, theirs) = try Medium.pair.open()
    let full = try ours.fill()
    let first = onThread { try ours.send([7]) }
    try eventually("a writer that waits") { ours.gate.hasWriter }
    let second = errand(on: executor) { try await ours.send([8]) }
    try eventually("a queued writer", equals: 1) { ours.gate.queuedWriters }
    // Reading makes room: the first writer continues, and then hands its turn over.
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

  @Test("while a pause or a stop wakes a task on a blocked executor, the listener can be queried and stopped")
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

  @Test("while an abort wakes a closing task on a blocked executor, another abort and a cancellation go through")
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
      // The first step of an abort and of the cancellation of a second close.
      core.closing.withLock { $0.isCut }
    }
    #expect(isCut)
    #expect(try closing.join() == .aborted)
    theirs.abort()
  }
}

/// The cause of the error that `body` throws.
private func heard(_ body: () async throws -> Void) async -> SocketError.Cause? {
  do { try await body() } catch let error as SocketError { return error.cause } catch { return .invalid("\(error)") }
  return nil
}
