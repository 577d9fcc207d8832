import Glibc
import Peers
import Synchronization
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("A pool of connections: who waits, who gives up, and the end", .onThreads, .timeLimit(.minutes(30)))
struct PoolWaiting {
  private func serving() throws -> RequestServer {
    try RequestServer { server, socket, _ in try server.answerAll(socket) }
  }

  private func pooled(_ server: RequestServer, _ change: (inout PoolLimits) -> Void = { _ in }) -> ConnectionPool {
    var limits = PoolLimits()
    limits.connections = 1
    change(&limits)
    return ConnectionPool(server.address, limits)
  }

  /// Holds the only connection of a pool until it is let go.
  private struct Holding {
    let hold = Hold()
    let task: TestTask<Void>

    init(_ pool: ConnectionPool) throws {
      let hold = hold
      task = errand {
        try await pool.withConnection { connection in
          try await exchange(0, on: connection)
          await hold.pass()
        }
      }
      try eventually("the lease", equals: 1) { hold.arrived.value }
    }

    func letGo() throws {
      hold.open()
      try task.join()
    }
  }

  @Test("callers that wait are served in their order, in tasks and in threads")
  func order() throws {
    let server = try serving()
    let pool = pooled(server)
    let holding = try Holding(pool)
    let served = Mutex<[Int]>([])
    var tasks: [TestTask<Void>] = []
    var threads: [Joining<Bool>] = []
    for number in 1...6 {
      if number % 2 == 0 {
        tasks.append(
          errand {
            try await pool.withConnection { connection in
              served.withLock { $0.append(number) }
              try await exchange(number, on: connection)
            }
          })
      } else {
        threads.append(
          onThread {
            try pool.withConnection { connection in
              served.withLock { $0.append(number) }
              try exchangeInThread(number, on: connection)
            }
            return true
          })
      }
      try eventually("callers that have waited", equals: 1 + number) { pool.report.waited }
    }
    try holding.letGo()
    for task in tasks { try task.join() }
    for thread in threads { _ = try thread.join() }
    #expect(served.withLock { $0 } == Array(1...6))
    #expect(server.accepted == 1)
    _ = pool.closed()
    try server.stop()
  }

