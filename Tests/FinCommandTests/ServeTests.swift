import FoundationEssentials
import Glibc
import Peers
import TestTraits
import Testing

@testable import FinCommand

@Suite("fin serve: each service, its limits, and a true line for each ending", .onThreads, .timeLimit(.minutes(30)))
struct ServeTests {
  @Test("echo: what the client sends comes back, and both ends see the other finish")
  func echo() throws {
    let server = try Serving("--echo")
    let client = try server.connect()
    try client.send(Array("hello".utf8))
    try client.expect("hello")
    try client.finishSending()
    #expect(try client.receiveAll() == [])
    let line = try server.line()
    #expect(line.hasPrefix("127.0.0.1:\(client.port): peer finished; 5 bytes received, 5 sent; "), "\(line)")
    let (status, lines) = try server.stop()
    #expect(status == .exited(0) && lines == ["stopped: 1 served: 1 peer finished"], "\(lines)")
  }

  @Test("discard: a client may send without end, and its end is answered")
  func discard() throws {
    let server = try Serving("--discard")
    let client = try server.connect()
    try client.send([UInt8](repeating: 1, count: 3_000_000))
    try client.finishSending()
    #expect(try client.receiveAll() == [])
    #expect(try server.line().contains(": peer finished; 3,000,000 bytes received, 0 sent"))
  }

  @Test("chargen: lines of 72 characters, each one further, until the client finishes")
  func chargen() throws {
    let server = try Serving("--chargen")
    let client = try server.connect()
    var seen: [UInt8] = []
    while seen.count < 50_000 { seen += try client.receive() }
    try client.finishSending()
    while case let more = try client.receive(), !more.isEmpty { seen += more }
    let lines = String(decoding: seen, as: UTF8.self).split(separator: "\r\n")
    let printable = (0..<200).map { Character(Unicode.Scalar(UInt8(32 + $0 % 95))) }
    for (place, line) in lines.dropLast().enumerated() {
      let first = place % 95
      guard line == String(printable[first..<(first + 72)]) else {
        Issue.record("line \(place) is \(line)")
        break
      }
    }
    #expect(try server.line().contains(": peer finished; 0 bytes received, \(Phrase.number(seen.count)) sent"))
  }

  @Test("a client that resets: the line says so, and the server goes on")
  func clientReset() throws {
    let server = try Serving("--echo")
    let client = try server.connect()
    try client.send([1])
    _ = try client.receive()
    client.abort()
    let line = try server.line()
    #expect(line.contains("reset by the peer (ECONNRESET)"), "\(line)")
    let next = try server.connect()
    try next.send([2])
    #expect(try next.receive() == [2])
  }

  @Test("a Unix socket: the line names the client's process, and the path goes with the server")
  func unix() async throws {
    let scratch = try Scratch()
    let path = scratch.path + "/s"
    let server = try Talker(["serve", path, "--echo"])
    #expect(try server.child.readLine() == "listening at \(path)")
    let client = try Talker(["connect", path])
    try client.child.write("x\n")
    #expect(try client.child.readLine() == "x")
    client.child.closeInput()
    #expect(try client.child.wait() == .exited(0))
    #expect(try server.child.readLine()?.hasPrefix("pid \(client.child.number): peer finished; 2 bytes") == true)
    server.child.signal(SIGINT)
    #expect(try server.child.wait() == .exited(0))
    #expect(!FileManager.default.fileExists(atPath: path))
  }

  // MARK: Limits

