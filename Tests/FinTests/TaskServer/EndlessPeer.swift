import Peers
import TestTraits
import Testing

@testable import Fin

@Suite("Promise 5: a peer that never stops sending", .onThreads)
struct EndlessPeer {
  /// An operation that never has to wait, as long as its peer sends faster than it receives.
  private static func take(_ flood: Flood, within: Duration) throws(SocketError) {
    _ = try flood.connection.receive(until: 0, limit: 1 << 28, within: Timeout(within))
  }

  @Test("a line without an end runs into its deadline in a thread, although there always is one more byte", .faults(43))
  func deadline() throws {
    let flood = try Flood()
    let error = #expect(throws: SocketError.self) { try EndlessPeer.take(flood, within: .milliseconds(20)) }
    #expect(error?.cause == .timedOut)
    flood.connection.abort()
  }

  @Test("a line without an end runs into its deadline in a task, although there always is one more byte", .faults(43))
  func deadlineInTask() throws {
    let flood = try Flood()
    let reactor = try Reactor(loops: 1)
    let task = Working(on: reactor.executor) {
      await cause { () async throws(SocketError) in
        _ = try await flood.connection.receive(until: 0, limit: 1 << 28, within: .milliseconds(20))
      }
    }
    #expect(try task.join(within: .seconds(60)) == .timedOut)
    flood.connection.abort()
  }

  @Test("a close ends a receive that never has to wait", .faults(1))
  func close() throws {
    let flood = try Flood()
    let script = Script()
    let receiver = onThread {
      try Seam.$script.withValue(script) { try EndlessPeer.take(flood, within: .seconds(60)) }
    }
    try eventually(within: .seconds(20), "bytes") { script.count(.recv) > 20 }
    flood.connection.abort()
    let error = #expect(throws: SocketError.self) { try receiver.join() }
    #expect(error?.cause == .closed)
  }
}
