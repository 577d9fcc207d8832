import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Real peers: socat, ncat, curl", .onThreads)
struct ToolPeers {
  /// A port that is currently free, for a program that cannot report which port the kernel gave it.
  private func freePort() throws -> UInt16 {
    let listener = try PlainSocket.listening()
    let port = listener.port
    listener.close()
    return port
  }

  /// Connects to a program that is about to listen.
  private func connect(to port: UInt16) throws -> Connection {
    let deadline = Fin.Deadline(after: .seconds(20))
    while true {
      do { return try Connection.connect(to: .loopback(port: port)) } catch {
        guard error.cause == .system(.connectionRefused), !deadline.hasPassed else { throw error }
        // No event reports that another program listens, so this polls the kernel's table.
        try eventually(within: .seconds(20), "the program to listen") {
          try KernelView.tcp(localPort: port).contains { $0.state == .listen }
        }
      }
    }
  }

  /// Plays the client: sends, finishes, reads the answer to EOF.
  private func speakToAServer(_ name: String, _ arguments: (UInt16) -> [String]) throws {
    let program = try #require(Programs.find(name))
    let port = try freePort()
    try withChild(program, arguments(port)) { child in
      let connection = try connect(to: port)
      try connection.send("to \(name)\n")
      let half = connection.finishSending()
      #expect(try child.readLine(within: .seconds(20)) == "to \(name)")
      // The program has read EOF; its sending side is still open.
      try child.write("from \(name)\n")
      #expect(try half.receiveLine(within: .seconds(20)) == "from \(name)")
      child.closeInput()
      #expect(try half.receiveLine(within: .seconds(20)) == nil)
      let report = half.close()
      #expect(report.ending == .peerFinished, "\(report)")
    }
  }

  /// Plays the server: the program finishes first, then the answer is sent.
  private func answerAClient(_ name: String, _ arguments: (UInt16) -> [String]) throws {
    let program = try #require(Programs.find(name))
    let listener = try Listener.bind(.loopback(port: 0))
    try withChild(program, arguments(listener.localAddress.port ?? 0)) { child in
      let connection = try listener.accept(within: .seconds(20))
      try child.write("from \(name)\n")
      #expect(try connection.receiveLine(within: .seconds(20)) == "from \(name)")
      child.closeInput()
      #expect(try connection.receiveLine(within: .seconds(20)) == nil)
      try connection.send("to \(name)\n")
      #expect(try child.readLine(within: .seconds(20)) == "to \(name)")
      let report = connection.close()
      #expect(report.ending == .peerFinished, "\(report)")
      #expect(try child.wait() == .exited(0))
    }
    listener.close()
  }

  @Test("socat as a server; both directions are closed one after the other", .needsProgram("socat"))
  func socatServer() throws {
    try speakToAServer("socat") { ["-t", "20", "-", "TCP4-LISTEN:\($0),bind=127.0.0.1,reuseaddr"] }
  }

  @Test("socat as a client; both directions are closed one after the other", .needsProgram("socat"))
  func socatClient() throws {
    try answerAClient("socat") { ["-t", "20", "-", "TCP4:127.0.0.1:\($0)"] }
  }

  @Test("ncat as a server, which ends when its client finishes: here ncat finishes first", .needsProgram("ncat"))
  func ncatServer() throws {
    let program = try #require(Programs.find("ncat"))
    let port = try freePort()
    try withChild(program, ["-l", "127.0.0.1", "\(port)"]) { child in
      let connection = try connect(to: port)
      try child.write("from ncat\n")
      #expect(try connection.receiveLine(within: .seconds(20)) == "from ncat")
      child.closeInput()
      #expect(try connection.receiveLine(within: .seconds(20)) == nil)
      try connection.send("to ncat\n")
      #expect(try child.readLine(within: .seconds(20)) == "to ncat")
      let report = connection.close()
      #expect(report.ending == .peerFinished, "\(report)")
      #expect(try child.wait() == .exited(0))
    }
  }

  @Test("ncat as a client; both directions are closed one after the other", .needsProgram("ncat"))
  func ncatClient() throws {
    try answerAClient("ncat") { ["127.0.0.1", "\($0)"] }
  }

  @Test("curl reads a Fin server's answer to EOF", .needsProgram("curl"))
  func curlGets() throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let handle = listener.handle
    let port = listener.localAddress.port ?? 0
    let body = String(repeating: "0123456789", count: 50_000)
    let client = onThread { () throws -> (Int, Child.Exit) in
      defer { handle.stop() }
      let program = Programs.find("curl") ?? "curl"
      return try withChild(program, ["-s", "-m", "20", "http://127.0.0.1:\(port)/"]) { child in
        (try child.readToEnd(within: .seconds(20)).utf8.count, try child.wait())
      }
    }
    let report = listener.serve(threads: 2) { connection in
      _ = try connection.receive(until: Array("\r\n\r\n".utf8))
      // Without Content-Length, EOF ends the answer.
      try connection.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
      try connection.send(body)
    }
    let (count, exit) = try client.join(within: .seconds(30))
    #expect(count == 500_000)
    #expect(exit == .exited(0))
    #expect(report.endings == [.peerFinished: 1], "\(report)")
  }

  @Test("curl, reset in the middle of the answer, knows that it was cut off", .needsProgram("curl"))
  func curlIsCut() throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let program = try #require(Programs.find("curl"))
    try withChild(program, ["-sN", "-m", "20", "http://127.0.0.1:\(listener.localAddress.port ?? 0)/"]) { child in
      let connection = try listener.accept(within: .seconds(20))
      _ = try connection.receive(until: Array("\r\n\r\n".utf8))
      try connection.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhalf\n")
      #expect(try child.readLine(within: .seconds(20)) == "half")
      connection.abort()
      // Exit status 56: failure in receiving network data. With an EOF curl would have succeeded.
      let exit = try child.wait()
      #expect(exit == .exited(56))
    }
    listener.close()
  }

  @Test("curl posts more than the server reads: a lingering close lets it read the answer", .needsProgram("curl"))
  func curlPosts() throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let program = try #require(Programs.find("curl"))
    let handle = listener.handle
    let port = listener.localAddress.port ?? 0
    let client = onThread { () throws -> (String, Child.Exit) in
      defer { handle.stop() }
      let arguments = [
        "-s", "-m", "20", "-H", "Expect:", "--data-binary", "@-", "http://127.0.0.1:\(port)/",
      ]
      return try withChild(program, arguments) { child in
        try child.write(String(repeating: "x", count: 300_000))
        child.closeInput()
        return (try child.readToEnd(within: .seconds(20)), try child.wait())
      }
    }
    let report = listener.serve(threads: 2) { connection in
      _ = try connection.receive(until: Array("\r\n\r\n".utf8))
      // The body is not read. Closing now without lingering would send a reset, which would destroy the answer.
      try connection.send("HTTP/1.1 413 Too Large\r\nContent-Length: 9\r\nConnection: close\r\n\r\ntoo large")
    }
    let (answer, exit) = try client.join(within: .seconds(30))
    #expect(answer == "too large")
    #expect(exit == .exited(0))
    #expect(report.endings == [.peerFinished: 1], "\(report)")
  }
}