  @Test("a caller whose time is over, and one too many, are refused; the others are served")
  func limits() throws {
    let server = try serving()
    let pool = pooled(server) { $0.waiters = 1 }
    let holding = try Holding(pool)
    let late = errand { try await pool.withConnection(within: .milliseconds(20)) { try await exchange(1, on: $0) } }
    #expect(try late.refusal().cause == .timedOut)
    #expect(throws: SocketError.self) {
      try pool.withConnection(within: .milliseconds(20)) { try exchangeInThread(2, on: $0) }
    }
    let patient = errand { try await pool.withConnection { try await exchange(3, on: $0) } }
    try eventually("callers that have waited", equals: 4) { pool.report.waited }
    let tooMany = try errand { try await pool.withConnection { try await exchange(4, on: $0) } }.refusal()
    #expect(tooMany.cause == .tooManyOperations && tooMany.operation == .checkOut)
    #expect("\(tooMany)".contains("1 callers wait for one of 1 connections"), "\(tooMany)")
    try holding.letGo()
    try patient.join()
    let report = pool.closed()
    #expect(report.gaveUp == 2 && report.refused == 1 && report.leases == 2, "\(report)")
    #expect(server.executions == [0: 1, 3: 1])
    try server.stop()
  }

  @Test("a dial that fails: the caller gets its error, and the next caller a dial of its own")
  func failedDial() throws {
    let listener = try PlainSocket.listening()
    let port = listener.port
    listener.close()
    let pool = ConnectionPool(.loopback(port: port))
    for _ in 0..<2 {
      let error = try errand { try await pool.withConnection { try await exchange(1, on: $0) } }.refusal()
      #expect(error.cause == .system(.connectionRefused) && error.operation == .connect, "\(error)")
    }
    let report = pool.closed()
    #expect(report.dialsFailed == 2 && report.dialed == 0 && report.open == 0, "\(report)")
    #expect(report.lastDialFailure?.cause == .system(.connectionRefused))
  }

  @Test("cancelled while it waits, while its connection is dialed, in its body, and before it asks: nothing is left")
  func cancelled() throws {
    let server = try serving()
    let ledger = Ledger()
    try Ledger.$current.withValue(ledger) {
      let pool = pooled(server)
      let holding = try Holding(pool)
      let waiting = errand { try await pool.withConnection { try await exchange(1, on: $0) } }
      try eventually("callers that have waited", equals: 2) { pool.report.waited }
      waiting.cancel()
      #expect(try waiting.refusal().cause == .cancelled)
      try holding.letGo()
      let inBody = Tally()
      let working = errand {
        try await pool.withConnection { connection in
          inBody.add()
          _ = try await connection.receive(upTo: 1)
        }
      }
      try eventually("the body", equals: 1) { inBody.value }
      working.cancel()
      #expect(try working.refusal().cause == .cancelled)
      let before = errand {
        unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
        try await pool.withConnection { try await exchange(2, on: $0) }
      }
      #expect(try before.refusal().cause == .cancelled)
      try errand { try await pool.withConnection { try await exchange(3, on: $0) } }.join()
      let report = pool.closed()
      #expect(report.endings[.aborted] == 1 && report.open == 0 && report.repeatedUndelivered == 0, "\(report)")
    }
    #expect(server.executions == [0: 1, 3: 1])

    // A dial that does not end: its caller is cancelled, and the close of the pool ends it.
    let hold = OneShot<Bool>()
    var options = DialOptions()
    options.resolver = TableResolver(["name.test": [server.address]], hold: hold)
    let slow = ConnectionPool(to: Endpoint(host: "name.test", port: 1), options: options)
    let dialing = errand { try await slow.withConnection { try await exchange(4, on: $0) } }
    try eventually("dials", equals: 1) { slow.report.open }
    dialing.cancel()
    #expect(try dialing.refusal().cause == .cancelled)
    let report = slow.closed()
    #expect(report.dialsFailed == 1 && report.open == 0, "\(report)")
    hold.deliver(true)
    try eventually("sockets", equals: 0) { ledger.counts.open }
    #expect(ledger.counts.leaked == 0)
    try server.stop()
  }

  @Test("a close refuses the callers that wait, lets the bodies end in their time, and leaves no connection")
  func closing() throws {
    let server = try serving()
    let pool = pooled(server) { $0.connections = 2 }
    let holding = try Holding(pool)
    let other = try Holding(pool)
    let waiting = errand { try await pool.withConnection { try await exchange(1, on: $0) } }
    try eventually("callers that have waited", equals: 3) { pool.report.waited }
    let closing = errand { await pool.close(within: .seconds(60)) }
    #expect(try waiting.refusal().cause == .closed)
    let later = try errand { try await pool.withConnection { try await exchange(2, on: $0) } }.refusal()
    #expect(later.cause == .closed && "\(later)".contains("the pool of"), "\(later)")
    #expect(!closing.isFinished)
    try holding.letGo()
    try eventually("connections", equals: 1) { pool.report.open }
    #expect(!closing.isFinished)
    try other.letGo()
    let report = try closing.join()
    #expect(report.open == 0 && report.retired == [.closing: 2] && report.abortedAtClose == 0, "\(report)")
    #expect(report.endings.values.reduce(0, +) == 2 && report.endings[.aborted] == nil, "\(report)")
    #expect(pool.closed() == report, "a second close returns the same")
    try server.stop()
  }

  @Test("when the time of a close is over, the bodies' connections are aborted, and the close returns without them")
  func closingLate() throws {
    let server = try serving()
    let pool = pooled(server) { $0.connections = 3 }
    let holding = try Holding(pool)
    let reading = errand { try await pool.withConnection { _ = try await $0.receive(upTo: 1) } }
    let inThread = onThread { () throws -> SocketError.Cause? in
      do {
        try pool.withConnection { _ = try $0.receive(upTo: 1) }
        return nil
      } catch let error as SocketError { return error.cause }
    }
    try eventually("leases", equals: 3) { pool.report.leases }
    let report = pool.closed(within: .milliseconds(50))
    #expect(report.open == 0 && report.abortedAtClose == 3 && report.endings == [.aborted: 3], "\(report)")
    #expect(try reading.refusal().cause == .closed)
    #expect(try inThread.join() == .closed)
    // The body that does nothing with its connection ends when it likes.
    #expect(!holding.task.isFinished)
    try holding.letGo()
    #expect(pool.report.endings == [.aborted: 3], "no connection is counted twice")
    try server.stop()
  }

  @Test("a pool that was never used closes at once; one whose reactor is stopped closes its connections")
  func ends() throws {
    let server = try serving()
    #expect(pooled(server).closed().leases == 0)
    let reactor = try Reactor(loops: 1)
    let pool = ConnectionPool(server.address, on: reactor)
    try pool.withConnection { try exchangeInThread(1, on: $0) }
    reactor.stop()
    try eventually("connections", equals: 0) { pool.report.open }
    #expect(throws: SocketError.self) { try pool.withConnection { try exchangeInThread(2, on: $0) } }
    #expect(server.executions == [1: 1])
    try server.stop()
  }
}
