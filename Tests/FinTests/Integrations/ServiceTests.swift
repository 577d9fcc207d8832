#if Logging && Metrics && ServiceLifecycle
import Fin
import Logging
import Peers
import ServiceLifecycle
import TestTraits
import Testing

// No test here blocks: the service, its group and these tests share the few threads of Swift's own pool.
@Suite("Integrations: a listener served in tasks, as a service")
struct IntegrationsInTasks {
  private func group(_ service: ListenerService) -> ServiceGroup {
    ServiceGroup(services: [service], logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
  }

  /// Connects a client, exchanges one line, and then runs `rest` on its connection.
  private func visit<R>(
    _ address: SocketAddress, _ rest: (borrowing Connection) async throws -> R
  ) async throws -> R {
    try await withConnection(to: Endpoint(address), closing: .background) { connection in
      try await connection.send("x\n")
      let answer = try await connection.receiveLine()
      #expect(answer == "x")
      return try await rest(connection)
    }.result
  }

  @Sendable private static func echo(_ connection: consuming Connection) async throws {
    while let line = try await connection.receiveLine() { try await connection.send("\(line)\n") }
  }

  @Test("a graceful shutdown accepts no more clients, and lets running conversations finish")
  func drains() async throws {
    let reactor = try Reactor(loops: 1)
    defer { reactor.stop() }
    let listener = try Listener.bind(.loopback(port: 0))
    let (address, handle) = (listener.localAddress, listener.handle)
    let service = ListenerService(listener, on: reactor, handler: IntegrationsInTasks.echo)
    let group = group(service)
    async let running: Void = group.run()
    let last = try await visit(address) { connection in
      await group.triggerGracefulShutdown()
      // Now the drain is under way.
      while handle.phase == .listening { await Task.yield() }
      try await connection.send("still there\n")
      return try await connection.receiveLine()
    }
    #expect(last == "still there")
    try await running
    #expect(service.report?.served == 1 && service.report?.abortedAtStop == 0)
    await #expect(throws: SocketError.self) { try await Connection.connect(to: address).abort() }
    await #expect(throws: SocketError.self, "it runs once") { try await service.run() }
  }

  @Test("when the drain times out, running handlers are cancelled, and their peers read a reset")
  func drainEnds() async throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let address = listener.localAddress
    let service = ListenerService(listener, drain: .milliseconds(30), handler: IntegrationsInTasks.echo)
    let group = group(service)
    async let running: Void = group.run()
    let heard = try await visit(address) { connection in
      await group.triggerGracefulShutdown()
      // The client sends nothing more.
      do throws(SocketError) { return try await connection.receiveLine(within: .seconds(20)) } catch {
        return "\(error.cause)"
      }
    }
    #expect(heard == "\(SocketError.Cause.reset)")
    try await running
    #expect(service.report?.abortedAtStop == 1)
  }

  @Test("a handler is notified of the shutdown, and may end its conversation before the drain times out")
  func heardByHandlers() async throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let address = listener.localAddress
    let service = ListenerService(listener, drain: .seconds(60)) { connection in
      guard let line = try await connection.receiveLine() else { return }
      try await connection.send("\(line)\n")
      let shared = connection.share()
      try? await cancelWhenGracefulShutdown { _ = try await shared.receiveLine() }
      try await shared.send("bye\n")
    }
    let group = group(service)
    async let running: Void = group.run()
    let lines = try await visit(address) { connection in
      await group.triggerGracefulShutdown()
      return [
        try await connection.receiveLine(within: .seconds(20)), try await connection.receiveLine(within: .seconds(20)),
      ]
    }
    #expect(lines == ["bye", nil])
    try await running
    #expect(service.report?.abortedAtStop == 0)
  }

  @Test("a service that is cancelled aborts its connections, and ends")
  func cancelled() async throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let address = listener.localAddress
    let service = ListenerService(listener, drain: .seconds(60), handler: IntegrationsInTasks.echo)
    let running = Task { try await service.run() }
    let heard = try await visit(address) { connection in
      // A client that the service has accepted; one in the queue would be reset by the end of the listener.
      try await connection.send("hello\n")
      _ = try await connection.receiveLine(within: .seconds(20))
      running.cancel()
      do throws(SocketError) { return try await connection.receiveLine(within: .seconds(20)) } catch {
        return "\(error.cause)"
      }
    }
    #expect(heard == "\(SocketError.Cause.reset)")
    try await running.value
    #expect(service.report?.abortedAtStop == 1 && service.report?.endings == [.aborted: 1])
  }
}
#endif
