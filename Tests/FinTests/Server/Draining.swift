import Glibc
import Peers
import Synchronization
import TestTraits
import Testing

@_spi(Fin) @testable import Fin

@Suite("Promise 2: a stop lets the idle end at once, the busy finish, and counts each", .onThreads)
struct Draining {
  /// A server in threads or in tasks, with one handler in both forms.
  private struct Server {
    let port: UInt16
    let handle: ListenerHandle
    let join: () throws -> ServerReport
  }

  private static func server(
    _ world: ServingWorld, _ limits: ServerLimits = .default,
    onFailure: (@Sendable (HandlerFailure) -> Void)? = nil,
    inThread: @escaping @Sendable (consuming Connection) throws -> Void,
    inTask: @escaping @Sendable (consuming Connection) async throws -> Void
  ) throws -> Server {
    let owner = Keeper(try Listener.bind(.loopback(port: 0)))
    let handle = owner.listener.handle
    let port = owner.listener.localAddress.port!
    switch world {
    case .threads:
      let thread = onThread { owner.listener.serve(threads: 4, limits: limits, onFailure: onFailure, inThread) }
      return Server(port: port, handle: handle) { try thread.join(within: .seconds(30)) }
    case .tasks:
      let reactor = try Reactor(loops: 2)
      let task = Working(on: reactor.executor) {
        await owner.listener.serve(on: reactor, limits: limits, onFailure: onFailure, inTask)
      }
      return Server(port: port, handle: handle) { try task.join(within: .seconds(30)) }
    }
  }

  /// Whether a thread or a task is parked there: not only inside the operation, and about to look again.
  private static func waits(on core: Core) -> Bool {
    core.lazyRegistration.load().map { $0.waiterCount > 0 } ?? (core.gate.snapshot.parked > 0)
  }

  /// Answers each line, and waits between two of them; keeps the socket for the test.
  private static func conversations(
    _ world: ServingWorld, _ sockets: Kept<Core>, _ limits: ServerLimits = .default
  ) throws -> Server {
    try server(world, limits) { connection in
      sockets.value = connection.reference.core
      while try connection.isNextComing(within: .seconds(60)), let line = try connection.receiveLine() {
        try connection.send("\(line) \(connection.isDraining)\n")
      }
    } inTask: { connection in
      sockets.value = connection.reference.core
      while try await connection.isNextComing(within: .seconds(60)), let line = try await connection.receiveLine() {
        try await connection.send("\(line) \(connection.isDraining)\n")
      }
    }
  }

