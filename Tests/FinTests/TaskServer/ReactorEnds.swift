import Glibc
import Peers
import Synchronization
import SystemPackage
import TestTraits
import Testing

@_spi(Fin) @testable import Fin

@Suite("Promise 4: stopping a reactor wakes everyone", .onThreads)
struct ReactorEnds {
  @Test(
    "a stop wakes every kind of wait with .reactorStopped, and later waits throw it too")
  func wakes() throws {
    let other = try Reactor(loops: 1)
    let ledger = Ledger()
    try Ledger.$current.withValue(ledger) {
      let reactor = try Reactor(loops: 2)
      let receiving = try Medium.tcp.open()
      let sending = try Medium.tcp.open()
      try sending.0.fill()
      let listener = Keeper(try Listener.bind(.loopback(port: 0)))
      let full = try Listener.bind(.loopback(port: 0), backlog: 0)
      let queued = try PlainSocket.connected(to: "127.0.0.1", port: full.localAddress.port!)
      let target = full.localAddress
      func heard(_ body: @escaping @Sendable () async throws(SocketError) -> Void) -> Working<SocketError.Cause?> {
        Working(on: reactor.executor) { await cause(body) }
      }
      let waiting = [
        heard { () async throws(SocketError) in _ = try await receiving.0.receive(upTo: 1, within: .seconds(60)) },
        heard { () async throws(SocketError) in
          try await sending.0.send(Pattern.bytes(from: 0, count: 1 << 20), within: .seconds(60))
        },
        // This send is queued behind the one that waits.
        heard { () async throws(SocketError) in try await sending.0.send("x", within: .seconds(60)) },
        heard { () async throws(SocketError) in try await listener.listener.accept(within: .seconds(60)).abort() },
        heard { () async throws(SocketError) in try await Connection.connect(to: target, within: .seconds(60)).abort()
        },
      ]
      try eventually(within: .seconds(20), "waiters") {
        sending.0.gate.queuedWriters == 1 && ledger.openSockets().contains { $0.phase == .connecting }
          && [receiving.0.reference.core, sending.0.reference.core, listener.listener.reference.core]
            .allSatisfy { $0.lazyRegistration.load() != nil }
      }
      reactor.stop()
      reactor.stop()
      for task in waiting { #expect(try task.join() == .reactorStopped) }
      // A socket stays with its reactor, whichever task uses it.
      let later = Working(on: other.executor) {
        await cause { () async throws(SocketError) in _ = try await receiving.0.receive(upTo: 1, within: .seconds(60)) }
      }
      #expect(try later.join() == .reactorStopped)
      // Operations that need not wait still work.
      try receiving.1.send("here")
      let there = Working(on: other.executor) { try await receiving.0.receive(exactly: 4) }
      #expect(try there.join() == Array("here".utf8))
      let ending = Working(on: other.executor) {
        // The peer does not read, so the close cannot be confirmed without a wait.
        let confirmed = await sending.0.close(.confirmed(within: .seconds(60)))
        let aborted = await receiving.0.abort()
        return [confirmed.ending, aborted.ending]
      }
      #expect(try ending.join() == [.timedOut(.confirming), .aborted])
      #expect(throws: SocketError.self) { _ = try receiving.1.receive(upTo: 1) }
      receiving.1.abort()
      sending.1.abort()
      _ = listener.listener.handle.core.closeListener()
      full.close()
      withExtendedLifetime(queued) {}
    }
    #expect(ledger.counts.open == 0 && ledger.counts.leaked == 0, "\(ledger.counts)")
  }

  @Test(
    "tasks that prefer the executor of a stopped reactor go on in Swift's own pool, and can wait there")
  func goesOn() async {
    await #expect(processExitsWith: .success) {
      let reactor = try Reactor(loops: 1)
      let task = Working(on: reactor.executor) {
        check(threadName() == "fin-loop-0", "begun on \(threadName())")
        reactor.stop()
        // The loop's thread ends when it has nothing left to do.
        while threadName() == "fin-loop-0" { try await Task.sleep(for: .milliseconds(1)) }
        let names = try threadNames()
        check(!names.contains("fin-loop-1"), "\(names)")
        let pair = try Connection.pair()
        let (near, far) = (pair.first.share(), pair.second.share())
        // A child task inherits its parent's executor preference.
        async let answer = far.receive(upTo: 1, within: .seconds(20))
        async let nobody = cause { () async throws(SocketError) in
          _ = try await near.receive(upTo: 1, within: .milliseconds(20))
        }
        let heard = await nobody
        check(heard == .timedOut, "\(String(describing: heard))")
        try await near.send([7])
        let bytes = try await answer
        check(bytes == [7], "\(String(describing: bytes))")
        check(!threadName().hasPrefix("fin-loop"), "ended on \(threadName())")
        let reports = [await near.close(), await far.close()]
        check(reports.allSatisfy { $0.ending == .peerFinished || $0.ending == .acknowledged }, "\(reports)")
      }
      try synchronously { try task.join(within: .seconds(60)) }
    }
  }

