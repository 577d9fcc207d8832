import FoundationEssentials
import Glibc
import Peers
import Synchronization
import TestTraits
import Testing

@testable import FinCommand

@Suite(
  "fin serve: handing over, behind a proxy, and a farewell to those whom a limit refuses", .onThreads,
  .timeLimit(.minutes(30)))
struct ServeHandoverTests {
  /// Clients that connect, ask and leave until they are ended.
  private final class Crowd: Sendable {
    private let isOver = Atomic<Bool>(false)
    private let counts = Mutex<(served: Int, failures: [String])>((0, []))
    private let threads: Mutex<[Joining<Bool>]> = Mutex([])

    init(_ count: Int, _ port: UInt16) {
      let all = (0..<count).map { _ in
        onThread {
          while !self.isOver.load(ordering: .acquiring) {
            do {
              let client = try PlainSocket.connected(to: "127.0.0.1", port: port, within: .seconds(60))
              client.setTimeouts(.seconds(60))
              try client.send(Array("x\n".utf8))
              try client.finishSending()
              let answer = try client.receiveAll()
              guard answer == Array("x\n".utf8) else { throw RigError("the answer \(answer)") }
              self.counts.withLock { $0.served += 1 }
            } catch { self.counts.withLock { $0.failures.append("\(error)") } }
          }
          return true
        }
      }
      threads.withLock { $0 = all }
    }

    func awaitMore(_ count: Int) throws {
      let before = counts.withLock { $0.served }
      try eventually(within: .seconds(60), "more answers") { self.counts.withLock { $0.served } >= before + count }
    }

    func end() throws -> [String] {
      isOver.store(true, ordering: .releasing)
      for thread in threads.withLock({ $0 }) { _ = try thread.join(within: .seconds(60)) }
      return counts.withLock { $0.failures }
    }
  }

  @Test(
    "three servers, each taking over from the one before under load: no client fails, and the path goes with the last")
  func handover() throws {
    let scratch = try Scratch()
    let path = scratch.path + "/handover"
    let first = try Serving("--echo", "--handover", path)
    // A conversation that is under way stays with its server.
    let long = try first.connect()
    try long.send(Array("1".utf8))
    try long.expect("1")
    let lines = Self.read(first.talker)
    let crowd = Crowd(16, first.port)
    try crowd.awaitMore(200)
    let second = try Self.takeOver(first.port, path)
    let moreLines = Self.read(second)
    try crowd.awaitMore(200)
    try long.send(Array("2".utf8))
    try long.expect("2")
    long.close()
    try Self.expectEnd(of: first.talker, lines, afterHandingOverTo: second)
    let last = try Self.takeOver(first.port, path)
    let lastLines = Self.read(last)
    try crowd.awaitMore(200)
    try Self.expectEnd(of: second, moreLines, afterHandingOverTo: last)
    #expect(try crowd.end() == [])
    last.child.signal(SIGTERM)
    _ = try lastLines.join(within: .seconds(60))
    #expect(try last.child.wait() == .exited(0))
    #expect(!FileManager.default.fileExists(atPath: path))
  }

  private static func takeOver(_ port: UInt16, _ path: String) throws -> Talker {
    let next = try Talker(["serve", "127.0.0.1:\(port)", "--echo", "--handover", path])
    #expect(try next.child.readLine() == "listening at 127.0.0.1:\(port), taken over", "\(next.complaints)")
    return next
  }

  /// Reads the lines of a server from now on: it serves no client while the pipe is full, after a thousand clients.
  private static func read(_ server: Talker) -> Joining<String> {
    onThread { try server.child.readToEnd(within: .seconds(600)) }
  }

  private static func expectEnd(
    of server: Talker, _ lines: Joining<String>, afterHandingOverTo next: Talker
  ) throws {
    let lines = try lines.join(within: .seconds(60)).split(separator: "\n")
    #expect(try server.child.wait() == .exited(0))
    let report = lines.first { $0.hasPrefix("handed over to") } ?? ""
    #expect(report.contains("\(next.child.number)"), "\(lines.suffix(3))")
    let stopped = lines.last ?? ""
    #expect(stopped.hasPrefix("stopped: ") && stopped.hasSuffix(" peer finished"), "\(stopped)")
  }

  @Test("a successor with another address: status 69, with both addresses; the first one goes on")
  func elsewhere() throws {
    let scratch = try Scratch()
    let first = try Serving("--echo", "--handover", scratch.path + "/handover")
    // One that takes over nevertheless does not end: its first line says so.
    let other = try Talker(["serve", "127.0.0.1:1", "--echo", "--handover", scratch.path + "/handover"])
    guard try other.child.readLine() == nil else { throw RigError("it serves: \(other.complaints)") }
    #expect(try other.child.wait() == .exited(69))
    let complaint = "it listens at 127.0.0.1:\(first.port), and not at 127.0.0.1:1"
    #expect(other.complaints.contains(complaint), "\(other.complaints)")
    let client = try first.connect()
    try client.send([1])
    #expect(try client.receive() == [1])
    client.close()
    #expect(try first.stop().status == .exited(0))
  }

