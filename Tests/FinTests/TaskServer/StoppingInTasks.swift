import Glibc
import Peers
import TestTraits
import Testing

@testable import Fin

@Suite("Promise 2: a server in tasks ends well: stop, drain, cancellation", .onThreads)
struct StoppingInTasks {
  @Test(
    "a stop of a server in tasks resets none of forty queued clients: all are served, then the port is free",
    .faults(40))
  func queued() throws {
    let door = Hold()
    let server = try ServingInTask(loops: 2, connections: 4) { connection in
      await door.pass()
      try await echoInTask(connection)
    }
    let visitors = try (0..<40).map { _ in try Visitor(server.port) }
    try eventually(within: .seconds(20), "handlers", equals: 4) { door.arrived.value }
    try eventually(within: .seconds(20), "queued clients", equals: 36) { try listeningQueue(server.port) }
    server.handle.stop(within: .seconds(30))
    #expect(server.handle.phase == .stopping)
    door.open()
    for visitor in visitors { #expect(try visitor.ask("x") == "x\n") }
    let report = try server.task.join(within: .seconds(30))
    #expect(report.endings == [.peerFinished: 40] && report.clientsReset == 0, "\(report)")
    #expect(try KernelView.tcp(localPort: server.port).allSatisfy { $0.state != .listen })
    #expect(throws: RigError("connect", code: ECONNREFUSED)) { _ = try Visitor(server.port) }
  }

  @Test("a listener stopped before serve in tasks: the queue is served, then serve returns", .faults(40))
  func beforeServing() throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let visitors = try (0..<5).map { _ in try Visitor(listener.localAddress.port!) }
    try eventually(within: .seconds(20), "queued clients", equals: 5) {
      try listeningQueue(listener.localAddress.port!)
    }
    listener.stop()
    listener.stop()
    let server = try ServingInTask(listener, echoInTask)
    for visitor in visitors { #expect(try visitor.ask("x") == "x\n") }
    let report = try server.task.join()
    #expect(report.endings == [.peerFinished: 5], "\(report)")
  }

  @Test("running handlers in tasks may finish within the drain's timeout", .faults(44))
  func drain() throws {
    let server = try ServingInTask(loops: 2, echoInTask)
    let visitor = try Visitor(server.port)
    try visitor.socket.send(Array("one\n".utf8))
    #expect(visitor.next == .success(4))
    server.handle.stop(within: .seconds(30))
    try steadily(for: .milliseconds(50), "returned", equals: false) { server.task.isFinished }
    #expect(try visitor.ask("two") == "two\n")
    let report = try server.task.join()
    #expect(report.endings == [.peerFinished: 1] && report.abortedAtStop == 0, "\(report)")
  }

  @Test(
    "a handler in a task that waits for its peer when the drain ends is cancelled, and its peer reads a reset",
    .faults(44, 45, 62))
  func overdue() throws {
    let heard = Kept<SocketError.Cause>()
    let isCancelled = Kept<Bool>()
    let begun = Tally()
    let server = try ServingInTask(loops: 2) { connection in
      begun.add()
      do throws(SocketError) { _ = try await connection.receiveLine() } catch {
        heard.value = error.cause
        isCancelled.value = Task.isCancelled
        throw error
      }
    }
    let visitor = try Visitor(server.port)
    try visitor.socket.send([65])
    try eventually(within: .seconds(20), "handlers", equals: 1) { begun.value }
    let report = try server.stop(within: .milliseconds(50))
    #expect(visitor.next == .reset)
    // The task is cancelled and its connection aborted at the same moment: the send may report either.
    #expect(heard.value == .cancelled || heard.value == .closed, "\(String(describing: heard.value))")
    #expect(isCancelled.value == true)
    #expect(report.abortedAtStop == 1 && report.endings == [.aborted: 1] && report.handlersFailed == 1, "\(report)")
  }

  @Test(
    "a handler that ignores its cancellation: its peer reads a reset at once; serve returns when the handler does",
    .faults(45))
  func stubborn() throws {
    let door = Hold()
    let afterwards = Kept<SocketError.Cause>()
    let server = try ServingInTask { connection in
      await door.pass()
      do throws(SocketError) { try await connection.send("late") } catch { afterwards.value = error.cause }
    }
    let visitor = try Visitor(server.port)
    try eventually(within: .seconds(20), "handlers", equals: 1) { door.arrived.value }
    server.handle.stop(within: .milliseconds(20))
    #expect(visitor.next == .reset)
    #expect(!server.task.isFinished)
    door.open()
    let report = try server.task.join()
    #expect(afterwards.value == .cancelled || afterwards.value == .closed, "\(String(describing: afterwards.value))")
    #expect(report.abortedAtStop == 1 && report.endings == [.aborted: 1] && report.handlersRunning == 0, "\(report)")
  }

  @Test(
    "a handler in a task in a long send is cut off at the end of the drain, and gets the bytes accepted",
    .faults(45))
  func inSend() throws {
    let failure = Kept<SocketError>()
    let server = try ServingInTask { connection in
      do throws(SocketError) { try await connection.send(Pattern.bytes(from: 0, count: 64 << 20)) } catch {
        failure.value = error
        throw error
      }
    }
    let visitor = try Visitor(server.port)
    try eventually(within: .seconds(20), "a full buffer") { visitor.socket.incomingQueue > 100_000 }
    let report = try server.stop(within: .milliseconds(100))
    #expect(failure.value?.cause == .closed || failure.value?.cause == .cancelled)
    #expect(failure.value?.bytesAccepted ?? 0 > 100_000)
    #expect(report.endings == [.aborted: 1] && report.bytesUnacknowledged > 0, "\(report)")
  }

  @Test("in tasks too, a connection that its handler closed before is not counted as aborted when the drain ends")
  func closedBefore() throws {
    let closed = Tally()
    let server = try ServingInTask { connection in
      await connection.close(.background)
      closed.add()
      // Until the drain cancels the handler.
      try await Task.sleep(for: .seconds(600))
    }
    let visitor = try Visitor(server.port)
    #expect(visitor.next == .success(0))
    try eventually(within: .seconds(20), "the handler goes on", equals: 1) { closed.value }
    let report = try server.stop(within: .milliseconds(50))
    #expect(report.abortedAtStop == 0 && report.endings == [.background: 1], "\(report)")
    #expect(report.handlersFailed == 1, "\(report)")
  }

  @Test("a second stop can only end the drain earlier, and never later", .faults(44))
  func twice() throws {
    for second in [Timeout.zero, .seconds(3600)] {
      let server = try ServingInTask(loops: 2, echoInTask)
      let visitor = try Visitor(server.port)
      try visitor.socket.send([10])
      #expect(visitor.next == .success(1))
      server.handle.stop(within: second == .zero ? .seconds(3600) : .milliseconds(20))
      server.handle.stop(within: second)
      let report = try server.task.join()
      #expect(visitor.next == .reset)
      #expect(report.abortedAtStop == 1 && report.endings == [.aborted: 1], "\(second): \(report)")
    }
  }

  @Test(
    "the drain of a full server in tasks times out with clients still queued: they are reset and counted", .faults(40))
  func overdueQueue() throws {
    let door = Hold()
    let server = try ServingInTask(connections: 1) { connection in
      await door.pass()
      connection.abort()
    }
    let visitors = try (0..<4).map { _ in try Visitor(server.port) }
    try eventually(within: .seconds(20), "handlers", equals: 1) { door.arrived.value }
    try eventually(within: .seconds(20), "queued clients", equals: 3) { try listeningQueue(server.port) }
    server.handle.stop(within: .milliseconds(20))
    for visitor in visitors { #expect(visitor.next == .reset) }
    door.open()
    let report = try server.task.join()
    #expect(report.clientsReset == 3 && report.abortedAtStop == 1, "\(report)")
  }

  @Test(
    "cancelling serve's task stops it at once: handlers are cancelled, queued clients reset, the report returned",
    .faults(40, 62))
  func cancelled() throws {
    let isCancelled = Tally()
    let server = try ServingInTask(loops: 2, connections: 2) { connection in
      do { try await echoInTask(connection) } catch {
        if Task.isCancelled { isCancelled.add() }
        throw error
      }
    }
    let running = try (0..<2).map { _ in try Visitor(server.port) }
    for visitor in running {
      try visitor.socket.send([10])
      #expect(visitor.next == .success(1))
    }
    let queued = try (0..<3).map { _ in try Visitor(server.port) }
    try eventually(within: .seconds(20), "queued clients", equals: 3) { try listeningQueue(server.port) }
    server.task.cancel()
    let report = try server.task.join()
    for visitor in running + queued { #expect(visitor.next == .reset) }
    #expect(isCancelled.value == 2)
    #expect(report.endings == [.aborted: 2] && report.clientsReset == 3 && report.failure == nil, "\(report)")
    #expect(server.handle.phase == .closed)
    #expect(throws: RigError("connect", code: ECONNREFUSED)) { _ = try Visitor(server.port) }
  }

  @Test("a connection that a cancelled server cuts short is counted as aborted at the stop, in each of 20 rounds")
  func cancelledCounts() throws {
    // Its handler and the server's drain race to be first.
    for round in 0..<20 {
      let server = try ServingInTask(loops: 1 + round % 2, echoInTask)
      let visitor = try Visitor(server.port)
      try visitor.socket.send([10])
      #expect(visitor.next == .success(1))
      server.task.cancel()
      let report = try server.task.join()
      #expect(visitor.next == .reset)
      #expect(report.abortedAtStop == 1 && report.endings == [.aborted: 1], "round \(round): \(report)")
    }
  }

  @Test(
    "serve cancelled while it accepts, while it is paused, before it began: it returns its report each time",
    .faults(62))
  func cancelledAnywhere() throws {
    let idle = try ServingInTask(echoInTask)
    #expect(try Visitor(idle.port).ask("x") == "x\n")
    idle.task.cancel()
    #expect(try idle.task.join().endings == [.peerFinished: 1])
    #expect(idle.handle.phase == .closed)

    let paused = try ServingInTask(echoInTask)
    #expect(try Visitor(paused.port).ask("x") == "x\n")
    try paused.handle.pause(resettingQueue: true)
    paused.task.cancel()
    #expect(try paused.task.join().endings == [.peerFinished: 1])
    #expect(paused.handle.phase == .closed)

    let owner = Keeper(try Listener.bind(.loopback(port: 0)))
    let reactor = try Reactor(loops: 1)
    let task = Working(on: reactor.executor) {
      unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
      return await owner.listener.serve(on: reactor, echoInTask)
    }
    #expect(try task.join().served == 0)
    #expect(owner.listener.phase == .closed)
  }

  @Test("a server whose reactor is stopped: its report is returned, and says so; the port is released")
  func reactorStopped() async {
    // The tasks continue in Swift's pool, whose threads a blocking test would hold: hence a separate process.
    await #expect(processExitsWith: .success) { try synchronously { try StoppingInTasks.stopReactor() } }
  }

  private static func stopReactor() throws {
    let server = try ServingInTask(loops: 2, echoInTask)
    let visitor = try Visitor(server.port)
    try visitor.socket.send([10])
    check(visitor.next == .success(1), "no echo")
    server.reactor.stop()
    let report = try server.task.join()
    check(report.failure?.cause == .reactorStopped && report.served == 1, "\(report)")
    check(visitor.next == .reset, "the client goes on")
    check(server.handle.phase == .closed, "\(server.handle.phase)")
    check((try? Visitor(server.port)) == nil, "the port still answers")
    let ledger = Ledger()
    let other = try Reactor(loops: 1)
    try Ledger.$current.withValue(ledger) {
      let owner = Keeper(try Listener.bind(.loopback(port: 0)))
      let task = Working(on: other.executor) { await owner.listener.serve(on: server.reactor, echoInTask) }
      let failure = try task.join().failure
      check(failure?.cause == .reactorStopped, "\(String(describing: failure))")
    }
    check(ledger.counts.open == 0 && ledger.counts.leaked == 0, "\(ledger.counts)")
  }

  @Test("an endless stream of clients does not delay the end of a drain in tasks")
  func endlessClients() throws {
    // In a network namespace of its own, where the machine allows one: each client leaves a TIME-WAIT behind.
    if Privileges.canMakeNamespaces { try NetworkNamespace().run { try endless() } } else { try endless() }
  }

  private func endless() throws {
    let ended = Tally()
    let server = try ServingInTask(loops: 2) { connection in
      try await echoInTask(connection)
      ended.add()
    }
    let isOver = Flag()
    let clients = (0..<3).map { _ in
      onThread {
        var served = 0
        while !isOver.isSet {
          if let visitor = try? Visitor(server.port), (try? visitor.ask("x")) == "x\n" { served += 1 }
        }
        return served
      }
    }
    try eventually(within: .seconds(20), "clients") { ended.value > 5 }
    server.handle.stop(within: .milliseconds(300))
    let report = try server.task.join(within: .seconds(20))
    isOver.set()
    let served = try clients.map { try $0.join() }.reduce(0, +)
    #expect(served > 0 && report.served >= served, "\(served), \(report)")
  }
}
