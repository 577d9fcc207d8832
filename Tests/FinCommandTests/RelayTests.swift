import FoundationEssentials
import Glibc
import Peers
import TestTraits
import Testing

@testable import FinCommand

@Suite("fin relay: each end is what a direct connection gives", .onThreads, .timeLimit(.minutes(30)))
struct RelayTests {
  /// The observations of both without anything between them.
  private static func direct(_ scene: RelayScene) throws -> [String] {
    let listener = try PlainSocket.listening()
    let client = try PlainSocket.connected(to: "127.0.0.1", port: listener.port)
    return try scene.play(client, try listener.accept())
  }

  @Test("over TCP, each scene", arguments: RelayScene.all)
  func scenes(_ scene: RelayScene) throws {
    let expected = onThread { try Self.direct(scene) }
    let relay = try Relaying()
    let pair = try relay.pair()
    let seen = try scene.play(pair.client, pair.server)
    #expect(try seen == expected.join())
    let line = try relay.line()
    #expect(line.hasPrefix("127.0.0.1:") && line.contains(" to 127.0.0.1:\(relay.target.port): "), "\(line)")
    #expect(try relay.stop().status == .exited(0))
  }

  @Test("from a Unix socket to another one: the ends are kept, and the line names the client's process")
  func unix() throws {
    let scratch = try Scratch()
    let listener = try PlainSocket.listening(onUnix: scratch.path + "/target")
    let relay = try Talker(["relay", scratch.path + "/relay", scratch.path + "/target"])
    let says = try relay.child.readLine(within: .seconds(60)) ?? ""
    #expect(says == "listening at \(scratch.path)/relay, for \(scratch.path)/target", "\(says)")
    let client = try PlainSocket.connected(toUnix: scratch.path + "/relay")
    let server = try listener.awaitClient()
    let seen = try RelayScene.halfClose.play(client, server)
    #expect(seen == ["100 bytes, numbered, FIN", "1000000 bytes, numbered, FIN"])
    let line = try relay.child.readLine(within: .seconds(60)) ?? ""
    #expect(line.hasPrefix("pid \(getpid()) to \(scratch.path)/target: both finished; "), "\(line)")
    relay.child.signal(SIGTERM)
    _ = try relay.child.readToEnd(within: .seconds(60))
    #expect(try relay.child.wait() == .exited(0))
    #expect(!FileManager.default.fileExists(atPath: scratch.path + "/relay"))
  }

  @Test("the line of each ending says which side ended how, with the bytes of each direction")
  func lines() throws {
    let relay = try Relaying("--idle", "2s", "--half-closed", "300ms")
    func line(_ scene: RelayScene) throws -> String {
      let pair = try relay.pair()
      _ = try scene.play(pair.client, pair.server)
      return try relay.line().split(separator: ": ", maxSplits: 1).last.map(String.init) ?? ""
    }
    #expect(try line(.halfClose).hasPrefix("both finished; 100 bytes there, 1,000,000 back; "))
    #expect(try line(.serverResets).hasPrefix("the target reset; 0 bytes there, 10,000 back; "))
    #expect(try line(.clientResets).hasPrefix("the client reset; 10,000 bytes there, 0 back; "))
    let late = try line(.resetAfterHalfClose)
    #expect(late.hasPrefix("the client finished; 100 bytes there, 0 back; "), "\(late)")
    let idle = try relay.pair()
    let silent = try relay.line()
    #expect(silent.contains(": timed out (no byte moved); 0 bytes there, 0 back; "), "\(silent)")
    #expect(idle.client.awaitEnd() == ECONNRESET && idle.server.awaitEnd() == ECONNRESET)
    let half = try relay.pair()
    try half.client.finishSending()
    let closed = try relay.line()
    #expect(closed.contains(": the client finished, the target timed out (no byte moved after "), "\(closed)")
    #expect(half.client.awaitEnd() == ECONNRESET)
  }

  // MARK: Targets

