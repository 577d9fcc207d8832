import Glibc
import Peers
import TestTraits
import Testing

@testable import Fin

@Suite("Promise 9: a client that a limit refuses gets a farewell, within a small budget", .onThreads)
struct Farewells {
  private static let text = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

  /// An echo server with a farewell.
  private struct Rig {
    let port: UInt16
    let handle: ListenerHandle
    let join: () throws -> ServerReport
    let cancel: (() -> Void)?

    init(_ world: ServingWorld, connections: Int = 8, _ limits: ServerLimits) throws {
      let owner = Keeper(try Listener.bind(.loopback(port: 0)))
      handle = owner.listener.handle
      port = owner.listener.localAddress.port!
      switch world {
      case .threads:
        let thread = onThread { owner.listener.serve(threads: connections, limits: limits, echo) }
        join = { try thread.join(within: .seconds(60)) }
        cancel = nil
      case .tasks:
        let reactor = try Reactor(loops: 2)
        let task = Working(on: reactor.executor) {
          await owner.listener.serve(on: reactor, connections: connections, limits: limits, echoInTask)
        }
        join = { try task.join(within: .seconds(60)) }
        cancel = { task.cancel() }
      }
    }

    /// A client that is being served.
    func served() throws -> Visitor {
      let visitor = try Visitor(port)
      #expect(try visitor.exchange("x") == "x\n")
      return visitor
    }

    func stop(within: Fin.Timeout = .seconds(30)) throws -> ServerReport {
      handle.stop(within: within)
      return try join()
    }
  }

  /// Everything that the server sends until its FIN; an error when it resets.
  private static func rest(of visitor: Visitor) throws -> String {
    String(decoding: try visitor.socket.receiveAll(), as: UTF8.self)
  }

  @Test(
    "a client beyond the limit of its peer reads the farewell and an end, although its request was never read",
    arguments: ServingWorld.allCases)
  func perPeer(world: ServingWorld) throws {
    let rig = try Rig(world, ServerLimits(connectionsPerPeer: 1, farewell: Farewell(Self.text)))
    let first = try rig.served()
    for _ in 0..<3 {
      let refused = try Visitor(rig.port)
      try refused.socket.send([UInt8](repeating: 65, count: 100_000))
      #expect(try Self.rest(of: refused) == Self.text)
      try refused.socket.finishSending()
    }
    #expect(try first.ask("y") == "y\n")
    let report = try rig.stop()
    #expect(report.farewells == [.peerFinished: 3] && report.refused == 0, "\(report)")
    #expect(report.endings == [.peerFinished: 1] && report.handlersFailed == 0, "\(report)")
    #expect("\(report)".contains("; 3 refused with a farewell"), "\(report)")
  }

  @Test(
    "clients that neither read nor close end with the budget, and hold no more than the bound: one more is reset",
    arguments: ServingWorld.allCases)
  func bounded(world: ServingWorld) throws {
    // More than the buffers of both sides take.
    let endless = Farewell([UInt8](repeating: 65, count: 64 << 20), within: .milliseconds(400), atOnce: 2)
    let rig = try Rig(world, ServerLimits(connectionsPerPeer: 1, farewell: endless))
    let first = try rig.served()
    let holding = try (0..<2).map { _ in try Visitor(rig.port) }
    try eventually("two farewells have begun") { holding.allSatisfy { $0.socket.incomingQueue > 0 } }
    #expect(try Visitor(rig.port).next == .reset)
    // Their time ends without their doing, with a reset: the farewell was not delivered.
    for visitor in holding {
      try eventually("the server's reset") { visitor.socket.pendingError == ECONNRESET }
    }
    // There is room for others.
    let next = try Visitor(rig.port)
    try eventually("another farewell") { next.socket.incomingQueue > 0 }
    #expect(try first.ask("y") == "y\n")
    let report = try rig.stop()
    #expect(report.farewells == [.aborted: 3] && report.refused == 1, "\(report)")
  }

  @Test(
    "a client that has read the farewell and keeps its side open is left at the end of the budget",
    arguments: ServingWorld.allCases)
  func neverCloses(world: ServingWorld) throws {
    let farewell = Farewell(Self.text, within: .milliseconds(100))
    let rig = try Rig(world, ServerLimits(connectionsPerPeer: 1, farewell: farewell))
    let first = try rig.served()
    let refused = try Visitor(rig.port)
    #expect(try Self.rest(of: refused) == Self.text)
    #expect(try first.ask("y") == "y\n")
    let report = try rig.stop()
    #expect(report.farewells == [.acknowledged: 1], "\(report)")
    withExtendedLifetime(refused) {}
  }

