import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Promise 9: a limit on everything; a server in threads", .onThreads)
struct Serving {
  @Test(
    "never more handlers at once than threads; a client that comes while all are busy waits, and is served", .faults(42)
  )
  func limit() throws {
    let inside = Tally()
    let barrier = Barrier()
    let server = try Running(threads: 3) { connection in
      inside.add()
      barrier.pass()
      while let line = try connection.receiveLine() { try connection.send("\(line)\n") }
      inside.add(-1)
    }
    let visitors = try (0..<12).map { _ in try Visitor(server.port) }
    try eventually("handlers", equals: 3) { inside.value }
    // Backpressure: the other clients stay in the kernel's queue, connected and unharmed.
    try eventually("queued clients", equals: 9) { try listeningQueue(server.port) }
    barrier.open()
    for (number, visitor) in visitors.enumerated() { #expect(try visitor.ask("\(number)") == "\(number)\n") }
    let report = try server.stop()
    #expect(inside.most == 3)
    #expect(report.served == 12 && report.endings == [.peerFinished: 12], "\(report)")
  }

  @Test("a handler that throws: its peer reads a reset, not an EOF, and the report counts it")
  func throwing() throws {
    struct Refused: Error {}
    let server = try Running(threads: 2) { connection in
      try connection.send("half an ans")
      throw Refused()
    }
    let visitor = try Visitor(server.port)
    var text: [UInt8] = []
    let error = #expect(throws: RigError.self) { text = try visitor.socket.receiveAll() }
    #expect(error?.code == ECONNRESET && text.isEmpty)
    let report = try server.stop()
    #expect(report.handlersFailed == 1 && report.endings == [.aborted: 1], "\(report)")
  }

  @Test("a connection that the handler closed or detached itself is counted by its ending")
  func endedByHandler() throws {
    let given = Kept<CInt>()
    let number = Tally()
    let server = try Running(threads: 1) { connection in
      switch number.add() {
      case 1: connection.close(.background)
      case 2: connection.abort()
      default: given.value = try connection.detach().descriptor.rawValue
      }
    }
    let visitors = try (0..<3).map { _ in try Visitor(server.port) }
    #expect(visitors[0].next == .success(0))
    #expect(visitors[1].next == .reset)
    try eventually("the descriptor") { given.value != nil }
    let report = try server.stop()
    #expect(report.endings == [.background: 1, .aborted: 1, .detached: 1] && report.served == 3, "\(report)")
    let descriptor = try #require(given.value)
    // The connection is still open, and the test has to close it.
    let detached = PlainSocket(adopting: descriptor)
    try detached.send([7])
    #expect(visitors[2].next == .success(1))
  }

  @Test(
    "connections of one address are limited; one more is reset at once, and other addresses are unaffected",
    .faults(42))
  func perPeer() throws {
    let server = try Running(threads: 8, limits: ServerLimits(connectionsPerPeer: 2), echo)
    let first = try Visitor(server.port)
    let second = try Visitor(server.port)
    for visitor in [first, second] {
      try visitor.socket.send([10])
      #expect(visitor.next == .success(1))
    }
    let third = try Visitor(server.port)
    #expect(third.next == .reset)
    // A client with another address of the same machine.
    let socket = try Socket(.ipv4)
    try socket.bind(to: try SocketAddress(ip: "127.0.0.2", port: 0))
    let other = try socket.connect(to: server.address)
    try other.send("x\n")
    #expect(try other.receiveLine() == "x")
    other.close()
    // A connection that ended makes room for another.
    #expect(try first.ask("last") == "last\n")
    try eventually("a free place") {
      let again = try Visitor(server.port)
      return (try? again.ask("x")) == "x\n"
    }
    #expect(try second.ask("x") == "x\n")
    let report = try server.stop()
    #expect(report.refused >= 1 && report.endings[.peerFinished] == 4, "\(report)")
  }

  @Test("a connection that its handler detached no longer counts for its address")
  func perPeerDetached() throws {
    let given = Kept<CInt>()
    let server = try Running(threads: 2, limits: ServerLimits(connectionsPerPeer: 1)) { connection in
      if given.value == nil { given.value = try connection.detach().descriptor.rawValue } else { try echo(connection) }
    }
    let first = try Visitor(server.port)
    try eventually("the descriptor") { given.value != nil }
    let detached = PlainSocket(adopting: try #require(given.value))
    // The handler returns shortly after it gave the descriptor away.
    try eventually("a place") { (try? Visitor(server.port).ask("x")) == "x\n" }
    try detached.send([1])
    #expect(first.next == .success(1))
    #expect(try server.stop().endings[.detached] == 1)
  }

  @Test("a client that sends byte by byte runs into the deadline of the line, not one for each byte", .faults(43))
  func slowloris() throws {
    let server = try Running(threads: 1, timeouts: Timeouts(receive: .milliseconds(300))) { connection in
      _ = try connection.receiveLine()
    }
    let visitor = try Visitor(server.port)
    let start = Peers.Deadline.now
    let writer = onThread {
      // Each byte comes well within the timeout of one read.
      while (try? visitor.socket.send([65])) != nil { usleep(10_000) }
    }
    try writer.join(within: .seconds(20))
    #expect(Peers.Deadline.now - start >= .milliseconds(300))
    let report = try server.stop()
    #expect(report.handlersFailed == 1 && report.endings == [.aborted: 1], "\(report)")
  }

  @Test("with a full accept queue, a new client runs into its own deadline, and running ones are unharmed", .faults(38))
  func fullQueue() throws {
    let listener = try Listener.bind(.loopback(port: 0), backlog: 1)
    let port = listener.localAddress.port!
    let visitors = try (0..<2).map { _ in try Visitor(port) }
    try eventually("queued clients", equals: 2) { try listeningQueue(port) }
    var failure: SocketError?
    do throws(SocketError) {
      try Connection.connect(to: listener.localAddress, within: .milliseconds(300)).abort()
    } catch { failure = error }
    #expect(failure?.cause == .timedOut && failure?.operation == .connect)
    let server = Running(listener, threads: 2, echo)
    for visitor in visitors { #expect(try visitor.ask("x") == "x\n") }
    #expect(try server.stop().served == 2)
  }

  @Test("a client that was reset in the queue is one failed handler, and does not end the server", .faults(37))
  func resetInQueue() throws {
    let listener = try Listener.bind(.loopback(port: 0))
    try PlainSocket.connected(to: "127.0.0.1", port: listener.localAddress.port!).abort()
    let server = Running(listener, threads: 2, echo)
    let visitor = try Visitor(server.port)
    #expect(try visitor.ask("x") == "x\n")
    let report = try server.stop()
    #expect(report.failure == nil && report.endings[.peerFinished] == 1, "\(report)")
    #expect(report.handlersFailed == 1, "\(report)")
  }
}
