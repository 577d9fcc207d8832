import Glibc
import Peers
import TestTraits
import Testing

@testable import Fin

@Suite("Promise 9: a client that is slow on purpose loses its place", .onThreads)
struct SlowClients {
  /// A server with limits on the conversation, and calls without a deadline of their own.
  private static func server(
    _ world: ServingWorld, _ conversation: ConversationLimits, sending count: Int = 0
  ) throws -> (port: UInt16, handle: ListenerHandle, join: () throws -> ServerReport) {
    let owner = Keeper(try Listener.bind(.loopback(port: 0), timeouts: .all(.seconds(600))))
    let handle = owner.listener.handle
    let port = owner.listener.localAddress.port!
    let limits = ServerLimits(conversation: conversation)
    let bytes = Pattern.bytes(from: 0, count: count)
    switch world {
    case .threads:
      let thread = onThread {
        owner.listener.serve(threads: 4, limits: limits) { connection in
          while let line = try connection.receiveLine() {
            try connection.send("\(line)\n")
            try connection.send(bytes)
          }
        }
      }
      return (port, handle, { try thread.join(within: .seconds(30)) })
    case .tasks:
      let reactor = try Reactor(loops: 2)
      let task = Working(on: reactor.executor) {
        await owner.listener.serve(on: reactor, limits: limits) { connection in
          while let line = try await connection.receiveLine() {
            try await connection.send("\(line)\n")
            try await connection.send(bytes)
          }
        }
      }
      return (port, handle, { try task.join(within: .seconds(30)) })
    }
  }

  /// Stops the server, once it has ended the connection of the test.
  private static func ended(
    _ server: (port: UInt16, handle: ListenerHandle, join: () throws -> ServerReport),
    by limit: ConversationLimits.Limit
  ) throws {
    server.handle.stop(within: .zero)
    let report = try server.join()
    #expect(report.overLimit == [limit: 1] && report.handlersFailed == 0, "\(report)")
    #expect(report.endings == [.aborted: 1] && report.abortedAtStop == 0, "\(report)")
  }

  @Test("one that never speaks is reset at the time for the first byte", arguments: ServingWorld.allCases)
  func neverSpeaks(world: ServingWorld) throws {
    let server = try Self.server(world, ConversationLimits(firstByte: .milliseconds(200)))
    let visitor = try Visitor(server.port)
    #expect(visitor.next == .reset)
    try Self.ended(server, by: .firstByte)
  }

  @Test("one that sends a byte now and then, and no whole line, is too slow", arguments: ServingWorld.allCases)
  func byteByByte(world: ServingWorld) throws {
    let server = try Self.server(
      world, ConversationLimits(idle: .seconds(60), leastRate: 100_000, rateWindow: .milliseconds(400)))
    let visitor = try Visitor(server.port)
    let isOver = Flag()
    let sending = onThread {
      while !isOver.isSet, (try? visitor.socket.send([65])) != nil { usleep(20_000) }
    }
    // The sender may have taken the error of the reset. A FIN would have left CLOSE-WAIT.
    let end = visitor.next
    isOver.set()
    try sending.join()
    #expect((end == .reset || end == .success(0)) && visitor.socket.state == .closed)
    try Self.ended(server, by: .receivingRate)
  }

  @Test("one that never reads a long answer is too slow", arguments: ServingWorld.allCases)
  func neverReads(world: ServingWorld) throws {
    let server = try Self.server(
      world, ConversationLimits(leastRate: 1, rateWindow: .milliseconds(400)), sending: 64 << 20)
    let visitor = try Visitor(server.port)
    try visitor.socket.send(Array("x\n".utf8))
    // It reads nothing until the reset has arrived.
    try eventually(within: .seconds(20), "the reset", equals: 0) {
      try KernelView.tcp(localPort: server.port).count { $0.state == .established }
    }
    try Self.ended(server, by: .sendingRate)
  }

