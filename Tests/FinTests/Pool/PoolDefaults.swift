import Glibc
import Peers
import TestTraits
import Testing

@testable import Fin

@Suite("A pool of connections: its limits by default, and limits that make no sense", .onThreads)
struct PoolDefaults {
  @Test("64 connections, 16 idle, none warm, 1024 waiting, 4 s idle, 10 minutes of age, sent again twice")
  func values() {
    let limits = PoolLimits()
    #expect(limits.connections == 64 && limits.idleConnections == 16 && limits.warm == 0 && limits.waiters == 1024)
    #expect(limits.idle == .seconds(4) && limits.age == .seconds(600) && limits.repeats == 2)
    #expect(!limits.serverReadsAfterItsEnd)
    let second: Int64 = 1_000_000_000
    let rules = Pool.Rules(
      connections: 64, idleConnections: 16, warm: 0, waiters: 1024, idle: 4 * second, pause: second)
    #expect(limits.rules == rules)
  }

  @Test("a negative limit counts as none, no connection as one, and no more are kept warm than there may be")
  func nonsense() {
    let limits = PoolLimits(
      connections: -3, idleConnections: -1, warm: 7, waiters: -1, idle: .seconds(-1), age: .seconds(-1), repeats: -1)
    let rules = limits.rules
    #expect(rules.connections == 1 && rules.idleConnections == 0 && rules.warm == 1 && rules.waiters == 0)
    #expect(rules.idle == 0)
    #expect(PoolLimits(warm: -1).rules.warm == 0)
    #expect(PoolLimits(idle: .seconds(Int64.max)).rules.idle == .max, "without limit, and no overflow")
  }

  @Test("each connection has its own age, between 90 and 110 percent of the limit's")
  func age() {
    let ages = (0..<2000).map { _ in PoolLimits().ageOfOne }
    #expect(ages.allSatisfy { .seconds(540) <= $0 && $0 <= .seconds(660) })
    // Spread over all of it.
    for tenth in 0..<10 {
      let bounds = (Duration.seconds(540 + 12 * tenth), Duration.seconds(552 + 12 * tenth))
      #expect(ages.contains { bounds.0 <= $0 && $0 < bounds.1 }, "none between \(bounds)")
    }
  }

  private func serving() throws -> RequestServer {
    try RequestServer { server, socket, _ in try server.answerAll(socket) }
  }

  @Test(
    "64 callers have a connection and 1024 wait; one more is refused; afterwards 16 connections stay",
    .timeLimit(.minutes(30)))
  func crowd() throws {
    let server = try serving()
    // A busy machine may take longer than the idle time.
    let pool = ConnectionPool(server.address, PoolLimits(idle: .seconds(600)))
    let hold = Hold()
    let holding = (0..<64).map { number in
      errand {
        try await pool.withConnection(within: .seconds(60)) { connection in
          try await exchange(number, on: connection)
          await hold.pass()
        }
      }
    }
    try eventually("leases", equals: 64) { hold.arrived.value }
    let port = server.address.port!
    // The kernel's table is read in pieces, between which others open and close theirs.
    try eventually("the server's connections", equals: 64) {
      try KernelView.tcp(localPort: port).count { $0.state == .established }
    }
    let before = pool.report.waited
    let waiting = (64..<64 + 1024).map { number in
      errand { try await pool.withConnection(within: .seconds(600)) { try await exchange(number, on: $0) } }
    }
    try eventually("callers that wait", equals: 1024) { pool.report.waited - before }
    let refused = try errand { try await pool.withConnection { try await exchange(9999, on: $0) } }.refusal()
    #expect(refused.cause == .tooManyOperations && "\(refused)".contains("1024 callers wait for one of 64"))
    #expect(server.accepted == 64)
    hold.open()
    for task in holding + waiting { try task.join() }
    try eventually("connections", equals: 16) { pool.report.open }
    #expect(pool.report.retired == [.surplus: 48] && pool.report.leases == 64 + 1024)
    #expect(pool.closed().open == 0)
    try server.stop()
  }

  @Test("an idle connection is closed after 4 s")
  func idle() throws {
    let server = try serving()
    let pool = ConnectionPool(server.address)
    let began = ContinuousClock.now
    try pool.withConnection { try exchangeInThread(1, on: $0) }
    try eventually("connections", equals: 0) { pool.report.open }
    let kept = ContinuousClock.now - began
    #expect(kept > .milliseconds(3990) && kept < .seconds(30), "\(kept)")
    #expect(pool.closed().retired == [.idle: 1])
    try server.stop()
  }
}
