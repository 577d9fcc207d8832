import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Connected is connected: a reset right after the handshake loses no byte that came before it", .onThreads)
struct ResetWhileConnecting {
  /// The number of connections for each test; `FIN_CONNECT_ROUNDS=2000` makes more.
  private static let rounds = unsafe getenv("FIN_CONNECT_ROUNDS").flatMap { unsafe Int(String(cString: $0)) } ?? 200

  /// A peer that sends `b` to each client and resets the connection at once.
  private func serving(_ count: Int, _ body: (SocketAddress) throws -> Void) throws {
    let keeper = try openListener()
    let server = onThread {
      for _ in 0..<count {
        let connection = try keeper.listener.accept(within: .seconds(20))
        try connection.send("b\n")
        connection.abort()
      }
      return true
    }
    try body(keeper.listener.localAddress)
    _ = try server.join()
    keeper.end()
  }

  private func inThread(_ peer: SocketAddress, _ rounds: Int) throws -> Int {
    var whole = 0
    for _ in 0..<rounds {
      let connection = try Connection.connect(to: peer, within: .seconds(20))
      if try connection.receive(exactly: 2, within: .seconds(20)) == Array("b\n".utf8) { whole += 1 }
      for _ in 0..<2 {
        #expect(try refusal { () throws(SocketError) in try connection.receive(upTo: 1) }.cause == .reset)
      }
      #expect(connection.close().ending == .reset)
    }
    return whole
  }

  private func inTasks(_ peer: SocketAddress, _ rounds: Int) throws -> Int {
    try inTask(within: .seconds(120)) {
      var whole = 0
      for _ in 0..<rounds {
        let connection = try await Connection.connect(to: peer, within: .seconds(20))
        if try await connection.receive(exactly: 2, within: .seconds(20)) == Array("b\n".utf8) { whole += 1 }
        for _ in 0..<2 {
          #expect(await cause { () async throws(SocketError) in _ = try await connection.receive(upTo: 1) } == .reset)
        }
        #expect(await connection.close().ending == .reset)
      }
      return whole
    }
  }

  @Test("a server that sends and resets: the bytes, then the reset, every time, in a thread")
  func threads() throws {
    try serving(Self.rounds) { peer in
      let whole = try inThread(peer, Self.rounds)
      #expect(whole == Self.rounds)
    }
  }

  @Test("a server that sends and resets: the bytes, then the reset, every time, in a task")
  func tasks() throws {
    try serving(Self.rounds) { peer in
      let whole = try inTasks(peer, Self.rounds)
      #expect(whole == Self.rounds)
    }
  }

  @Test(
    "Python as the server that sends and resets", .needsProgram("python3"), arguments: [false, true])
  func python(isInTask: Bool) throws {
    let script = """
      import socket, struct, sys
      l = socket.create_server(("127.0.0.1", 0), backlog=128)
      print(l.getsockname()[1])
      for _ in range(int(sys.argv[1])):
          c, _ = l.accept()
          c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
          c.sendall(b"b\\n")
          c.close()
      """
    let program = try #require(Programs.find("python3"))
    try withChild(program, ["-u", "-c", script, "\(Self.rounds)"]) { child in
      let port = try #require(UInt16(try child.readLine(within: .seconds(20)) ?? ""))
      let peer = SocketAddress.loopback(port: port)
      let whole = isInTask ? try inTasks(peer, Self.rounds) : try inThread(peer, Self.rounds)
      #expect(whole == Self.rounds)
    }
  }

  /// Plays the peer after `connect(2)` has returned, and before the attempt looks at its result.
  private func meeting(_ keeper: Keeper, finishes: Bool) -> Script {
    Script(
      .first(
        .connect,
        .after {
          do {
            let connection = try keeper.listener.accept(within: .seconds(20))
            try connection.send("b\n")
            if finishes {
              // The FIN comes first, then the answer to a byte that meets a closed socket: a reset in CLOSE-WAIT.
              let half = connection.finishSending()
              half.abort()
            } else {
              connection.abort()
            }
          } catch { Issue.record(error) }
        }))
  }

  @Test("the reset comes before the attempt looks at its result", arguments: [false, true])
  func before(isInTask: Bool) throws {
    let keeper = try openListener()
    let peer = keeper.listener.localAddress
    let script = meeting(keeper, finishes: false)
    let whole =
      isInTask
      ? try inTask {
        try await Seam.$script.withValue(script) {
          let connection = try await Connection.connect(to: peer)
          let bytes = try await connection.receive(exactly: 2)
          #expect(await cause { () async throws(SocketError) in _ = try await connection.receive(upTo: 1) } == .reset)
          #expect(try connection.failure() == .reset)
          connection.abort()
          return bytes
        }
      }
      : try scripted(script) { () throws in
        let connection = try Connection.connect(to: peer)
        let bytes = try connection.receive(exactly: 2)
        #expect(try refusal { () throws(SocketError) in try connection.receive(upTo: 1) }.cause == .reset)
        #expect(try connection.failure() == .reset)
        connection.abort()
        return bytes
      }
    #expect(whole == Array("b\n".utf8))
    keeper.end()
  }

  @Test("a FIN and then a reset before the attempt looks: the bytes, the end of file, and no sending")
  func finishAndReset() throws {
    let keeper = try openListener()
    let peer = keeper.listener.localAddress
    try scripted(meeting(keeper, finishes: true)) { () throws in
      let connection = try Connection.connect(to: peer)
      #expect(try connection.receive(exactly: 2) == Array("b\n".utf8))
      #expect(try connection.receive(upTo: 1) == nil)
      let error = try refusal { () throws(SocketError) in try connection.send("x") }
      #expect(error.cause == .peerClosed, "\(error)")
      connection.abort()
    }
    keeper.end()
  }
}
