import Glibc
import Peers
import Synchronization
import TestTraits
import Testing

@testable import Fin

/// `FIN_POOL_STORM` sets the number of requests (3,000), `FIN_STORM_SEED` the random seed (1).
@Suite("A pool of connections: a storm of requests, cancelled at random", .onThreads, .timeLimit(.minutes(30)))
struct PoolStorm {
  @Test("tasks and threads share a pool, cancelled at every point, with a server that ends at random: nothing is left")
  func storm() throws {
    let requests = stormNumber("FIN_POOL_STORM", 3000)
    let seed = UInt64(stormNumber("FIN_STORM_SEED", 1))
    let server = try RequestServer { server, socket, number in
      var random = SeededRandom(seed: seed &+ UInt64(number))
      while true {
        socket.setPatience(microseconds: 200 + Int(random.next() % 4000))
        guard let request = try RequestServer.request(from: socket) else { return }
        server.execute(request)
        switch random.next() % 40 {
        case 0: return
        case 1:
          try socket.send(Array("ok and bytes that were not asked for".utf8))
        default: try socket.send(Array("ok".utf8))
        }
      }
    }
    let ledger = Ledger()
    let reactor = try Reactor(loops: 2)
    let summary = Mutex<[String: Int]>([:])
    let executed = try Ledger.$current.withValue(ledger) { () throws -> PoolReport in
      var limits = PoolLimits()
      limits.connections = 3
      limits.idleConnections = 2
      limits.idle = .milliseconds(3)
      limits.age = .milliseconds(40)
      limits.warm = 1
      limits.waiters = 5
      let pool = ConnectionPool(server.address, limits, on: reactor)
      let next = Atomic<Int>(0)
      @Sendable func note(_ word: String) { summary.withLock { $0[word, default: 0] += 1 } }
      let tasks = (0..<6).map { index in
        errand(on: index % 3 == 2 ? globalConcurrentExecutor : reactor.executor) {
          var random = SeededRandom(seed: seed &* 1000 &+ UInt64(index))
          while true {
            let number = next.wrappingAdd(1, ordering: .relaxed).oldValue
            if number >= requests { return }
            let patience = Timeout.milliseconds(random.next() % 8 == 0 ? 1 : 30_000)
            let work = Task {
              try await pool.withConnection(within: patience) { try await exchange(number, on: $0) }
            }
            if random.next() % 3 == 0 {
              if random.next() % 2 == 0 { try await Task.sleep(for: .microseconds(Int(random.next() % 1500))) }
              work.cancel()
            }
            do {
              try await work.value
              note("answered")
            } catch {
              let failure = error as? SocketError
              note(failure.map { "\($0.operation) \($0.cause.text)" } ?? "\(error)")
            }
          }
        }
      }
      let threads = (0..<2).map { index in
        onThread { () -> Bool in
          var random = SeededRandom(seed: seed &* 2000 &+ UInt64(index))
          while true {
            let number = next.wrappingAdd(1, ordering: .relaxed).oldValue
            if number >= requests { return true }
            do {
              let patience = Timeout.milliseconds(random.next() % 8 == 0 ? 1 : 30_000)
              try pool.withConnection(within: patience) { try exchangeInThread(number, on: $0) }
              note("answered")
            } catch { note("in a thread: \((error as? SocketError)?.cause.text ?? "\(error)")") }
          }
        }
      }
      for task in tasks { try task.join(within: .seconds(500)) }
      for thread in threads { _ = try thread.join(within: .seconds(500)) }
      #expect(pool.report.open <= 3)
      return pool.closed()
    }
    try server.stop()
    let words = summary.withLock { $0 }
    print("pool storm: \(words.sorted { $0.value > $1.value }); \(executed)")
    #expect(executed.open == 0 && executed.endings.values.reduce(0, +) == executed.dialed, "\(executed)")
    #expect(words.values.reduce(0, +) == requests)
    #expect(words["answered", default: 0] > requests / 10, "\(words)")
    #expect(server.executions.values.allSatisfy { $0 == 1 }, "no request is executed twice")
    // Whether a caller gives up is left to chance; PoolWaiting asserts what happens then.
    // So is how many of the reasons for an end a machine meets; those two come with one request in forty.
    #expect(
      executed.retired[.unusable, default: 0] > 3 && executed.failed > 3,
      "the storm has met connections that ended: \(executed)")
    try eventually("sockets", equals: 0) { ledger.counts.open }
    #expect(ledger.counts.leaked == 0)
    withExtendedLifetime(reactor) {}
  }
}
