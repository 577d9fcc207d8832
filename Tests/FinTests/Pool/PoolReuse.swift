import Glibc
import Peers
import Synchronization
import TestTraits
import Testing

@testable import Fin

/// A server whose one connection at a time is in the test's hands.
private struct PoolPeer: ~Copyable {
  let listener: PlainSocket
  init() throws { listener = try PlainSocket.listening() }
  var address: SocketAddress { .loopback(port: listener.port) }
}

@Suite("A pool of connections: what comes back, and what is retired", .onThreads, .timeLimit(.minutes(30)))
struct PoolReuse {
  /// Runs one exchange of a byte each way, so that the connection is idle afterwards.
  private func greet(_ pool: ConnectionPool, _ peer: borrowing PoolPeer) throws -> PlainSocket {
    let asking = errand {
      try await pool.withConnection { connection in
        try await connection.send([1])
        _ = try await connection.receive(exactly: 1)
      }
    }
    let socket = try peer.listener.accept()
    #expect(try socket.receive(upTo: 1) == [1])
    try socket.send([2])
    try asking.join()
    try eventually("idle connections", equals: 1) { pool.report.idle }
    return socket
  }

  enum Event: CaseIterable { case fin, reset, bytes }

  @Test(
    "an idle connection that the server closes or resets, or on which it speaks unasked, is retired at once",
    arguments: Event.allCases)
  func armed(_ event: Event) throws {
    let peer = try PoolPeer()
    let pool = ConnectionPool(peer.address)
    let socket = try greet(pool, peer)
    let port = socket.port
    switch event {
    case .fin: socket.close()
    case .reset: socket.abort()
    case .bytes:
      try socket.send([7])
      // A server that waits for the client's end.
      try eventually("the end", equals: []) { try socket.receive() }
    }
    try eventually("connections", equals: 0) { pool.report.open }
    #expect(pool.report.retired == [.endedByServer: 1])
    #expect(try KernelView.tcp(localPort: port).filter { $0.state == .established }.isEmpty)
    let report = pool.closed()
    #expect(report.leases == 1 && report.reused == 0, "\(report)")
  }

  @Test("an idle connection is used again, in tasks and in threads, and the one used last first")
  func again() throws {
    let server = try RequestServer { server, socket, _ in try server.answerAll(socket) }
    let pool = ConnectionPool(server.address)
    for number in 0..<10 {
      try errand { try await pool.withConnection { try await exchange(number, on: $0) } }.join()
    }
    for number in 10..<20 { try pool.withConnection { try exchangeInThread(number, on: $0) } }
    #expect(server.accepted == 1)
    // Two at a time, then one at a time: only the one that was used last is used again.
    let both = Hold()
    let pair = (20..<22).map { number in
      errand {
        try await pool.withConnection { connection -> UInt64 in
          try await exchange(number, on: connection)
          await both.pass()
          return try connection.cookie()
        }
      }
    }
    try eventually("leases", equals: 2) { both.arrived.value }
    both.open()
    let cookies = Set(try pair.map { try $0.join() })
    #expect(cookies.count == 2 && pool.report.idle == 2)
    let later = try (22..<30).map { number in
      try pool.withConnection { connection -> UInt64 in
        try exchangeInThread(number, on: connection)
        return try connection.cookie()
      }
    }
    #expect(Set(later).count == 1 && cookies.isSuperset(of: later))
    #expect(server.executions == Dictionary(uniqueKeysWithValues: (0..<30).map { ($0, 1) }))
    let report = pool.closed()
    #expect(report.leases == 30 && report.dialed == 2 && report.reused == 28 && report.open == 0, "\(report)")
    #expect(report.endings == [.acknowledged: 2] || report.endings.values.reduce(0, +) == 2, "\(report)")
    try server.stop()
  }

  @Test("a connection with bytes unread, or a part of which its body kept, is not used again")
  func unusable() throws {
    let server = try RequestServer { _, socket, _ in
      while let more = try? socket.receive(), !more.isEmpty { try socket.send(Array("ok and more\n".utf8)) }
    }
    let pool = ConnectionPool(server.address)
    try pool.withConnection { connection in
      try connection.send([1])
      #expect(try connection.receive(exactly: 2) == Array("ok".utf8))
    }
    try pool.withConnection { connection in
      try connection.send([1])
      // Buffered by the library, and not unread in the kernel.
      #expect(try connection.receive(until: [0x20], limit: 10) == Array("ok".utf8))
    }
    let kept = try pool.withConnection { connection in
      try connection.send([1])
      #expect(try connection.receiveLine() == "ok and more")
      return try connection.duplicate().share()
    }
    try eventually("connections", equals: 0) { pool.report.open }
    kept.abort()
    let report = pool.closed()
    #expect(report.retired == [.unusable: 3] && report.reused == 0, "\(report)")
    try server.stop()
  }