  @Test("one that has finished sending and takes none of the answer is too slow", arguments: ServingWorld.allCases)
  func halfClosed(world: ServingWorld) throws {
    let server = try Self.server(
      world, ConversationLimits(leastRate: 1, rateWindow: .milliseconds(400)), sending: 64 << 20)
    let visitor = try Visitor(server.port)
    try visitor.socket.send(Array("x\n".utf8))
    try visitor.socket.finishSending()
    try eventually(within: .seconds(20), "the reset", equals: 0) {
      try KernelView.tcp(localPort: server.port).count { $0.state == .closeWait || $0.state == .established }
    }
    try Self.ended(server, by: .sendingRate)
  }

  @Test("one that answers and then says no more is idle too long", arguments: ServingWorld.allCases)
  func idle(world: ServingWorld) throws {
    let server = try Self.server(world, ConversationLimits(idle: .milliseconds(300)))
    let visitor = try Visitor(server.port)
    #expect(try visitor.exchange("a") == "a\n")
    #expect(visitor.next == .reset)
    try Self.ended(server, by: .idle)
  }

  @Test("one that keeps talking ends when the whole conversation is over", arguments: ServingWorld.allCases)
  func whole(world: ServingWorld) throws {
    let server = try Self.server(
      world, ConversationLimits(firstByte: .seconds(60), idle: .seconds(60), whole: .milliseconds(500)))
    let visitor = try Visitor(server.port)
    try eventually(within: .seconds(20), "the end of the conversation") { (try? visitor.exchange("a")) != "a\n" }
    try Self.ended(server, by: .whole)
  }

  @Test("the judgement of one connection, look by look")
  func judgement() {
    let limits = ConversationLimits(
      firstByte: .seconds(10), idle: .seconds(30), whole: .seconds(100), leastRate: 10, rateWindow: .seconds(10))
    func look(
      _ age: Int, _ received: UInt64 = 0, _ sent: UInt64 = 0, isReceiving: Bool = true, isSending: Bool = false,
      awaitsNext: Bool = false
    ) -> Progress.Look {
      Progress.Look(
        age: .seconds(age), received: received, sent: sent, isReceiving: isReceiving, isSending: isSending,
        awaitsNext: awaitsNext)
    }
    func verdicts(_ looks: [Progress.Look], _ limits: ConversationLimits) -> [ConversationLimits.Limit?] {
      var progress = Progress()
      return looks.map { progress.exceeds(limits, $0) }
    }
    // 100 bytes in 10 s are enough, 99 are not; a handler that does not wait to receive is not measured.
    #expect(verdicts([look(0, 1), look(5, 50), look(10, 101)], limits) == [nil, nil, nil])
    #expect(verdicts([look(0, 1), look(5, 50), look(10, 100)], limits) == [nil, nil, .receivingRate])
    #expect(verdicts([look(0, 1), look(5, 2, isReceiving: false), look(11, 3)], limits) == [nil, nil, nil])
    #expect(verdicts([look(0, 1), look(11, 2, awaitsNext: true)], limits) == [nil, nil])
    #expect(
      verdicts([0, 10].map { look($0, 1, UInt64($0), isReceiving: false, isSending: true) }, limits)
        == [nil, .sendingRate])
    #expect(verdicts([look(9), look(10)], limits) == [nil, .firstByte])
    #expect(verdicts([look(10, isReceiving: false)], limits) == [nil])
    #expect(verdicts([look(5, 1, awaitsNext: true), look(34, 1, awaitsNext: true)], limits) == [nil, nil])
    #expect(verdicts([look(5, 1, awaitsNext: true), look(35, 1, awaitsNext: true)], limits) == [nil, .idle])
    #expect(verdicts([look(99, 1), look(100, 5000)], limits) == [nil, .whole])
    #expect(verdicts([look(1000)], ConversationLimits()) == [nil])
    #expect(ConversationLimits().interval == nil)
  }
}
