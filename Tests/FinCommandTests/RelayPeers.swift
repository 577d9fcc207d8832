import Glibc
import Peers
import TestTraits
import Testing

@testable import FinCommand

@Suite(
  "fin relay before real servers: clients see what they see without it", .onThreads, .timeLimit(.minutes(30)))
struct RelayPeers {
  /// The bytes and the end of an answer.
  private struct Seen: Equatable {
    var count = 0
    var beginning = ""
    var end: CInt = -1
  }

  private static func drain(_ client: borrowing PlainSocket, _ program: RelayedProgram) -> Seen {
    var bytes: [UInt8] = []
    var seen = Seen()
    for _ in 0..<12 where seen.end < 0 {
      do throws(RigError) {
        while true {
          let more = try client.receive(upTo: 1 << 18)
          if more.isEmpty { break }
          bytes += more
        }
        seen.end = 0
      } catch { if error.code != EAGAIN { seen.end = error.code } }
    }
    seen.count = bytes.count
    seen.beginning = String(decoding: bytes.prefix(program.answer.utf8.count), as: UTF8.self)
    return seen
  }

  /// The server's sockets of connections.
  private static func connections(at port: UInt16) throws -> [KernelSocket] {
    try KernelView.tcp(localPort: port).filter { ![.listen, .timeWait].contains($0.state) }
  }

  private static func connect(_ port: UInt16) throws -> PlainSocket {
    try PlainSocket.connected(to: "127.0.0.1", port: port)
  }

  private static func relay(to port: UInt16) throws -> (talker: Talker, port: UInt16) {
    let relay = try Talker(["relay", "127.0.0.1:0", "127.0.0.1:\(port)"])
    return (relay, try Relaying.port(of: relay))
  }

  // In each: a half-close behind the question, a reset in the middle of the answer, and a server that is killed, with a
  // question unread and without.

  @Test("nginx", .runs(.nginx)) func nginx() throws { try expectSame(.nginx) }
  @Test("HAProxy", .runs(.haproxy)) func haproxy() throws { try expectSame(.haproxy) }
  @Test("redis", .runs(.redis)) func redis() throws { try expectSame(.redis) }
  @Test("a server in Go", .runs(.goServer)) func goServer() throws { try expectSame(.goServer) }
  @Test("a server of Python's asyncio", .runs(.asyncio)) func asyncio() throws { try expectSame(.asyncio) }
  @Test("PostgreSQL", .runs(.postgres)) func postgres() throws { try expectSame(.postgres) }

  private func expectSame(_ program: RelayedProgram) throws {
    let scratch = try Scratch()
    let server = try program.start(in: scratch.path)
    defer { server.child.end() }
    let relay = try Self.relay(to: server.port)

    // A half-close behind the question: the whole answer, and the server's end.
    var seen: [Seen] = []
    for port in [server.port, relay.port] {
      let client = try Self.connect(port)
      try client.send(program.question)
      try client.finishSending()
      seen.append(Self.drain(client, program))
    }
    #expect(seen[0] == seen[1])
    #expect(seen[0].beginning == program.answer && seen[0].count >= program.least && seen[0].end == 0, "\(seen[0])")
    let whole = try relay.talker.child.readLine(within: .seconds(60)) ?? ""
    #expect(whole.contains(": both finished; \(program.question.count) bytes there"), "\(whole)")

    // A reset while the answer comes: the server gets rid of the connection, as without the relay.
    let hasty = try Self.connect(relay.port)
    try hasty.send(program.question)
    try hasty.expect(program.answer)
    hasty.abort()
    let reset = try relay.talker.child.readLine(within: .seconds(60)) ?? ""
    // The server may have finished before the client's reset came to it.
    #expect(reset.contains("the client reset") || reset.contains("the target finished"), "\(reset)")
    try eventually("connections at the server", equals: []) { try Self.connections(at: server.port).map(\.description) }

    if program.isOneProcess {
      try killed(program, server, relay.port, isUnread: false)
      let other = try program.start(in: scratch.path)
      defer { other.child.end() }
      let second = try Self.relay(to: other.port)
      try killed(program, other, second.port, isUnread: true)
    }
  }

  /// Kills the server with a client that is connected directly, and with one through the relay.
  private func killed(
    _ program: RelayedProgram, _ server: (child: Child, port: UInt16), _ relay: UInt16, isUnread: Bool
  ) throws {
    if isUnread { server.child.stop() }
    let direct = try Self.connect(server.port)
    let relayed = try Self.connect(relay)
    try eventually("both connections, accepted by a server that runs", equals: 2) {
      try Self.connections(at: server.port).count { $0.state == .established && (isUnread || $0.inode != 0) }
    }
    if isUnread {
      for client in [direct.descriptor, relayed.descriptor] {
        let sent = unsafe program.question.withUnsafeBytes { unsafe send(client, $0.baseAddress, $0.count, 0) }
        #expect(sent == program.question.count)
      }
      try eventually("unread questions", equals: 2) {
        try Self.connections(at: server.port).count { $0.receiveQueue == program.question.count }
      }
    }
    server.child.signal(SIGKILL)
    let ends = [direct.awaitEnd(), relayed.awaitEnd()]
    #expect(ends == (isUnread ? [ECONNRESET, ECONNRESET] : [0, 0]))
  }
}