  /// A program that begins with the ids of its server and its own, and then repeats each line.
  private static let program = "echo $PPID $$; while read -r line; do echo $line; done"

  /// A client of a program, and the ids that the program began with.
  private struct ProgramClient: ~Copyable {
    let socket: PlainSocket
    let server: String
    let program: String

    init(_ port: UInt16) throws {
      let client = try PlainSocket.connected(to: "127.0.0.1", port: port, within: .seconds(60))
      client.setTimeouts(.seconds(60))
      let words = String(decoding: try client.receive(), as: UTF8.self).split(whereSeparator: \.isWhitespace)
      guard words.count == 2 else { throw RigError("the program said \(words)") }
      socket = client
      server = String(words[0])
      program = String(words[1])
    }

    func exchange(_ text: String) throws {
      try socket.send(Array("\(text)\n".utf8))
      try socket.expect("\(text)\n")
    }

    func finish() throws {
      try socket.finishSending()
      #expect(try socket.receiveAll().isEmpty)
    }
  }

  @Test(
    "programs that run at a handover go on with their clients; at the end of --grace, or at a signal, they are ended",
    arguments: [false, true])
  func programs(bySignal: Bool) throws {
    let scratch = try Scratch()
    let words = ["--handover", scratch.path + "/handover", "--exec", "sh", "-c", Self.program]
    let grace = Duration.seconds(6)
    let first = try Serving(words: ["--grace", bySignal ? "600s" : "6s"] + words)
    let short = try ProgramClient(first.port)
    let long = try ProgramClient(first.port)
    #expect([short.server, long.server] == ["\(first.child.number)", "\(first.child.number)"])
    let start = ContinuousClock.now
    let second = try Talker(["serve", "127.0.0.1:\(first.port)"] + words)
    #expect(try second.child.readLine()?.hasSuffix(", taken over") == true, "\(second.complaints)")
    #expect(try first.line().hasPrefix("handed over to"))
    let next = try ProgramClient(first.port)
    #expect(next.server == "\(second.child.number)")
    try next.exchange("next")
    try long.exchange("long")
    try short.exchange("short")
    // One ends by itself, with a line as ever.
    try short.finish()
    let line = try first.line()
    #expect(line.contains(": peer finished; 6 bytes received, "), "\(line)")
    #expect(line.hasSuffix("; sh exited with status 0"), "\(line)")
    if bySignal { first.child.signal(SIGTERM) }
    #expect(long.socket.awaitEnd() == ECONNRESET)
    if !bySignal { #expect(ContinuousClock.now - start >= grace) }
    let rest = try first.linesToEnd()
    #expect(try first.child.wait() == .exited(1))
    #expect(rest.count == 2, "\(rest)")
    #expect(rest.first?.contains(": aborted (the server stopped); 5 bytes received, ") == true, "\(rest)")
    #expect(rest.first?.hasSuffix("; sh was ended by signal 15") == true, "\(rest)")
    #expect(rest.last?.hasPrefix("stopped: 2 served: 1 ") == true, "\(rest)")
    #expect(!FileManager.default.fileExists(atPath: "/proc/\(long.program)"))
    // The successor's program did not notice.
    try next.exchange("more")
    try next.finish()
    second.child.signal(SIGTERM)
    _ = try second.child.readToEnd()
    #expect(try second.child.wait() == .exited(0))
  }

  // MARK: The PROXY protocol

  private static let header = "PROXY TCP4 192.0.2.7 10.0.0.1 4433 80\r\n"

  @Test("behind a proxy: the line and the program's environment name both addresses")
  func proxied() throws {
    let server = try Serving(
      "--proxy", "--trust", "10.0.0.0/8", "--trust", "127.0.0.1", "--exec", "sh", "-c",
      "echo $FIN_ORIGINAL_ADDRESS $FIN_REMOTE_ADDRESS")
    let client = try server.connect()
    try client.send(Array(Self.header.utf8))
    try client.finishSending()
    let answer = String(decoding: try client.receiveAll(), as: UTF8.self)
    #expect(answer == "192.0.2.7:4433 127.0.0.1:\(client.port)\n")
    let line = try server.line()
    #expect(line.hasPrefix("127.0.0.1:\(client.port) for 192.0.2.7:4433: peer finished; 0 bytes received"), "\(line)")
  }

  @Test("a forged header, none at all, and one from an address that is not trusted: reset, each with its reason")
  func forged() throws {
    let server = try Serving("--proxy", "--trust", "127.0.0.1", "--echo")
    for text in ["GET / HTTP/1.1\r\n\r\n", "PROXY TCP4 192.0.2.7 10.0.0.1 4433 99999\r\n"] {
      let client = try server.connect()
      try client.send(Array(text.utf8))
      #expect(client.awaitEnd() == ECONNRESET)
      let line = try server.line()
      #expect(line.hasPrefix("127.0.0.1:\(client.port): refused (") && line.contains("PROXY"), "\(line)")
    }
    let stopped = try server.stop()
    #expect(stopped.status == .exited(0) && stopped.lines.last?.contains("2 without a proxy's header") == true)
    let other = try Serving("--proxy", "--trust", "10.0.0.0/8", "--echo", "--json")
    let client = try other.connect()
    try? client.send(Array((Self.header + "x\n").utf8))
    #expect(client.awaitEnd() == ECONNRESET)
    let line = try other.line()
    #expect(line.contains(#""event":"refused""#) && line.contains("is none of the proxies"), "\(line)")
  }

  @Test("a proxy that connects and says nothing: reset after --idle, with a line, and counted")
  func silentProxy() throws {
    let server = try Serving("--proxy", "--trust", "127.0.0.1", "--idle", "200ms", "--echo")
    let start = ContinuousClock.now
    let client = try server.connect()
    #expect(client.awaitEnd() == ECONNRESET)
    #expect(ContinuousClock.now - start >= .milliseconds(200))
    #expect(try server.line() == "127.0.0.1:\(client.port): refused (no whole PROXY header: timed out)")
    let stopped = try server.stop()
    #expect(stopped.status == .exited(0))
    #expect(stopped.lines == ["stopped: 1 served: 1 aborted; 1 without a proxy's header"])
  }

  // MARK: A farewell

  @Test("one more client than --per-peer gets the farewell and an end, behind a proxy by the address that it tells")
  func farewell() throws {
    let server = try Serving("--echo", "--per-peer", "1", "--farewell", "busy\n", "--proxy", "--trust", "127.0.0.1")
    let first = try server.connect()
    try first.send(Array((Self.header + "x").utf8))
    try first.expect("x")
    let second = try server.connect()
    try second.send(Array((Self.header + "a request that is never read").utf8))
    #expect(try second.receiveAll() == Array("busy\n".utf8))
    second.close()
    first.close()
    _ = try server.line()
    let last = try server.stop().lines.last
    #expect(last == "stopped: 1 served: 1 peer finished; 1 refused with a farewell")
  }

  @Test(
    "options that make no sense alone or together",
    arguments: [
      ["--proxy"], ["--trust", "127.0.0.1"], ["--proxy", "--trust", "10.0.0.1/8"], ["--farewell", "no"],
      ["--handover", "localhost:80"], ["--handover", ""],
    ])
  func nonsense(words: [String]) async throws {
    let fin = try await Fin.run(["serve", "127.0.0.1:0", "--echo"] + words)
    #expect(fin.status == 64 && fin.output.isEmpty, "\(fin)")
    let unix = try await Fin.run("serve", "/tmp/never", "--echo", "--proxy", "--trust", "127.0.0.1")
    #expect(unix.status == 64, "\(unix)")
  }

  @Test("the JSON lines of a handover, a refusal and a proxy's client have the keys of the schema")
  func schema() async throws {
    let scratch = try Scratch()
    let page = try await Fin.run(["help", "json", "serve"], columns: 1000)
    let words = ["--echo", "--json", "--proxy", "--trust", "127.0.0.1", "--handover", scratch.path + "/handover"]
    let first = try Talker(["serve", "127.0.0.1:0"] + words)
    let listening = try first.child.readLine() ?? ""
    let port = try #require(
      listening.split(separator: "127.0.0.1:").last.flatMap { UInt16($0.prefix { $0.isNumber }) }, "\(listening)")
    let client = try PlainSocket.connected(to: "127.0.0.1", port: port, within: .seconds(60))
    try client.send(Array((Self.header + "x").utf8))
    try client.expect("x")
    client.close()
    let forged = try PlainSocket.connected(to: "127.0.0.1", port: port)
    try forged.send(Array("GET /".utf8))
    #expect(forged.awaitEnd() == ECONNRESET)
    let second = try Talker(["serve", "127.0.0.1:\(port)"] + words)
    let taken = try second.child.readLine() ?? ""
    #expect(taken.contains(#""isTakenOver":true"#) && listening.contains(#""isTakenOver":false"#), "\(taken)")
    let rest = try first.child.readToEnd(within: .seconds(60)).split(separator: "\n").map(String.init)
    for event in ["ended", "refused", "handedOver", "stopped"] {
      #expect(rest.contains { $0.contains("\"event\":\"\(event)\"") }, "\(rest)")
    }
    #expect(rest.contains { $0.contains(#""original":"192.0.2.7:4433""#) }, "\(rest)")
    #expect(rest.contains { $0.contains("\"successor\":\(second.child.number)") }, "\(rest)")
    #expect(rest.last?.contains(#""proxiesRefused":1"#) == true, "\(rest)")
    for line in [listening, taken] + rest {
      try SchemaTests.expect(Fin(status: 0, output: line, complaints: ""), toHave: page)
    }
  }
}