  @Test("a target that refuses: the next one takes the connection, in the order that was given")
  func failover() throws {
    let refusing = try PlainSocket.listening()
    let port = refusing.port
    refusing.close()
    let relay = try Relaying(words: ["127.0.0.1:1"], before: ["127.0.0.1:\(port)"])
    let pair = try relay.pair()
    try pair.client.finishSending()
    try pair.server.finishSending()
    let line = try relay.line()
    #expect(line.contains(" to 127.0.0.1:\(relay.target.port): both finished"), "\(line)")
  }

  @Test("a target that does not answer costs a moment, and not its time-out")
  func deadTarget() throws {
    // A full queue: the kernel answers no further client.
    let deaf = try PlainSocket.listening(backlog: 0)
    let filler = try PlainSocket.connected(to: "127.0.0.1", port: deaf.port)
    let relay = try Relaying(words: ["--within", "60s"], before: ["127.0.0.1:\(deaf.port)"])
    let began = Deadline.now
    let pair = try relay.pair()
    #expect(Deadline.now - began < .seconds(30))
    try pair.client.finishSending()
    try pair.server.finishSending()
    #expect(try relay.line().contains(" to 127.0.0.1:\(relay.target.port): both finished"))
    _ = (deaf.descriptor, filler.descriptor)
  }