  @Test("a reactor whose last reference is dropped stops: its executor and registered sockets do not keep it")
  func dropped() throws {
    let (ours, theirs) = try Medium.pair.open()
    func begin() throws -> (Working<SocketError.Cause?>, any TaskExecutor) {
      let reactor = try Reactor(loops: 1)
      let executor = reactor.executor
      let waiting = Working(on: executor) {
        await cause { () async throws(SocketError) in _ = try await ours.receive(upTo: 1, within: .seconds(60)) }
      }
      try ours.awaitParked()
      withExtendedLifetime(reactor) {}
      return (waiting, executor)
    }
    let (waiting, executor) = try begin()
    #expect(try waiting.join() == .reactorStopped)
    withExtendedLifetime(executor) {}
    // Operations that need not wait still work.
    try theirs.send("x")
    #expect(try errand { try await ours.receive(upTo: 1) }.join() == Array("x".utf8))
    let later = errand {
      await cause { () async throws(SocketError) in _ = try await ours.receive(upTo: 1, within: .seconds(60)) }
    }
    #expect(try later.join() == .reactorStopped)
    ours.abort()
    theirs.abort()
  }

  @Test("a reactor that is stopped or dropped releases its threads and its descriptors")
  func givesBack() async {
    await #expect(processExitsWith: .success) { try synchronously { try ReactorEnds.countStopped() } }
  }

  @Test("creating a reactor without free descriptors throws, and leaves neither thread nor descriptor")
  func withoutDescriptors() async {
    await #expect(processExitsWith: .success) { try DescriptorTable.apart { try ReactorEnds.makeWithout($0) } }
  }

  @Test("the shared reactor, after a failure for lack of descriptors, is created at its next use")
  func sharedLater() async {
    await #expect(processExitsWith: .success) { try DescriptorTable.apart { try ReactorEnds.shareLater($0) } }
  }

