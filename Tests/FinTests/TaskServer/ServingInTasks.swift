import Glibc
import Peers
import Synchronization
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Promise 9: a limit on everything; a server in tasks", .onThreads)
struct ServingInTasks {
  @TaskLocal private static var mark = "none"
  private struct Refused: Error {}

  @Test("a report of serve in tasks counts every kind of ending, and every unacknowledged byte")
  func everyEnding() throws {
    let server = try ServingInTask(loops: 2) { connection in
      guard let line = try await connection.receiveLine() else { return }
      switch line {
      case "acknowledged":
        await connection.close(.lingering(within: .seconds(10), idle: .milliseconds(20), discarding: 1 << 20))
      case "background": await connection.close(.background)
      case "aborted": connection.abort()
      case "throws": throw Refused()
      case "detached": close(try connection.detach().descriptor.rawValue)
      case "discarded": try await connection.send("not read")
      case "timed out":
        try? await connection.send(Pattern.bytes(from: 0, count: 32 << 20), within: .milliseconds(20))
        await connection.close(.confirmed(within: .milliseconds(20)))
      case "reset": _ = try await connection.receiveLine()
      default: try await connection.send("\(line)\n")
      }
    }
    func say(_ line: String) throws -> Visitor {
      let visitor = try Visitor(server.port)
      try visitor.socket.send(Array("\(line)\n".utf8))
      return visitor
    }
    for _ in 0..<3 { #expect(try Visitor(server.port).ask("finished") == "finished\n") }
    let acknowledged = try say("acknowledged")
    #expect(acknowledged.next == .success(0))
    #expect(try say("background").next == .success(0))
    #expect(try say("aborted").next == .reset)
    #expect(try say("throws").next == .reset)
    #expect(try say("detached").next == .success(0))
    do {
      // The visitor closes without reading the answer.
      let visitor = try say("discarded")
      try eventually(within: .seconds(20), "the end") { visitor.socket.state == .closeWait }
    }
    do {
      let socket = try PlainSocket.connected(to: "127.0.0.1", port: server.port)
      try socket.send(Array("reset\n".utf8))
      socket.abort()
    }
    let slow = try say("timed out")
    try eventually(within: .seconds(20), "the reset") { slow.socket.state == .closed }
    // Connections that are about to end have time to do so.
    let report = try server.stop(within: .seconds(20))
    #expect(
      report.endings == [
        .peerFinished: 3, .acknowledged: 1, .background: 1, .aborted: 2, .discardedByPeer: 1, .reset: 1,
        .timedOut(.confirming): 1, .detached: 1,
      ], "\(report)")
    #expect(report.served == 11 && report.handlersFailed == 2, "\(report)")
    #expect(report.bytesUnacknowledged > 0 && report.refused == 0 && report.abortedAtStop == 0, "\(report)")
    #expect(report.failure == nil && report.clientsReset == 0 && report.handlersRunning == 0, "\(report)")
  }

