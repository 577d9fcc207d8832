import Glibc
import Peers
import Synchronization
import TestTraits
import Testing

@testable import Fin

@Suite("Promise 2: a listener ends well: stop, drain, pause", .onThreads)
struct Stopping {
  @Test("a stop resets none of forty queued clients: all are served, then the port is free", .faults(40))
  func queued() throws {
    let barrier = Barrier()
    let server = try Running(threads: 4) { connection in
      barrier.pass()
      try echo(connection)
    }
    let visitors = try (0..<40).map { _ in try Visitor(server.port) }
    try eventually("handlers", equals: 4) { barrier.arrived.value }
    try eventually("queued clients", equals: 36) { try listeningQueue(server.port) }
    server.handle.stop(within: .seconds(30))
    #expect(server.handle.phase == .stopping)
    barrier.open()
    for visitor in visitors { #expect(try visitor.ask("x") == "x\n") }
    let report = try server.thread.join(within: .seconds(30))
    #expect(report.served == 40 && report.endings == [.peerFinished: 40] && report.clientsReset == 0, "\(report)")
    #expect(try KernelView.tcp(localPort: server.port).allSatisfy { $0.state != .listen })
    #expect(throws: RigError("connect", code: ECONNREFUSED)) { _ = try Visitor(server.port) }
  }

  @Test("a listener that is closed with clients in the queue reports how many it reset", .faults(40))
  func closedWithQueue() throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let port = listener.localAddress.port!
    let visitors = try (0..<5).map { _ in try Visitor(port) }
    try eventually("queued clients", equals: 5) { try listeningQueue(port) }
    #expect(listener.close().clientsReset == 5)
    for visitor in visitors { #expect(visitor.next == .reset) }
  }

  @Test("a listener stopped before serve: the queue is served, then serve returns")
  func beforeServing() throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let visitor = try Visitor(listener.localAddress.port!)
    listener.stop()
    listener.stop()
    let server = Running(listener, threads: 2, echo)
    #expect(try visitor.ask("x") == "x\n")
    let report = try server.thread.join()
    #expect(report.endings == [.peerFinished: 1], "\(report)")
  }

