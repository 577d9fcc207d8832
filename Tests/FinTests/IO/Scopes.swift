import Glibc
import Peers
import Synchronization
import SystemPackage
import TestTraits
import Testing

@_spi(Fin) @testable import Fin

@Suite("Promise 1: a scope closes the connection or listener that it was given, on every path")
struct Scopes {
  private struct OddError: Error {}

  @Test("use: a body that returns ends the connection by the policy; one that throws aborts it", .onThreads)
  func use() throws {
    let pair = try StreamKind.ipv4.connected()
    let peer = pair.second.share()
    let (number, end) = pair.first.use(closing: .background) { connection in Int(connection.phase.rawValue) }
    #expect(number == Int(Phase.connected.rawValue) && end.ending == .background)
    #expect(try peer.receive(upTo: 1) == nil)
    peer.close()

    let other = try StreamKind.ipv4.connected()
    let otherPeer = other.second.share()
    var isThrown = false
    do { _ = try other.first.use { _ throws(OddError) in throw OddError() } } catch { isThrown = true }
    #expect(isThrown)
    #expect(try refusal { () throws(SocketError) in try otherPeer.receive(upTo: 1) }.cause == .reset)
    otherPeer.abort()
  }

  @Test("use: the body may consume the connection, close it, or give it away", .onThreads)
  func consuming() throws {
    let pair = try Connection.pair()
    let closed = pair.first.use { connection in connection.close(.background).ending }
    #expect(closed.result == .background && closed.end.ending == .background)
    let finished = try pair.second.use { connection in
      let rest = connection.finishSending()
      let all = try rest.receiveAll(limit: 10)
      return rest.use(closing: .background) { $0.phase }.result.description + "\(all)"
    }
    #expect(finished.result.contains("[]"))
    let another = try Connection.pair()
    let (given, end) = try another.first.use { connection in try connection.detach().descriptor }
    #expect(end.ending == .detached)
    try given.close()
    another.second.abort()
  }

  @Test(
    "use in a task: a cancelled task's waits end, and the connection is aborted", .onThreads, arguments: [false, true])
  func cancelled(hasOwner: Bool) throws {
    let (ours, peer) = try openStrangers()
    let connection = Keeping(Connection(core: ours.reference.core, timeouts: .default))
    let task = errand {
      // Another task owns the connection's scope: the body's waits then have handlers of their own.
      if hasOwner { ours.reference.core.scope.enter() }
      let inner = Task {
        try await connection.take().use { connection in
          try await connection.receive(upTo: 1, within: .seconds(20))
        }
      }
      try await withTaskCancellationHandler {
        _ = try await inner.value
      } onCancel: {
        inner.cancel()
      }
    }
    try ours.awaitParked()
    task.cancel()
    #expect(try task.refusal().cause == .cancelled)
    #expect(throws: (any Error).self) { _ = try peer.receive() }
    #expect(ours.phase == .closed)
  }

  @Test("use in a task returns the body's result and the report")
  func inTasks() async throws {
    let pair = try Connection.pair()
    let second = pair.second.share()
    let (line, end) = try await pair.first.use(closing: .background) { connection in
      try await second.send("hello\n")
      return try await connection.receiveLine()
    }
    #expect(line == "hello" && end.ending == .background)
    await second.close(.background)
  }

  @Test("withConnection takes an address; withListener releases the port, also when the body throws", .onThreads)
  func addresses() throws {
    var handle: ListenerHandle?
    #expect(throws: OddError.self) {
      try withListener(at: SocketAddress.loopback(port: 0)) { listener in
        let address = listener.localAddress
        handle = listener.handle
        let client = onThread { try withConnection(to: address) { client in try client.receiveLine() } }
        try listener.accept(within: .seconds(10)).use { served in try served.send("hello\n") }
        #expect(try client.join().result == "hello")
        throw OddError()
      }
    }
    #expect(handle?.phase == .closed)
    let phase = try withListener(at: "localhost:0") { listener in
      let handle = listener.handle
      listener.close()
      return handle.phase
    }
    #expect(phase == .closed)
  }

  @Test("withConnection and withListener in tasks", .onThreads)
  func addressesInTasks() async throws {
    let reply = try await withListener(at: SocketAddress.loopback(port: 0)) { listener in
      let address = listener.localAddress
      async let reply = withConnection(to: address) { client in try await client.receiveLine() }.result
      try await listener.accept(within: .seconds(10)).use { served in try await served.send("hello\n") }
      return try await reply
    }
    #expect(reply == "hello")
    let handle = try await withListener(at: "localhost:0") { listener in
      await Task.yield()
      return listener.handle
    }
    #expect(handle.phase == .closed)
    await #expect(throws: OddError.self) {
      try await withListener(at: SocketAddress.loopback(port: 0)) { _ in
        await Task.yield()
        throw OddError()
      }
    }
  }
}

/// Keeps an owner for a task that takes it.
private final class Keeping: Sendable {
  private let connection: Mutex<Connection?>
  init(_ connection: consuming Connection) { self.connection = Mutex(connection) }
  func take() -> Connection { connection.withLock { $0.take() }! }
}