  @Test("silence and length are limited: the client is reset, and the line names the limit")
  func deadlines() throws {
    let idle = try Serving("--echo", "--idle", "200ms")
    let silent = try idle.connect()
    #expect(silent.awaitEnd() == ECONNRESET)
    #expect(try idle.line().contains(": aborted (no byte moved for the time that --idle gives); 0 bytes received"))
    for service in [["--chargen"], ["--exec", "cat", "/dev/zero"], ["--exec", "sleep", "1000"]] {
      let whole = try Talker(["serve", "127.0.0.1:0", "--whole", "300ms"] + service)
      let port = UInt16((try whole.child.readLine() ?? "").split(separator: ":").last ?? "")
      let client = try PlainSocket.connected(to: "127.0.0.1", port: try #require(port))
      #expect(client.awaitEnd() == ECONNRESET)
      let line = try whole.child.readLine() ?? ""
      #expect(line.contains(": aborted (it lasted longer than --whole gives)"), "\(line)")
    }
  }

  @Test("one more client of an address than --per-peer is reset; one more than --connections waits")
  func counts() throws {
    let peers = try Serving("--echo", "--per-peer", "1")
    let first = try peers.connect()
    try first.send([1])
    _ = try first.receive()
    #expect(try peers.connect().awaitEnd() == ECONNRESET)
    first.close()
    _ = try peers.line()
    #expect(try peers.stop().lines.last == "stopped: 1 served: 1 peer finished; 1 refused")

    let one = try Serving("--echo", "--connections", "1")
    let served = try one.connect()
    try served.send([1])
    _ = try served.receive()
    let waiting = try one.connect()
    try waiting.send([2])
    try steadily(for: .milliseconds(200), "the answer", equals: 0) { waiting.incomingQueue }
    served.close()
    #expect(try waiting.receive() == [2])
  }

  @Test(
    "words that make no sense", arguments: [[], ["--echo", "--discard"], ["--echo", "--exec", "cat"], ["--exec"]])
  func nonsense(words: [String]) async throws {
    let fin = try await Fin.run(["serve", "127.0.0.1:0"] + words)
    #expect(fin.status == 64 && fin.output.isEmpty, "\(fin)")
  }

  @Test("an address in use: status 69, with its holder; a port that this user may not have: 77")
  func taken() async throws {
    let listener = try PlainSocket.listening()
    let fin = try await Fin.run("serve", "127.0.0.1:\(listener.port)", "--echo")
    #expect(fin.status == 69 && fin.complaints.contains("EADDRINUSE") && fin.output.isEmpty, "\(fin)")
    _ = listener.descriptor
  }

  // MARK: Stopping

  @Test("SIGTERM lets a conversation come to its end, and refuses new ones")
  func drain() throws {
    let server = try Serving("--echo")
    let client = try server.connect()
    try client.send([1])
    _ = try client.receive()
    server.child.signal(SIGTERM)
    try eventually("new clients are refused") { (try? server.connect()) == nil }
    try client.send([2])
    #expect(try client.receive() == [2])
    client.close()
    // A client that came before the signal was heard has a line too.
    let lines = try server.linesToEnd()
    #expect(lines.contains { $0.contains("peer finished; 2 bytes received") }, "\(lines)")
    let last = lines.last ?? ""
    #expect(last.hasPrefix("stopped: ") && last.hasSuffix(" peer finished") && !last.contains("aborted"), "\(lines)")
    #expect(try server.child.wait() == .exited(0))
  }

  @Test("what is left after --grace, or at a second signal, is reset: status 1", arguments: [false, true])
  func grace(isImpatient: Bool) throws {
    let server = try Serving("--echo", "--grace", isImpatient ? "1h" : "200ms")
    let client = try server.connect()
    try client.send([1])
    _ = try client.receive()
    server.child.signal(SIGTERM)
    if isImpatient {
      try eventually("the first signal is heard") { (try? server.connect()) == nil }
      server.child.signal(SIGINT)
    }
    #expect(client.awaitEnd() == ECONNRESET)
    let lines = try server.linesToEnd()
    #expect(lines.contains { $0.contains(": aborted (the server stopped); 1 byte received, 1 sent") }, "\(lines)")
    #expect(lines.last?.hasSuffix("1 aborted at the stop") == true, "\(lines)")
    #expect(try server.child.wait() == .exited(1))
  }

  @Test("lines that cannot be written stop the server: status 74")
  func fullLog() async throws {
    let fin = try await Fin.shell("exec \"$0\" serve 127.0.0.1:0 --echo > /dev/full")
    #expect(fin.status == 74 && fin.complaints.contains("could not be written"), "\(fin)")
  }
}