  @Test(
    "a client that sends without end is left at the most bytes that are discarded", arguments: ServingWorld.allCases)
  func sendsWithoutEnd(world: ServingWorld) throws {
    let farewell = Farewell(Self.text, within: .seconds(600), discarding: 10_000)
    let rig = try Rig(world, ServerLimits(connectionsPerPeer: 1, farewell: farewell))
    let first = try rig.served()
    let refused = try Visitor(rig.port)
    let sender = onThread { () -> Bool in
      while true { try refused.socket.send([UInt8](repeating: 65, count: 5_000)) }
    }
    #expect(throws: RigError.self) { try sender.join(within: .seconds(60)) }
    #expect(try first.ask("y") == "y\n")
    let report = try rig.stop()
    #expect(report.farewells.values.reduce(0, +) == 1 && report.refused == 0, "\(report)")
  }

  @Test(
    "a full server says farewell if it is to, and serves the next client at a free place",
    arguments: ServingWorld.allCases)
  func full(world: ServingWorld) throws {
    let farewell = Farewell(Self.text, whenFull: true, within: .seconds(600), atOnce: 1)
    let rig = try Rig(world, connections: 1, ServerLimits(farewell: farewell))
    let first = try rig.served()
    let refused = try Visitor(rig.port)
    #expect(try Self.rest(of: refused) == Self.text)
    // All farewells are taken: the next client waits in the queue, and is not reset.
    let waiting = try Visitor(rig.port)
    try eventually("a queued client", equals: 1) { try listeningQueue(rig.port) }
    try refused.socket.finishSending()
    #expect(try Self.rest(of: waiting) == Self.text)
    try waiting.socket.finishSending()
    #expect(try first.ask("y") == "y\n")
    try eventually("a free place") {
      let again = try Visitor(rig.port)
      return (try? again.ask("z")) == "z\n"
    }
    let report = try rig.stop()
    #expect(report.endings == [.peerFinished: 2] && report.refused == 0, "\(report)")
    #expect(report.farewells[.peerFinished, default: 0] >= 2, "\(report)")
  }

  @Test("the client of a proxy gets it too, and then no longer has a place", arguments: ServingWorld.allCases)
  func behindAProxy(world: ServingWorld) throws {
    let farewell = Farewell(Self.text, within: .seconds(600), atOnce: 1)
    let limits = ServerLimits(
      connectionsPerPeer: 1, farewell: farewell, proxies: [try #require(AddressPrefix("127.0.0.1"))])
    let rig = try Rig(world, connections: 2, limits)
    let header = "PROXY TCP4 192.0.2.1 198.51.100.1 1 2\r\n"
    let first = try Visitor(rig.port)
    #expect(try first.exchange(header + "x") == "x\n")
    let refused = try Visitor(rig.port)
    try refused.socket.send(Array("\(header)GET /".utf8))
    #expect(try Self.rest(of: refused) == Self.text)
    // The farewell goes on, and the second place is free.
    let other = try Visitor(rig.port)
    #expect(try other.exchange("PROXY TCP4 192.0.2.2 198.51.100.1 1 2\r\nz") == "z\n")
    // A forged header is no limit: it is reset.
    try other.socket.finishSending()
    #expect(other.next == .success(0))
    let forged = try Visitor(rig.port)
    try forged.socket.send(Array("GET / HTTP/1.1\r\n".utf8))
    #expect(forged.next == .reset)
    try refused.socket.finishSending()
    #expect(try first.ask("y") == "y\n")
    let report = try rig.stop()
    #expect(report.farewells == [.peerFinished: 1] && report.refused == 0, "\(report)")
    #expect(report.endings == [.peerFinished: 2, .aborted: 1] && report.proxiesRefused == 1, "\(report)")
  }

  @Test(
    "a stop waits for farewells as for handlers, and aborts them at the end of its time",
    arguments: ServingWorld.allCases)
  func stopped(world: ServingWorld) throws {
    let farewell = Farewell(Self.text, within: .seconds(600))
    let rig = try Rig(world, ServerLimits(connectionsPerPeer: 1, farewell: farewell))
    let first = try rig.served()
    let refused = try (0..<2).map { _ in try Visitor(rig.port) }
    for visitor in refused { #expect(try Self.rest(of: visitor) == Self.text) }
    rig.handle.stop(within: .seconds(600))
    #expect(try first.ask("y") == "y\n")
    try refused[0].socket.finishSending()
    rig.handle.stop(within: .milliseconds(50))
    let report = try rig.join()
    #expect(report.farewells == [.peerFinished: 1, .aborted: 1] && report.abortedAtStop == 0, "\(report)")
    withExtendedLifetime(refused) {}
  }

  @Test("a cancelled server aborts its farewells")
  func cancelled() throws {
    let rig = try Rig(
      .tasks, ServerLimits(connectionsPerPeer: 1, farewell: Farewell(Self.text, within: .seconds(600))))
    let first = try rig.served()
    let refused = try Visitor(rig.port)
    #expect(try Self.rest(of: refused) == Self.text)
    rig.cancel?()
    let report = try rig.join()
    #expect(first.next == .reset)
    #expect(report.farewells == [.aborted: 1] && report.endings == [.aborted: 1], "\(report)")
    withExtendedLifetime(refused) {}
  }
}