  @Test("no target takes the connection: the client is reset, and the line says which were tried")
  func noTarget() throws {
    let relay = try Talker(["relay", "127.0.0.1:0", "127.0.0.1:1", "[::1]:1", "--json"])
    let listening = try relay.child.readLine(within: .seconds(60)) ?? ""
    let port = try #require(
      listening.split(separator: "127.0.0.1:").dropFirst().first.flatMap { UInt16($0.prefix { $0.isNumber }) })
    let client = try PlainSocket.connected(to: "127.0.0.1", port: port)
    #expect(client.awaitEnd() == ECONNRESET)
    let line = try relay.child.readLine(within: .seconds(60)) ?? ""
    #expect(line.contains(#""event":"ended""#) && line.contains("127.0.0.1:1 "), "\(line)")
    #expect(line.contains(#""reason":"connect"#) && line.contains("[::1]:1 "), "\(line)")
  }

  // MARK: Stopping and taking over

  @Test("SIGTERM: a connection that ends in time ends whole, status 0; one that does not is reset, status 1")
  func draining() throws {
    let relay = try Relaying("--grace", "60s")
    let pair = try relay.pair()
    try pair.client.send(Array("before ".utf8))
    try pair.server.expect("before ")
    relay.child.signal(SIGTERM)
    let port = relay.port
    try eventually("no listener") { try KernelView.tcp(localPort: port).allSatisfy { $0.state != .listen } }
    try pair.client.send(Array("after".utf8))
    try pair.client.finishSending()
    try pair.server.expect("after")
    #expect(pair.server.awaitEnd() == 0)
    try pair.server.finishSending()
    let rest = try relay.child.readToEnd(within: .seconds(60))
    #expect(try relay.child.wait() == .exited(0))
    #expect(rest.contains(": both finished; 12 bytes there") && rest.contains("stopped: 1 served"), "\(rest)")

    let short = try Relaying("--grace", "200ms")
    let held = try short.pair()
    try held.client.send([1])
    _ = try held.server.receive()
    let (status, lines) = try short.stop()
    #expect(status == .exited(1), "\(lines)")
    #expect(lines.first?.contains(": reset (the relay stopped); 1 byte there") == true, "\(lines)")
    #expect(held.client.awaitEnd() == ECONNRESET && held.server.awaitEnd() == ECONNRESET)
  }

  @Test("a relay takes over from another one: a connection under way goes on, and no client fails")
  func handover() throws {
    let scratch = try Scratch()
    let path = scratch.path + "/handover"
    let first = try Relaying("--handover", path, "--grace", "60s")
    let long = try first.pair()
    try long.client.send([1])
    #expect(try long.server.receive() == [1])
    let second = try Talker([
      "relay", "127.0.0.1:\(first.port)", "127.0.0.1:\(first.target.port)", "--handover", path,
    ])
    let says = try second.child.readLine(within: .seconds(60)) ?? ""
    #expect(says.hasSuffix(", taken over"), "\(says) \(second.complaints)")
    #expect(try first.line().hasPrefix("handed over to"))
    let next = try first.pair()
    try next.client.finishSending()
    try next.server.finishSending()
    #expect(try second.child.readLine(within: .seconds(60))?.contains(": both finished") == true)
    try long.client.send([2])
    #expect(try long.server.receive() == [2])
    try long.client.finishSending()
    try long.server.finishSending()
    #expect(try first.line().contains(": both finished; 2 bytes there"))
    _ = try first.child.readToEnd(within: .seconds(60))
    #expect(try first.child.wait() == .exited(0))
    second.child.signal(SIGTERM)
    _ = try second.child.readToEnd(within: .seconds(60))
    #expect(try second.child.wait() == .exited(0))
  }

  @Test("a server's listener is not a relay's: status 69")
  func otherVerb() async throws {
    let scratch = try Scratch()
    let server = try Serving("--echo", "--handover", scratch.path + "/handover")
    let fin = try await Fin.run(
      "relay", "127.0.0.1:\(server.port)", "127.0.0.1:1", "--handover", scratch.path + "/handover")
    #expect(fin.status == 69 && fin.complaints.contains("it offers no listener of fin relay"), "\(fin)")
  }

  // MARK: Limits and proxies

  @Test("one more client of an address than --per-peer is reset")
  func perPeer() throws {
    let relay = try Relaying("--per-peer", "1")
    let pair = try relay.pair()
    #expect(try relay.connect().awaitEnd() == ECONNRESET)
    pair.client.close()
    pair.server.close()
    #expect(try relay.stop().lines.last == "stopped: 1 served: 1 peer finished; 1 refused")
  }

  @Test("the header of one proxy is read, and another one is written for the target, before the first byte")
  func proxies() throws {
    let relay = try Relaying("--proxy", "--trust", "127.0.0.1", "--send-proxy")
    let client = try relay.connect()
    try client.send(Array("PROXY TCP4 192.0.2.7 10.0.0.1 4433 80\r\nhello".utf8))
    let server = try relay.target.awaitClient()
    var seen: [UInt8] = []
    while seen.count < 33 { seen += try server.receive(upTo: 33 - seen.count) }
    let signature: [UInt8] = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]
    let ports = [UInt8(4433 >> 8), UInt8(4433 & 0xff), UInt8(relay.port >> 8), UInt8(relay.port & 0xff)]
    #expect(seen == signature + [0x21, 0x11, 0, 12, 192, 0, 2, 7, 127, 0, 0, 1] + ports + Array("hello".utf8))
    try client.finishSending()
    try server.finishSending()
    let line = try relay.line()
    #expect(line.contains(" for 192.0.2.7:4433 to 127.0.0.1:"), "\(line)")
    #expect(line.contains(": both finished; 5 bytes there, 0 back"), "\(line)")
    let stranger = try relay.connect()
    try stranger.send(Array("GET / HTTP/1.1\r\n\r\n".utf8))
    #expect(stranger.awaitEnd() == ECONNRESET)
    #expect(try relay.line().contains(": refused ("))
  }

  @Test(
    "options that make no sense alone or together",
    arguments: [
      ["127.0.0.1:0"], ["127.0.0.1:0", "127.0.0.1:1", "--proxy"], ["127.0.0.1:0", "127.0.0.1:1", "--trust", "::1"],
      ["/tmp/never", "127.0.0.1:1", "--proxy", "--trust", "127.0.0.1"], ["127.0.0.1:0", "nonsense"],
      ["127.0.0.1:0", "127.0.0.1:1", "--connections", "0"], ["127.0.0.1:0", "127.0.0.1:1", "--target-name", "x"],
      ["127.0.0.1:0", "127.0.0.1:1", "--target-ca", "x.pem"], ["127.0.0.1:0", "127.0.0.1:1", "--handover", "a:1"],
    ])
  func nonsense(words: [String]) async throws {
    let fin = try await Fin.run(["relay"] + words)
    #expect(fin.status == 64 && fin.output.isEmpty, "\(fin)")
  }

  @Test("an address that is in use: status 69")
  func refused() async throws {
    let taken = try PlainSocket.listening()
    #expect(try await Fin.run("relay", "127.0.0.1:\(taken.port)", "127.0.0.1:1").status == 69)
  }

  @Test("the JSON lines have the keys of the schema")
  func schema() async throws {
    let page = try await Fin.run(["help", "json", "relay"], columns: 1000)
    let relay = try Relaying("--json", "--per-peer", "1")
    let pair = try relay.pair()
    #expect(try relay.connect().awaitEnd() == ECONNRESET)
    pair.client.close()
    pair.server.close()
    var lines = [try relay.line()]
    let (status, rest) = try relay.stop()
    lines += rest
    let lone = try Talker(["relay", "127.0.0.1:0", "127.0.0.1:1", "127.0.0.1:2", "--json"])
    let listening = try lone.child.readLine(within: .seconds(60)) ?? ""
    lines.append(listening)
    let port = try #require(
      listening.split(separator: "127.0.0.1:").dropFirst().first.flatMap { UInt16($0.prefix { $0.isNumber }) })
    #expect(try PlainSocket.connected(to: "127.0.0.1", port: port).awaitEnd() == ECONNRESET)
    lines.append(try lone.child.readLine(within: .seconds(60)) ?? "")
    #expect(status == .exited(0) && lines.count >= 4, "\(lines)")
    for line in lines { try SchemaTests.expect(Fin(status: 0, output: line, complaints: ""), toHave: page) }
  }

  @Test(
    "on a terminal: a line with the connections and both rates, which goes away for the other lines and at the end",
    .enabled(if: Programs.find("python3") != nil, "needs python3, to make a terminal"))
  func liveRates() async throws {
    let script = """
      import os, pty, re, select, signal, socket, subprocess, sys
      listener = socket.create_server(("127.0.0.1", 0))
      ours, theirs = pty.openpty()
      fin = subprocess.Popen([sys.argv[1], "relay", "127.0.0.1:0", "127.0.0.1:%d" % listener.getsockname()[1]],
                             stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs)
      os.close(theirs)
      text = b""
      def read_until(pattern, more=lambda: None):
          global text
          while not (found := re.search(pattern, text)):
              more()
              if select.select([ours], [], [], 0.01)[0]: text += os.read(ours, 1000)
          text = text[found.end():]
          return found
      port = int(read_until(rb"listening at 127.0.0.1:(\\d+),").group(1))
      client = socket.create_connection(("127.0.0.1", port))
      server, _ = listener.accept()
      def push():
          client.sendall(bytes(1 << 16))
          server.recv(1 << 16, socket.MSG_WAITALL)
      read_until(rb"\\r1 connection, [0-9.]+ [KMG]iB/s to the target, 0 bytes/s back", push)
      client.close()
      server.close()
      read_until(rb"\\r +\\r127.0.0.1:\\d+ to 127.0.0.1:\\d+: both finished; ")
      read_until(rb"\\r0 connections, 0 bytes/s to the target, 0 bytes/s back")
      fin.send_signal(signal.SIGTERM)
      read_until(rb"\\r +\\rstopped: 1 served")
      try:
          while part := os.read(ours, 1000): text += part
      except OSError: pass
      print(fin.wait(), b"bytes/s" in text)
      """
    let fin = try await Fin.run(program: "python3", ["-c", script, Fin.path])
    #expect(fin.output == "0 False\n", "\(fin)")
  }

  @Test("the line of the rates, and the line that it leaves")
  func rates() {
    let text = RelayRates.text(open: 3, forward: 1_572_864, backward: 512)
    #expect(text == "3 connections, 1.5 MiB/s to the target, 512 bytes/s back")
  }
}