  @Test("a job enqueued while the reactor is being stopped runs all the same: on the loop, or in the pool")
  func lastJob() async {
    await #expect(processExitsWith: .success) {
      for round in 0..<3000 {
        let reactor = try Reactor(loops: 1)
        let executor = reactor.executor
        let jobs = (0..<4).map { _ in
          onThread { Working(on: executor) {} }
        }
        reactor.stop()
        for job in jobs { try synchronously { try job.join().join(within: .seconds(round == 0 ? 60 : 20)) } }
      }
    }
  }

  @Test(
    "two tasks that wait for a socket for the first time together share one loop, which watches it once")
  func seatOnce() async {
    await #expect(processExitsWith: .success) {
      try synchronously {
        let (near, far) = try Medium.pair.open()
        let core = near.reference.core
        let second = Kept<Joining<Token>>()
        let script = Script(
          .first(
            .epollControl,
            .before {
              // Advances the reactor so that the next caller gets the same loop. On a machine with one processor it
              // does so anyway.
              for _ in 1..<Reactor.processors { _ = try? Reactor.shared.next() }
              let thread = onThread { try core.registration(.suspending).token }
              // Runs concurrently with this call, or after it.
              try? steadily(for: .milliseconds(50), "waits", equals: false) { thread.isFinished }
              second.value = thread
            }))
        _ = try Reactor.shared
        let first = try Seam.$script.withValue(script) { try core.registration(.suspending).token }
        let other = try second.value?.join()
        check(first == other, "\(first), \(String(describing: other))")
        near.abort()
        far.abort()
      }
    }
  }

  /// The open descriptors of this process, except sockets and pooled descriptors.
  private static func open() throws -> [OpenDescriptor] {
    Waker.pool.releaseIdle()
    EdgeWatch.pool.releaseIdle()
    return try KernelView.lastingDescriptors()
  }

  private static func loops() throws -> Int { try threadNames().count { $0.hasPrefix("fin-loop-") } }

  private static func countStopped() throws {
    _ = try Medium.tcp.open().0.abort()
    let before = try open()
    for isDropped in [false, true] {
      var reactor: Reactor? = try Reactor(loops: 3)
      let executor = reactor!.executor
      try eventually(within: .seconds(20), "threads", equals: 3) { try loops() }
      let count = try open().count
      check(count == before.count + 6, "\(before.count) became \(count)")
      do {
        // The reactor has been used: one connection has exchanged data and closed, another waits.
        let (near, far) = try Medium.tcp.open()
        let exchange = Working(on: executor) {
          async let got = far.receive(upTo: 1)
          try await near.send([7])
          _ = try await got
          await near.close()
          await far.close()
        }
        try exchange.join()
        let (quiet, other) = try Medium.tcp.open()
        let waiting = Working(on: executor) {
          await cause { () async throws(SocketError) in _ = try await quiet.receive(upTo: 1) }
        }
        try eventually(within: .seconds(20), "who waits") { quiet.reference.core.lazyRegistration.load() != nil }
        if isDropped { reactor = nil } else { reactor?.stop() }
        let heard = try waiting.join()
        check(heard == .reactorStopped, "\(String(describing: heard))")
        try eventually(within: .seconds(20), "threads", equals: 0) { try loops() }
        quiet.abort()
        other.abort()
      }
      reactor = nil
      _ = consume executor
      try eventually(within: .seconds(20), "descriptors", equals: before) { try open() }
    }
  }

  private static func makeWithout(_ table: DescriptorTable) throws {
    _ = try Medium.tcp.open().0.abort()
    let before = try open()
    for left in 0..<6 {
      let failure: SocketError? = try table.leaving(left) {
        do throws(SocketError) {
          _ = try Reactor(loops: 3)
          return nil
        } catch { return error }
      }
      check(failure?.cause == .system(.tooManyOpenFiles), "with \(left) left: \(String(describing: failure))")
      try eventually(within: .seconds(20), "threads", equals: 0) { try loops() }
      try eventually(within: .seconds(20), "descriptors", equals: before) { try open() }
    }
    try table.leaving(6) { _ = try Reactor(loops: 3) }
    try eventually(within: .seconds(20), "descriptors", equals: before) { try open() }
  }

  private static func shareLater(_ table: DescriptorTable) throws {
    // Not in Swift's pool, whose threads use another descriptor table.
    let elsewhere = TestThreads(count: 1).one()
    let (near, far) = try Medium.pair.open()
    let refused = Kept<SocketError.Cause>()
    try table.leaving(0) {
      for _ in 0..<3 {
        do throws(SocketError) { _ = try Reactor.shared } catch { refused.value = error.cause }
        check(refused.value == .system(.tooManyOpenFiles), "\(String(describing: refused.value))")
      }
      // An operation that has to wait fails with the error; one that need not wait succeeds.
      let waiting = Working(on: elsewhere) {
        await cause { () async throws(SocketError) in _ = try await near.receive(upTo: 1) }
      }
      let heard = try waiting.join()
      check(heard == .system(.tooManyOpenFiles), "\(String(describing: heard))")
      let sending = Working(on: elsewhere) {
        try await far.send([7])
        return try await near.receive(upTo: 1)
      }
      let bytes = try sending.join()
      check(bytes == [7], "\(String(describing: bytes))")
    }
    let waiting = Working(on: elsewhere) {
      await cause { () async throws(SocketError) in _ = try await near.receive(upTo: 1, within: .milliseconds(20)) }
    }
    let heard = try waiting.join()
    check(heard == .timedOut, "\(String(describing: heard))")
    let made = try loops()
    check(made == Reactor.processors, "\(made) loops")
    near.abort()
    far.abort()
  }
}