  @Test("accept after a stop returns the queued clients, one per call, then .closed, and the port is released")
  func byHand() throws {
    let ledger = Ledger()
    try Ledger.$current.withValue(ledger) {
      let listener = try Listener.bind(.loopback(port: 0))
      let port = listener.localAddress.port!
      let visitors = try (0..<3).map { _ in try Visitor(port) }
      try eventually("queued clients", equals: 3) { try listeningQueue(port) }
      listener.stop()
      for visitor in visitors {
        let connection = try listener.accept()
        #expect(connection.remoteAddress?.port == visitor.socket.port)
        connection.close(.background)
      }
      for _ in 0..<2 {
        var error: SocketError?
        do throws(SocketError) { try listener.accept().abort() } catch let failure { error = failure }
        #expect(error?.cause == .closed)
      }
      #expect(listener.phase == .closed)
      #expect(listener.close().clientsReset == 0)
      for visitor in visitors { #expect(visitor.next == .success(0)) }
    }
    #expect(ledger.counts.open == 0 && ledger.counts.leaked == 0)
  }

  @Test("running handlers may finish within the drain's timeout", .faults(44))
  func drain() throws {
    let server = try Running(threads: 2, echo)
    let visitor = try Visitor(server.port)
    try visitor.socket.send(Array("one\n".utf8))
    #expect(visitor.next == .success(4))
    server.handle.stop(within: .seconds(30))
    try steadily(for: .milliseconds(50), "returned", equals: false) { server.thread.isFinished }
    #expect(try visitor.ask("two") == "two\n")
    let report = try server.thread.join()
    #expect(report.endings == [.peerFinished: 1] && report.abortedAtStop == 0, "\(report)")
  }

  @Test(
    "a handler that waits for its peer when the drain ends is aborted: it gets .closed, its peer a reset",
    .faults(44, 45))
  func overdue() throws {
    let cause = Kept<SocketError.Cause>()
    let server = try Running(threads: 2) { connection in
      do throws(SocketError) { _ = try connection.receiveLine() } catch {
        cause.value = error.cause
        throw error
      }
    }
    let visitor = try Visitor(server.port)
    try visitor.socket.send([65])
    try eventually("connected") { try KernelView.tcp(localPort: server.port).contains { $0.state == .established } }
    let report = try server.stop(within: .milliseconds(50))
    #expect(visitor.next == .reset)
    #expect(cause.value == .closed)
    #expect(report.abortedAtStop == 1 && report.endings == [.aborted: 1] && report.handlersRunning == 0, "\(report)")
  }

  @Test("a handler that never returns: its connection is aborted, it is counted, and serve returns", .faults(45))
  func stuck() throws {
    let barrier = Barrier()
    defer { barrier.open() }
    let server = try Running(threads: 2, limits: ServerLimits(graceAfterAbort: .milliseconds(50))) { connection in
      barrier.pass()
      connection.close()
    }
    let visitor = try Visitor(server.port)
    try eventually("handlers", equals: 1) { barrier.arrived.value }
    let report = try server.stop(within: .milliseconds(50))
    #expect(visitor.next == .reset)
    #expect(report.abortedAtStop == 1 && report.handlersRunning == 1 && report.served == 0, "\(report)")
    #expect("\(report)".contains("1 handlers still running") || "\(report)".contains("1 handler still running"))
  }

  @Test(
    "a handler in a long send is aborted at the end of the drain, and gets the number of bytes accepted", .faults(45))
  func stuckInSend() throws {
    let failure = Kept<SocketError>()
    let server = try Running(threads: 1) { connection in
      do throws(SocketError) { try connection.send(Pattern.bytes(from: 0, count: 64 << 20)) } catch {
        failure.value = error
        throw error
      }
    }
    let visitor = try Visitor(server.port)
    try eventually("a full buffer") { visitor.socket.incomingQueue > 100_000 }
    let report = try server.stop(within: .milliseconds(100))
    #expect(failure.value?.cause == .closed && failure.value?.bytesAccepted ?? 0 > 100_000)
    #expect(report.endings == [.aborted: 1] && report.bytesUnacknowledged > 0, "\(report)")
  }

  @Test("the unacknowledged bytes of a server are the sum over its clients, as the kernel counts them")
  func unacknowledgedOfAll() throws {
    let accepted = Mutex(0)
    let server = try Running(threads: 3) { connection in
      do throws(SocketError) { try connection.send(Pattern.bytes(from: 0, count: 64 << 20)) } catch {
        accepted.withLock { $0 += error.bytesAccepted }
        throw error
      }
    }
    let visitors = try (0..<3).map { _ in try Visitor(server.port) }
    // The peers' windows are closed: their kernels acknowledge no more than they hold now.
    try eventually(within: .seconds(60), "closed windows") {
      let rows = try KernelView.tcp(localPort: server.port).filter { $0.state == .established }
      return rows.count == 3 && rows.allSatisfy { $0.timer == .windowProbe }
    }
    let held = visitors.reduce(0) { $0 + $1.socket.incomingQueue }
    let report = try server.stop(within: .zero)
    #expect(report.endings == [.aborted: 3], "\(report)")
    #expect(report.bytesUnacknowledged == accepted.withLock { $0 } - held, "\(held), \(report)")
  }

  @Test("a connection that its handler closed before is not counted as aborted when the drain ends")
  func closedBefore() throws {
    let barrier = Barrier()
    defer { barrier.open() }
    let server = try Running(threads: 1, limits: ServerLimits(graceAfterAbort: .milliseconds(50))) { connection in
      connection.close(.background)
      barrier.pass()
    }
    let visitor = try Visitor(server.port)
    try eventually("the handler", equals: 1) { barrier.arrived.value }
    #expect(visitor.next == .success(0))
    let report = try server.stop(within: .milliseconds(50))
    #expect(report.abortedAtStop == 0 && report.handlersRunning == 1, "\(report)")
  }

  @Test("a later stop ends the drain earlier, and never later")
  func laterStops() throws {
    let server = try Running(threads: 1, echo)
    let visitor = try Visitor(server.port)
    try visitor.socket.send([10])
    #expect(visitor.next == .success(1))
    for time in [60_000, 200, 60_000] { server.handle.stop(within: .milliseconds(time)) }
    let report = try server.thread.join(within: .seconds(20))
    #expect(report.abortedAtStop == 1 && report.endings == [.aborted: 1], "\(report)")
    #expect(visitor.next == .reset)
  }

  @Test("the drain times out with clients still queued: they are reset and counted, and serve returns")
  func overdueQueue() throws {
    let barrier = Barrier()
    defer { barrier.open() }
    let server = try Running(threads: 1, limits: ServerLimits(graceAfterAbort: .milliseconds(50))) { connection in
      barrier.pass()
      connection.abort()
    }
    let visitors = try (0..<4).map { _ in try Visitor(server.port) }
    try eventually("handlers", equals: 1) { barrier.arrived.value }
    try eventually("queued clients", equals: 3) { try listeningQueue(server.port) }
    let report = try server.stop(within: .milliseconds(50))
    #expect(report.clientsReset == 3, "\(report)")
    #expect(visitors.map(\.next) == [.reset, .reset, .reset, .reset])
  }

  @Test("an endless stream of clients does not delay the end of the drain")
  func endlessClients() throws {
    // In a network namespace of its own, where the machine allows one: each client leaves a TIME-WAIT behind.
    if Privileges.canMakeNamespaces { try NetworkNamespace().run { try endless() } } else { try endless() }
  }

  private func endless() throws {
    let ended = Tally()
    let server = try Running(threads: 2) { connection in
      try echo(connection)
      ended.add()
    }
    let isOver = Tally()
    let clients = (0..<3).map { _ in
      onThread {
        var served = 0
        while isOver.value == 0 {
          if let visitor = try? Visitor(server.port), (try? visitor.ask("x")) == "x\n" { served += 1 }
        }
        return served
      }
    }
    try eventually(within: .seconds(20), "clients") { ended.value > 5 }
    // If the queue is never found empty, only this deadline ends the drain.
    server.handle.stop(within: .milliseconds(300))
    let report = try server.thread.join(within: .seconds(20))
    isOver.add()
    let served = try clients.map { try $0.join() }.reduce(0, +)
    #expect(served > 0 && report.served >= served, "\(served), \(report)")
  }
}
