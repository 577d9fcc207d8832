import FinBase
import Glibc
import Peers
import Synchronization
import SystemPackage
import TestTraits
import Testing

@testable import Fin

/// A door that threads wait at until the test opens it.
final class Door: Sendable {
  private let condition = Mutex(false)
  let arrived = Tally()

  /// Blocks the thread until the door is open.
  func pass() throws {
    arrived.add()
    try eventually("the door is open") { condition.withLock { $0 } }
  }

  func open() { condition.withLock { $0 = true } }
}

/// A default actor, as a program writes one.
private actor Clerk {
  func place() -> String { threadName() }
}

@concurrent private func concurrently() async -> String { threadName() }

@Suite("Work that blocks has threads of its own, and no event loop waits for it")
struct BlockingWork {
  @Test("an actor and a @concurrent function run on the task's loop; Task { } and a detached task do not", .onThreads)
  func whereCodeRuns() throws {
    let reactor = try Reactor(loops: 1)
    let seen = try errand(on: reactor.executor) {
      let clerk = Clerk()
      async let child = concurrently()
      let grouped = await withTaskGroup(of: String.self) { group in
        group.addTask { threadName() }
        return await group.next() ?? "nowhere"
      }
      #expect(await child == "fin-loop-0" && grouped == "fin-loop-0", "child tasks ran on \(grouped)")
      return [
        threadName(), await clerk.place(), await concurrently(), await Task { threadName() }.value,
        await Task.detached { threadName() }.value, try await Reactor.blocking { threadName() },
        await withTaskExecutorPreference(globalConcurrentExecutor) { await concurrently() }, threadName(),
      ]
    }.join()
    #expect(seen[0...2].allSatisfy { $0 == "fin-loop-0" } && seen[7] == "fin-loop-0", "\(seen)")
    #expect(!seen[3...6].contains("fin-loop-0") && seen[5] == "fin-blocking", "\(seen)")
    reactor.stop()
  }

  @Test("while work blocks, another client of the same loop is served", .onThreads)
  func loopIsFree() throws {
    let reactor = try Reactor(loops: 1)
    let door = Door()
    let blocked = errand(on: reactor.executor) { try await Reactor.blocking { try door.pass() } }
    try eventually("work in its thread") { door.arrived.value == 1 }
    try errand(on: reactor.executor) {
      let pair = try Connection.pair()
      for _ in 0..<10 {
        try await pair.first.send("ping\n")
        #expect(try await pair.second.receiveLine(within: .seconds(20)) == "ping")
      }
      pair.first.abort()
      pair.second.abort()
    }.join()
    #expect(!blocked.isFinished)
    door.open()
    try blocked.join()
    reactor.stop()
  }

  @Test("no more work runs at once than there are threads; the rest waits its turn and all of it is done", .onThreads)
  func limit() throws {
    let threads = BlockingThreads(threads: 3)
    let (active, done) = (Tally(), Tally())
    let tasks = (0..<200).map { _ in
      errand {
        try await threads.run {
          active.add()
          sched_yield()
          active.add(-1)
          done.add()
        }
      }
    }
    for task in tasks { try task.join(within: .seconds(30)) }
    #expect(done.value == 200 && active.most <= 3 && threads.waitingCount == 0, "\(active.most)")
  }

  @Test("work begins in the order in which it came", .onThreads)
  func order() throws {
    let threads = BlockingThreads(threads: 1)
    let door = Door()
    let first = errand { try await threads.run { try door.pass() } }
    try eventually("the only thread is taken") { door.arrived.value == 1 }
    let begun = Mutex<[Int]>([])
    var later: [TestTask<Void>] = []
    for number in 0..<5 {
      later.append(errand { try await threads.run { begun.withLock { $0.append(number) } } })
      try eventually("queued work", equals: number + 1) { threads.waitingCount }
    }
    door.open()
    try first.join()
    for task in later { try task.join() }
    #expect(begun.withLock { $0 } == [0, 1, 2, 3, 4])
  }

  @Test("a cancelled task leaves the queue, and its work never begins", .onThreads)
  func cancelledInQueue() throws {
    let threads = BlockingThreads(threads: 1)
    let (door, begun) = (Door(), Flag())
    let first = errand { try await threads.run { try door.pass() } }
    try eventually("the only thread is taken") { door.arrived.value == 1 }
    let second = errand { try await threads.run { begun.set() } }
    try eventually("queued work", equals: 1) { threads.waitingCount }
    second.cancel()
    #expect(try second.refusal().cause == .cancelled)
    #expect(threads.waitingCount == 0)
    let cancelledBefore = errand {
      cancelThisTask()
      try await threads.run { begun.set() }
    }
    #expect(try cancelledBefore.refusal().cause == .cancelled)
    door.open()
    try first.join()
    #expect(!begun.isSet)
  }

