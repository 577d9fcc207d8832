import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Promise 9: two servers of one listener, each with its own limits, waits and report", .onThreads)
struct TwoServers {
  static let pairs: [(ServingWorld, ServingWorld)] = [
    (.threads, .threads), (.threads, .tasks), (.tasks, .threads), (.tasks, .tasks),
  ]

  /// Two servers with room for a few connections each, and at least one visitor in each.
  private struct Scene {
    let owner: Keeper
    let handle: ListenerHandle
    let port: UInt16
    let reactor: Reactor
    let servers: [Served]
    let visitors: [Visitor]
    /// The server that each visitor is connected to.
    let places: [Int]

    init(_ worlds: (ServingWorld, ServingWorld), room: Int = 1) throws {
      owner = Keeper(try Listener.bind(.loopback(port: 0)))
      handle = owner.listener.handle
      port = owner.listener.localAddress.port!
      reactor = try Reactor(loops: 2)
      servers = [
        Served(owner, in: worlds.0, on: reactor, connections: room, named: "0:"),
        Served(owner, in: worlds.1, on: reactor, connections: room, named: "1:"),
      ]
      var visitors: [Visitor] = []
      var places: [Int] = []
      // One visitor more than one server has room for must reach the other.
      while Set(places).count < 2, places.count <= room {
        let visitor = try Visitor(port)
        places.append(try visitor.exchange("x") == "0:x\n" ? 0 : 1)
        visitors.append(visitor)
      }
      self.visitors = visitors
      self.places = places
    }
  }

  @Test("when either server has room again, the waiting client is accepted", arguments: pairs)
  func place(first: ServingWorld, second: ServingWorld) throws {
    for leaver in 0..<2 {
      let scene = try Scene((first, second))
      #expect(Set(scene.places) == [0, 1])
      let waiting = try Visitor(scene.port)
      try eventually("queued clients", equals: 1) { try listeningQueue(scene.port) }
      let visitor = scene.visitors[scene.places.firstIndex(of: leaver)!]
      #expect(try visitor.ask("y") == "\(leaver):y\n")
      #expect(try waiting.ask("z") == "\(leaver):z\n")
      scene.handle.stop(within: .zero)
      for server in scene.servers { _ = try server.join(.seconds(20)) }
    }
  }

  @Test("both servers follow a pause, a resume and a stop, and each drains its own connections", arguments: pairs)
  func words(first: ServingWorld, second: ServingWorld) throws {
    let scene = try Scene((first, second))
    try scene.handle.pause(resettingQueue: true)
    #expect(throws: RigError.self) { _ = try Visitor(scene.port) }
    try scene.handle.resume()
    for (visitor, place) in zip(scene.visitors, scene.places) {
      #expect(try visitor.exchange("still") == "\(place):still\n")
    }
    scene.handle.stop(within: .seconds(60))
    try steadily(for: .milliseconds(50), "one returned", equals: false) { scene.servers.contains { $0.isFinished() } }
    for (visitor, place) in zip(scene.visitors, scene.places) {
      #expect(try visitor.ask("last") == "\(place):last\n")
      let report = try scene.servers[place].join(.seconds(20))
      #expect(report.endings == [.peerFinished: 1] && report.failure == nil, "\(report)")
    }
    #expect(scene.handle.phase == .closed)
  }

  @Test("both servers follow a stop that ends the drain earlier: each aborts its own connections", arguments: pairs)
  func earlier(first: ServingWorld, second: ServingWorld) throws {
    let scene = try Scene((first, second), room: 2)
    scene.handle.stop(within: .seconds(60))
    // The queue is drained, and both servers wait for their handlers.
    try eventually("the listener is released", equals: .closed) { scene.handle.phase }
    scene.handle.stop(within: .zero)
    for visitor in scene.visitors { #expect(visitor.next == .reset) }
    for (place, server) in scene.servers.enumerated() {
      let count = scene.places.count { $0 == place }
      let report = try server.join(.seconds(20))
      #expect(report.abortedAtStop == count && report.endings == [.aborted: count], "\(report)")
      #expect(report.failure == nil, "\(report)")
    }
  }

  @Test(
    "a failed accept of one server ends the listener for both, and is in the report of that one", arguments: pairs)
  func failure(first: ServingWorld, second: ServingWorld) throws {
    let owner = Keeper(try Listener.bind(.loopback(port: 0)))
    let reactor = try Reactor(loops: 2)
    let sound = Served(owner, in: first, on: reactor, connections: 1)
    let port = owner.listener.localAddress.port!
    let visitor = try Visitor(port)
    #expect(try visitor.exchange("x") == "x\n")
    let script = Script(.every(.accept, .fail(.badFileDescriptor)))
    let failing = Served(owner, in: second, on: reactor, connections: 1, script: script)
    // The healthy server is full, so the next client falls to the failing one, whose `accept` may have failed before
    // the client connects.
    _ = try? Visitor(port)
    try eventually("the listener is released", equals: .closed) { owner.listener.phase }
    #expect(try visitor.ask("y") == "y\n")
    #expect(try failing.join(.seconds(20)).failure?.cause == .system(.badFileDescriptor))
    let report = try sound.join(.seconds(20))
    #expect(report.failure == nil && report.served >= 1, "\(report)")
  }
}