  @Test("a connection that its body retires is closed and not aborted, keeps its result, and is not lent again")
  func retired() throws {
    let ends = Mutex<[String]>([])
    let server = try RequestServer { server, socket, _ in
      defer { ends.withLock { $0.append("end") } }
      try server.answerAll(socket)
    }
    let pool = ConnectionPool(server.address)
    let answer = try pool.withConnection { connection in
      connection.retire()
      try exchangeInThread(1, on: connection)
      return "one"
    }
    let other = try errand {
      try await pool.withConnection { connection in
        try await exchange(2, on: connection)
        connection.retire()
        connection.retire()
        return "two"
      }
    }.join()
    #expect(answer == "one" && other == "two")
    // Not retired: it comes back, and serves twice.
    for number in 3..<5 { try pool.withConnection { try exchangeInThread(number, on: $0) } }
    // A body that throws has its connection aborted, whatever it has called before.
    #expect(throws: NoAnswer.self) {
      try pool.withConnection { connection in
        connection.retire()
        throw NoAnswer()
      }
    }
    try eventually("connections", equals: 0) { pool.report.open }
    let report = pool.closed()
    #expect(report.retired == [.asked: 2] && report.dialed == 3 && report.reused == 2, "\(report)")
    #expect(report.endings[.aborted] == 1 && report.endings.values.reduce(0, +) == 3, "\(report)")
    #expect("\(report)".contains("2 retired by their bodies"))
    try server.stop()
    #expect(ends.withLock { $0.count } == 3 && server.executions == [1: 1, 2: 1, 3: 1, 4: 1])
  }

  @Test("a body that throws: its connection is aborted, the error is the caller's, and the next one gets another")
  func throwing() throws {
    let server = try RequestServer { server, socket, _ in try server.answerAll(socket) }
    let pool = ConnectionPool(server.address)
    #expect(throws: NoAnswer.self) {
      try pool.withConnection { connection in
        try exchangeInThread(1, on: connection)
        throw NoAnswer()
      }
    }
    let failing = errand {
      try await pool.withConnection { connection in
        try await exchange(2, on: connection)
        throw NoAnswer()
      }
    }
    #expect(throws: NoAnswer.self) { try failing.join() }
    #expect(pool.report.endings == [.aborted: 2] && pool.report.open == 0)
    try pool.withConnection { try exchangeInThread(3, on: $0) }
    #expect(server.executions == [1: 1, 2: 1, 3: 1], "an error of the body's own is no reason to send again")
    let report = pool.closed()
    #expect(report.failed == 2 && report.undelivered == 0 && report.dialed == 3, "\(report)")
    try server.stop()
  }

  @Test("connections are retired when idle for too long, too many, or of age, and the server reads their ends")
  func retirement() throws {
    let ended = Tally()
    let server = try RequestServer { server, socket, _ in
      try server.answerAll(socket)
      ended.add()
    }
    func pool(_ change: (inout PoolLimits) -> Void) -> ConnectionPool {
      var limits = PoolLimits()
      change(&limits)
      return ConnectionPool(server.address, limits)
    }
    let short = pool { $0.idle = .milliseconds(30) }
    try short.withConnection { try exchangeInThread(1, on: $0) }
    try eventually("connections", equals: 0) { short.report.open }
    #expect(short.report.retired == [.idle: 1])
    let young = pool { $0.age = .milliseconds(30) }
    try young.withConnection { try exchangeInThread(2, on: $0) }
    try eventually("connections", equals: 0) { young.report.open }
    #expect(young.report.retired == [.age: 1])
    let few = pool { $0.idleConnections = 1 }
    let all = Hold()
    let three = (3..<6).map { number in
      errand {
        try await few.withConnection { connection in
          try await exchange(number, on: connection)
          await all.pass()
        }
      }
    }
    try eventually("leases", equals: 3) { all.arrived.value }
    all.open()
    for task in three { try task.join() }
    try eventually("connections", equals: 1) { few.report.open }
    #expect(few.report.retired == [.surplus: 2] && few.report.idle == 1)
    for pool in [short, young, few] { #expect(pool.closed().open == 0) }
    try eventually("ends that the server read", equals: 5) { ended.value }
    try server.stop()
  }

  @Test("warm connections are dialed before they are needed, kept beyond the idle time, and dialed again after a loss")
  func warm() throws {
    let sockets = Kept<[Int32]>()
    let server = try RequestServer { server, socket, number in
      // The first one ends when the test says so.
      if number == 1 { while sockets.value == nil { usleep(1000) } } else { try server.answerAll(socket) }
    }
    var limits = PoolLimits()
    limits.warm = 2
    limits.idle = .milliseconds(20)
    let pool = ConnectionPool(server.address, limits)
    try pool.warmUp()
    try eventually("idle connections", equals: 2) { pool.report.idle }
    try steadily(for: .milliseconds(100), "idle connections", equals: 2) { pool.report.idle }
    sockets.value = []
    try eventually("connections that the server has accepted", equals: 3) { server.accepted }
    try eventually("idle connections", equals: 2) { pool.report.idle }
    #expect(pool.report.leases == 0 && pool.report.retired == [.endedByServer: 1])
    #expect(pool.closed().open == 0)
    try server.stop()
  }

  @Test("a pool that is dropped closes its connections")
  func dropped() throws {
    let peer = try PoolPeer()
    var pool: ConnectionPool? = ConnectionPool(peer.address)
    let socket = try greet(pool!, peer)
    pool = nil
    #expect(try socket.receive() == [], "the end of file, and no reset")
  }
}