  @Test(
    "a proxy's header is nothing that a client has said: its first request is under way when a server stops",
    arguments: ServingWorld.allCases)
  func headerOnly(world: ServingWorld) throws {
    let socket = Kept<Core>()
    let limits = ServerLimits(proxies: [try #require(AddressPrefix("127.0.0.1"))])
    let server = try Self.conversations(world, socket, limits)
    let client = try Visitor(server.port)
    try client.socket.send(Array("PROXY TCP4 192.0.2.7 10.0.0.1 4433 80\r\n".utf8))
    try eventually("the wait of the client's handler") { socket.value.map { Self.waits(on: $0) } == true }
    #expect(socket.value?.hasTraffic == false)
    // The delay lets the client be silent for longer than a second, on a busy machine.
    server.handle.stop(after: .seconds(60), within: .seconds(20))
    try steadily(for: .milliseconds(50), "the end", equals: false) { socket.value?.gate.isClosing }
    #expect(try client.exchange("a") == "a true\n")
    #expect(client.next == .success(0))
    try client.socket.finishSending()
    server.handle.stop(within: .seconds(20))
    let report = try server.join()
    #expect(report.endings == [.peerFinished: 1] && report.atStop == .init(silent: 1), "\(report)")
  }

  @Test(
    "after a stop with a delay, clients are still accepted, and each connection knows",
    arguments: ServingWorld.allCases)
  func delayed(world: ServingWorld) throws {
    let socket = Kept<Core>()
    let server = try Self.conversations(world, socket)
    let before = try Visitor(server.port)
    #expect(try before.exchange("a") == "a false\n")
    server.handle.stop(after: .seconds(60), within: .seconds(20))
    #expect(server.handle.phase == .listening)
    // Idle, and let go at once.
    #expect(before.next == .success(0))
    try before.socket.finishSending()
    let late = try Visitor(server.port)
    // Its first request is under way: its handler waits, whichever comes first.
    try eventually("the wait of the new client's handler") {
      socket.value?.peer?.port == late.socket.port && socket.value?.gate.snapshot.hasReader == true
    }
    #expect(try late.ask("b") == "b true\n")
    // A later stop comes at once.
    server.handle.stop(within: .seconds(20))
    let report = try server.join()
    #expect(report.endings == [.peerFinished: 2] && report.clientsReset == 0, "\(report)")
  }

  @Test("the delay of a stop ends by itself", arguments: ServingWorld.allCases)
  func delayEnds(world: ServingWorld) throws {
    let server = try Self.conversations(world, Kept())
    server.handle.stop(after: .milliseconds(50))
    let report = try server.join()
    #expect(report.served == 0 && server.handle.phase == .closed, "\(report)")
  }

  @Test(
    "a client that is idle between two requests gets a FIN at the stop, and no reset",
    arguments: ServingWorld.allCases)
  func idle(world: ServingWorld) throws {
    let socket = Kept<Core>()
    let server = try Self.conversations(world, socket)
    let visitor = try Visitor(server.port)
    #expect(try visitor.exchange("a") == "a false\n")
    try eventually("the wait for the next request") {
      socket.value.map { $0.awaitsNext.load(ordering: .acquiring) && Self.waits(on: $0) } ?? false
    }
    // The end of the drain is too late for this test.
    server.handle.stop(within: .seconds(600))
    #expect(visitor.next == .success(0))
    try visitor.socket.finishSending()
    let report = try server.join()
    #expect(report.endings == [.peerFinished: 1] && report.abortedAtStop == 0, "\(report)")
    #expect(report.atStop.idle == 1 && report.atStop.busy == 0 && report.atStop.silent == 0, "\(report.atStop)")
  }

  @Test(
    "a request that is under way at the stop is answered, and then the client gets a FIN",
    arguments: ServingWorld.allCases)
  func busy(world: ServingWorld) throws {
    let barrier = Barrier()
    let door = Hold()
    let server = try Self.server(world) { connection in
      while try connection.isNextComing(), let line = try connection.receiveLine() {
        barrier.pass()
        try connection.send("\(line)\n")
      }
    } inTask: { connection in
      while try await connection.isNextComing(), let line = try await connection.receiveLine() {
        await door.pass()
        try await connection.send("\(line)\n")
      }
    }
    let visitor = try Visitor(server.port)
    try visitor.socket.send(Array("a\n".utf8))
    try eventually("the handler", equals: 1) { barrier.arrived.value + door.arrived.value }
    server.handle.stop(within: .seconds(600))
    barrier.open()
    door.open()
    #expect(visitor.next == .success(2))
    #expect(visitor.next == .success(0))
    try visitor.socket.finishSending()
    let report = try server.join()
    #expect(report.endings == [.peerFinished: 1] && report.atStop.busy == 1 && report.atStop.idle == 0, "\(report)")
  }

  @Test(
    "a client that never spoke is closed soon after the stop, with a FIN, and its handler is no failure",
    arguments: ServingWorld.allCases)
  func silent(world: ServingWorld) throws {
    let socket = Kept<Core>()
    let server = try Self.server(world) { connection in
      socket.value = connection.reference.core
      _ = try connection.receiveLine()
    } inTask: { connection in
      socket.value = connection.reference.core
      _ = try await connection.receiveLine()
    }
    let visitor = try Visitor(server.port)
    try eventually("the wait for the first byte") { socket.value?.gate.snapshot.hasReader ?? false }
    server.handle.stop(within: .seconds(600))
    let report = try server.join()
    #expect(visitor.next == .success(0))
    #expect(report.closedSilent == 1 && report.atStop.silent == 1 && report.handlersFailed == 0, "\(report)")
    #expect(report.abortedAtStop == 0 && report.served == 1, "\(report)")
  }

  @Test("a client whose server speaks first, and that has not answered, keeps its connection until the drain ends")
  func banner() throws {
    let server = try Self.server(.threads) { connection in
      try connection.send("hello\n")
      _ = try connection.receiveLine()
    } inTask: { connection in
      connection.abort()
    }
    let visitor = try Visitor(server.port)
    #expect(visitor.next == .success(6))
    server.handle.stop(within: .milliseconds(1500))
    let report = try server.join()
    #expect(report.closedSilent == 0 && report.abortedAtStop == 1 && report.atStop.busy == 1, "\(report)")
  }

  @Test(
    "each failure of a handler is passed on, and the report keeps the first eight",
    arguments: ServingWorld.allCases)
  func failures(world: ServingWorld) throws {
    struct Refusal: Error {}
    let failures = Tally()
    let last = Kept<HandlerFailure>()
    let server = try Self.server(
      world,
      onFailure: {
        last.value = $0
        failures.add()
      }
    ) { connection in
      connection.abort()
      throw Refusal()
    } inTask: { connection in
      connection.abort()
      throw Refusal()
    }
    var ports: [UInt16] = []
    for number in 1...10 {
      let visitor = try Visitor(server.port)
      ports.append(visitor.socket.port)
      try eventually("failures", equals: number) { failures.value }
      #expect(last.value?.error is Refusal && last.value?.remoteAddress?.port == visitor.socket.port)
    }
    server.handle.stop()
    let report = try server.join()
    #expect(report.handlersFailed == 10)
    #expect(report.firstFailures.map { $0.remoteAddress?.port } == ports.prefix(8).map(Optional.some))
    #expect("\(report)".contains("first failure: 127.0.0.1:\(ports[0]): Refusal()"), "\(report)")
  }

  @Test("at least one descriptor stays in reserve, whatever the limits say")
  func reserve() {
    var limits = ServerLimits(descriptorsInReserve: 0)
    #expect(limits.descriptorsInReserve == 1)
    limits.descriptorsInReserve = -5
    #expect(limits.descriptorsInReserve == 1)
    limits.descriptorsInReserve = 3
    #expect(limits.descriptorsInReserve == 3)
  }
}