  @Test("work that has begun is awaited by a cancelled task, and its result is returned", .onThreads)
  func cancelledAtWork() throws {
    let door = Door()
    let task = errand {
      try await Reactor.blocking {
        try door.pass()
        return 42
      }
    }
    try eventually("work in its thread") { door.arrived.value == 1 }
    task.cancel()
    try steadily(for: .milliseconds(20), "the end of the task", equals: false) { task.isFinished }
    door.open()
    #expect(try task.join() == 42)
  }

  @Test("when no thread is free in time the work is taken back; beyond the queue's limit it is refused", .onThreads)
  func limits() throws {
    let threads = BlockingThreads(threads: 1, queue: 1)
    let (door, begun) = (Door(), Flag())
    let first = errand { try await threads.run { try door.pass() } }
    try eventually("the only thread is taken") { door.arrived.value == 1 }
    let late = errand { try await threads.run(within: .milliseconds(1)) { begun.set() } }
    #expect(try late.refusal().cause == .timedOut)
    let second = errand { try await threads.run {} }
    try eventually("queued work", equals: 1) { threads.waitingCount }
    let third = errand { try await threads.run { begun.set() } }
    #expect(try third.refusal().cause == .tooManyOperations)
    door.open()
    try first.join()
    try second.join()
    #expect(!begun.isSet)
  }

  private struct OddError: Error, Equatable { let number: Int }

  @Test("the body's error is rethrown as it is; Fin's errors keep their type", .onThreads)
  func errors() throws {
    let odd = errand { try await Reactor.blocking { throw OddError(number: 7) } }
    #expect(throws: OddError(number: 7)) { try odd.join() }
    let typed = errand { () async -> SocketError.Cause? in
      do throws(SocketError) {
        let number = try await Reactor.blocking { 1 }
        try await Reactor.blocking { () throws(SocketError) in throw SocketError(.send, .invalid("\(number)")) }
        return nil
      } catch { return error.cause }
    }
    #expect(try typed.join() == .invalid("1"))
  }

  @Test("when no thread can be started, every piece of work that waits is refused with the kernel's error", .onThreads)
  func noThread() throws {
    let threads = BlockingThreads(threads: 4, queue: 9, rest: .seconds(1)) { _ in EAGAIN }
    for _ in 0..<3 {
      let task = errand { try await threads.run {} }
      #expect(try task.refusal().cause == .system(.resourceTemporarilyUnavailable))
    }
    #expect(threads.threadCount == 0 && threads.waitingCount == 0)
  }

  @Test("when a second thread cannot be started, the first one does all the work", .onThreads)
  func oneThread() throws {
    let started = Tally()
    let threads = BlockingThreads(threads: 4, queue: 9, rest: .seconds(10)) {
      started.add() == 1 ? DetachedThread.start($0) : EAGAIN
    }
    let door = Door()
    let first = errand { try await threads.run { try door.pass() } }
    try eventually("work in its thread") { door.arrived.value == 1 }
    let second = errand { try await threads.run { threadName() } }
    try eventually("queued work", equals: 1) { threads.waitingCount }
    door.open()
    try first.join()
    #expect(try second.join() == "fin-blocking")
  }

  @Test("a thread without work ends after its rest, and the next work starts another", .onThreads)
  func threadsEnd() throws {
    let threads = BlockingThreads(threads: 2, queue: 9, rest: .milliseconds(1)) { DetachedThread.start($0) }
    for _ in 0..<3 {
      let task = errand { try await threads.run { threadName() } }
      #expect(try task.join() == "fin-blocking")
      try eventually("threads", equals: 0) { threads.threadCount }
    }
  }

  @Test("a socket that the body opens belongs to the ledger of the task", .onThreads)
  func ledger() throws {
    let ledger = Ledger()
    let task = errand {
      try await Ledger.$current.withValue(ledger) {
        try await Reactor.blocking { () throws(SocketError) in
          let pair = try Connection.pair()
          pair.first.abort()
          pair.second.abort()
        }
      }
    }
    try task.join()
    #expect(ledger.counts.opened == 2)
  }

  @Test("a reactor that stops ends the wait of queued work, and not the wait for work that has begun", .onThreads)
  func stopped() throws {
    let reactor = try Reactor(loops: 1)
    let threads = BlockingThreads(threads: 1)
    let door = Door()
    let first = errand(on: reactor.executor) {
      try await threads.run {
        try door.pass()
        return 1
      }
    }
    try eventually("work in its thread") { door.arrived.value == 1 }
    let second = errand(on: reactor.executor) { try await threads.run { 2 } }
    try eventually("queued work", equals: 1) { threads.waitingCount }
    reactor.stop()
    #expect(try second.refusal().cause == .reactorStopped)
    door.open()
    #expect(try first.join() == 1)
  }
}