  @Test(
    "never more handlers in tasks than connections allowed; the next client waits in the queue, and is then served",
    .faults(42))
  func limit() throws {
    let inside = Tally()
    let door = Hold()
    let server = try ServingInTask(loops: 2, connections: 3) { connection in
      inside.add()
      await door.pass()
      try await echoInTask(connection)
      inside.add(-1)
    }
    let visitors = try (0..<12).map { _ in try Visitor(server.port) }
    try eventually(within: .seconds(20), "handlers", equals: 3) { inside.value }
    try eventually(within: .seconds(20), "queued clients", equals: 9) { try listeningQueue(server.port) }
    try steadily(for: .milliseconds(50), "queued clients", equals: 9) { try listeningQueue(server.port) }
    door.open()
    for (number, visitor) in visitors.enumerated() { #expect(try visitor.ask("\(number)") == "\(number)\n") }
    let report = try server.stop()
    #expect(inside.most == 3)
    #expect(report.endings == [.peerFinished: 12], "\(report)")
  }

  @Test(
    "in tasks too, connections of one address are limited; one more is reset at once, others are unaffected",
    .faults(42))
  func perPeer() throws {
    let server = try ServingInTask(limits: ServerLimits(connectionsPerPeer: 2), echoInTask)
    let first = try Visitor(server.port)
    let second = try Visitor(server.port)
    for visitor in [first, second] {
      try visitor.socket.send([10])
      #expect(visitor.next == .success(1))
    }
    #expect(try Visitor(server.port).next == .reset)
    let socket = try Socket(.ipv4)
    try socket.bind(to: try SocketAddress(ip: "127.0.0.2", port: 0))
    let other = try socket.connect(to: server.address)
    try other.send("x\n")
    #expect(try other.receiveLine() == "x")
    other.close()
    #expect(try first.ask("last") == "last\n")
    try eventually(within: .seconds(20), "a free place") {
      let again = try Visitor(server.port)
      return (try? again.ask("x")) == "x\n"
    }
    #expect(try second.ask("x") == "x\n")
    let report = try server.stop()
    #expect(report.refused >= 1 && report.endings == [.peerFinished: 4], "\(report)")
  }

  @Test("in tasks too, a connection that its handler detached no longer counts for its address")
  func perPeerDetached() throws {
    let given = Kept<CInt>()
    let server = try ServingInTask(limits: ServerLimits(connectionsPerPeer: 1)) { connection in
      if given.value != nil { return try await echoInTask(connection) }
      given.value = try connection.detach().descriptor.rawValue
    }
    let first = try Visitor(server.port)
    try eventually(within: .seconds(20), "the descriptor") { given.value != nil }
    let detached = PlainSocket(adopting: try #require(given.value))
    // The handler returns shortly after it gave the descriptor away.
    try eventually(within: .seconds(20), "a place") { (try? Visitor(server.port).ask("x")) == "x\n" }
    try detached.send([1])
    #expect(first.next == .success(1))
    #expect(try server.stop().endings[.detached] == 1)
  }

  @Test("a handler in a task that throws: its peer reads a reset, not an EOF, and the next client is served")
  func throwing() throws {
    let number = Tally()
    let server = try ServingInTask { connection in
      if number.add() > 1 { return try await echoInTask(connection) }
      try await connection.send("half an ans")
      throw Refused()
    }
    let visitor = try Visitor(server.port)
    var text: [UInt8] = []
    let error = #expect(throws: RigError.self) { text = try visitor.socket.receiveAll() }
    #expect(error?.code == ECONNRESET && text.isEmpty)
    #expect(try Visitor(server.port).ask("x") == "x\n")
    let report = try server.stop()
    #expect(report.handlersFailed == 1 && report.endings == [.aborted: 1, .peerFinished: 1], "\(report)")
  }

  @Test("a handler that detaches its connection: it stays connected, and the handler has to close it")
  func detaching() throws {
    let given = Kept<CInt>()
    let server = try ServingInTask { connection in
      _ = try await connection.receiveLine()
      given.value = try connection.detach().descriptor.rawValue
    }
    let visitor = try Visitor(server.port)
    try visitor.socket.send(Array("x\n".utf8))
    try eventually(within: .seconds(20), "the descriptor") { given.value != nil }
    let report = try server.stop()
    #expect(report.endings == [.detached: 1] && report.served == 1, "\(report)")
    let detached = PlainSocket(adopting: try #require(given.value))
    try detached.send([7])
    #expect(visitor.next == .success(1))
  }

  @Test(
    "handlers see the caller's task-locals and priority, and run on the reactor's own threads, spread over its loops")
  func surroundings() throws {
    let seen = Mutex<[[String]]>([])
    let listener = Keeper(try Listener.bind(.loopback(port: 0)))
    let (handle, port) = (listener.listener.handle, listener.listener.localAddress.port!)
    let reactor = try Reactor(loops: 2)
    let ledger = Ledger()
    let task = Working(on: reactor.executor, priority: .utility) {
      await ServingInTasks.$mark.withValue("the caller's") {
        await listener.listener.serve(on: reactor) { connection in
          let isLedgers = Ledger.current === ledger
          let before = [ServingInTasks.mark, "\(Task.currentPriority)", threadName(), "\(isLedgers)"]
          // After a wait the handler runs where it ran before.
          _ = try await connection.receiveLine()
          seen.withLock { $0.append(before + [threadName()]) }
        }
      }
    }
    for _ in 0..<6 { _ = try Visitor(port).ask("x") }
    handle.stop()
    _ = try task.join()
    let all = seen.withLock { $0 }
    #expect(all.count == 6)
    for one in all {
      #expect(one[0] == "the caller's" && one[1] == "\(TaskPriority.utility)" && one[2] == one[4], "\(one)")
    }
    // The connections are assigned to the loops in turn.
    let names = all.map { $0[2] }
    #expect(
      names.filter { $0 == "fin-loop-0" }.count == 3 && names.filter { $0 == "fin-loop-1" }.count == 3, "\(names)")
    _ = ledger
  }

  @Test(
    "paused while it serves in tasks: running clients go on, new ones are refused; resumed, it serves again",
    .faults(41))
  func pausing() throws {
    let server = try ServingInTask(loops: 2, echoInTask)
    let running = try Visitor(server.port)
    for _ in 0..<20 {
      try running.socket.send([10])
      #expect(running.next == .success(1))
      try server.handle.pause(resettingQueue: true)
      try running.socket.send([10])
      #expect(running.next == .success(1))
      #expect(throws: RigError("connect", code: ECONNREFUSED)) { _ = try Visitor(server.port) }
      try server.handle.resume()
      #expect(try Visitor(server.port).ask("x") == "x\n")
    }
    try server.handle.pause(resettingQueue: true)
    server.handle.stop(within: .seconds(20))
    #expect(try running.ask("y") == "y\n")
    let report = try server.task.join()
    #expect(report.endings == [.peerFinished: 21] && report.failure == nil, "\(report)")
    #expect(server.handle.phase == .closed)
  }

  @Test(
    "a listener that other code shut down ends a server in tasks: running clients are served, the report says why",
    .faults(41))
  func shutDownByStranger() throws {
    let server = try ServingInTask(loops: 2, echoInTask)
    let visitor = try Visitor(server.port)
    try visitor.socket.send([10])
    #expect(visitor.next == .success(1))
    shutdown(server.handle.core.number, CInt(SHUT_RD))
    try eventually(within: .seconds(20), "the end") { server.handle.phase == .closed }
    #expect(try visitor.ask("x") == "x\n")
    let report = try server.task.join()
    #expect(report.failure?.cause == .system(.invalidArgument) && report.endings == [.peerFinished: 1], "\(report)")
  }

  @Test("an error of accept about the listener ends a server in tasks: its running client has time to finish")
  func failedListener() throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let visitor = try Visitor(listener.localAddress.port!)
    let server = try ServingInTask(listener, script: Script(.nth(2, .accept, .fail(.badFileDescriptor))), echoInTask)
    try eventually(within: .seconds(20), "the end") { server.handle.phase == .closed }
    try steadily(for: .milliseconds(100), "returned", equals: false) { server.task.isFinished }
    #expect(try visitor.ask("x") == "x\n")
    let report = try server.task.join()
    #expect(report.failure?.cause == .system(.badFileDescriptor), "\(report)")
    #expect(report.endings == [.peerFinished: 1] && report.abortedAtStop == 0, "\(report)")
  }

  @Test(
    "a listener closed under a server in tasks: no more clients are accepted, running ones are served to the end")
  func closedUnderIt() throws {
    let server = try ServingInTask(loops: 2, echoInTask)
    let visitor = try Visitor(server.port)
    try visitor.socket.send([10])
    #expect(visitor.next == .success(1))
    _ = server.handle.core.closeListener()
    #expect(throws: RigError("connect", code: ECONNREFUSED)) { _ = try Visitor(server.port) }
    #expect(!server.task.isFinished)
    #expect(try visitor.ask("x") == "x\n")
    let report = try server.task.join()
    #expect(report.failure == nil && report.endings == [.peerFinished: 1], "\(report)")
  }
}
