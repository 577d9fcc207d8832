import FoundationEssentials
import Glibc
import Peers
import TestTraits
import Testing

@testable import FinCommand

@Suite("fin connect: both directions to their ends, and a true report", .onThreads, .timeLimit(.minutes(30)))
struct ConnectTests {
  /// A `fin connect`, and the peer that it is connected to.
  private struct Meeting: ~Copyable {
    let talker: Talker
    let peer: PlainSocket

    consuming func takePeer() -> PlainSocket { peer }
  }

  /// Starts a `fin connect` to a listener of the test, and accepts it.
  private func meet(_ options: String...) throws -> Meeting {
    let listener = try PlainSocket.listening()
    let talker = try Talker(["connect", "127.0.0.1:\(listener.port)"] + options)
    let peer = try listener.awaitClient()
    return Meeting(talker: talker, peer: peer)
  }

  @Test("a peer that finishes first, and goes on reading, gets the input to its end")
  func peerFinishesFirst() throws {
    let meeting = try meet()
    let talker = meeting.talker
    let peer = meeting.takePeer()
    try peer.send(Array("first\n".utf8))
    try peer.finishSending()
    #expect(try talker.child.readLine() == "first")
    try talker.child.write("more")
    try peer.expect("more")
    try talker.child.write("last")
    talker.child.closeInput()
    #expect(try peer.receiveAll() == Array("last".utf8))
    #expect(try talker.child.wait() == .exited(0))
    #expect(talker.complaints.contains("both sides have finished: 8 bytes sent, all acknowledged; 6 bytes received;"))
  }

  @Test("the end of the input is the end of file for the peer, whose answer still arrives")
  func inputEndsFirst() throws {
    let meeting = try meet()
    let talker = meeting.talker
    let peer = meeting.takePeer()
    try talker.child.write("question")
    talker.child.closeInput()
    #expect(try peer.receiveAll() == Array("question".utf8))
    try peer.send(Array("answer\n".utf8))
    #expect(try talker.child.readLine() == "answer")
    peer.close()
    #expect(try talker.child.wait() == .exited(0))
  }

  @Test("with --no-half-close the peer sees no end before it finishes itself")
  func noHalfClose() throws {
    let meeting = try meet("--no-half-close")
    let talker = meeting.talker
    let peer = meeting.takePeer()
    try talker.child.write("question")
    talker.child.closeInput()
    try peer.expect("question")
    // The kernel of the peer would have counted a FIN as CLOSE-WAIT.
    try peer.send(Array("answer\n".utf8))
    #expect(try talker.child.readLine() == "answer")
    #expect(peer.state == .established)
    try peer.finishSending()
    #expect(try peer.receiveAll() == [])
    #expect(try talker.child.wait() == .exited(0))
  }

  @Test("a reset in the middle: status 5, after the bytes that came before it")
  func reset() throws {
    let meeting = try meet()
    let talker = meeting.talker
    let peer = meeting.takePeer()
    try talker.child.write("hello")
    try peer.expect("hello")
    try peer.send(Array("part\n".utf8))
    #expect(try talker.child.readLine() == "part")
    peer.abort()
    #expect(try talker.child.wait() == .exited(5))
    #expect(talker.complaints.contains("reset by the peer"), "\(talker.complaints)")
    #expect(talker.complaints.contains("5 bytes sent") && talker.complaints.contains("5 bytes received"))
  }

  @Test("a reset after the peer had finished is noticed, although the input waits")
  func resetBehindTheEnd() throws {
    let meeting = try meet()
    let talker = meeting.talker
    let peer = meeting.takePeer()
    try peer.finishSending()
    try eventually("the FIN is acknowledged") { peer.outgoingQueue == 0 }
    peer.abort()
    #expect(try talker.child.wait() == .exited(5))
    #expect(talker.complaints.contains("lost after the peer had finished"), "\(talker.complaints)")
  }

  @Test("a peer that closes without reading: the bytes that its kernel did not take are counted, in JSON too")
  func undelivered() throws {
    let meeting = try meet("--json")
    let talker = meeting.talker
    let peer = meeting.takePeer()
    peer.setOption(SOL_SOCKET, SO_RCVBUF, 4096)
    let writer = onThread { try? talker.child.write(String(repeating: "x", count: 8 << 20)) }
    try eventually("the peer's queue is full") { peer.incomingQueue > 1000 }
    peer.close()
    let status = try talker.child.wait()
    _ = try? writer.join(within: .seconds(30))
    #expect(status == .exited(5))
    struct Report: Decodable { var status, bytesSent, bytesNotSent, bytesUnacknowledged: Int, isDelivered: Bool }
    let report = try JSONDecoder().decode(Report.self, from: Data(talker.complaints.utf8))
    #expect(report.status == 5 && !report.isDelivered)
    #expect(report.bytesSent > 0 && report.bytesNotSent + report.bytesUnacknowledged > 0, "\(report)")
  }

  @Test("an input that is closed, empty or a file", arguments: ["<&-", "< /dev/null", "< \"$1\""])
  func inputs(redirection: String) async throws {
    let scratch = try Scratch()
    let text = redirection.contains("$1") ? String(repeating: "0123456789abcdef", count: 50_000) : ""
    try Data(text.utf8).write(to: URL(filePath: scratch.path + "/in"))
    let server = try Serving("--echo")
    let script = "set -- \(server.port) \(scratch.path)/in; exec \"$0\" connect 127.0.0.1:$1"
      .replacing("$1", with: "\(server.port)")
    let fin = try await Fin.shell(script + " " + redirection.replacing("$1", with: scratch.path + "/in"))
    #expect(fin.status == 0 && fin.output == text, "\(fin.complaints)")
    let line = try server.line()
    #expect(line.contains(": peer finished; \(Phrase.noun(text.count, "byte")) received"), "\(line)")
  }

  @Test(
    "an output that is full or closed: status 74, a report, and a reset for the peer", arguments: ["/dev/full", "&-"])
  func outputs(target: String) async throws {
    let server = try Serving("--echo", "--json")
    let fin = try await Fin.shell("printf hello | \"$0\" connect 127.0.0.1:\(server.port) >\(target)")
    #expect(fin.status == 74, "\(fin)")
    #expect(fin.complaints.contains("output could not be written") && fin.complaints.contains("5 bytes not written"))
  }

  @Test("a reader that has gone: status 74, and the peer is reset")
  func readerHasGone() async throws {
    let server = try Serving("--chargen")
    let fin = try await Fin.shell(
      "{ \"$0\" connect --no-half-close 127.0.0.1:\(server.port) < /dev/null; echo $? >&2; } | head -c 10 > /dev/null")
    #expect(fin.complaints.contains("broken pipe (EPIPE)") && fin.complaints.contains("74\n"), "\(fin)")
    #expect(try server.line().contains("reset by the peer"))
  }

  @Test("a signal resets the connection, is reported, and ends the command", arguments: [SIGINT, SIGTERM, SIGHUP])
  func signals(number: CInt) throws {
    let meeting = try meet()
    let talker = meeting.talker
    let peer = meeting.takePeer()
    try talker.child.write("part")
    try peer.expect("part")
    talker.child.signal(number)
    #expect(peer.awaitEnd() == ECONNRESET)
    #expect(try talker.child.wait() == .signalled(number))
    #expect(talker.complaints.contains("; the connection was reset: 4 bytes sent"), "\(talker.complaints)")
  }

  @Test("a signal after everything was sent and finished closes the connection without a reset")
  func signalBehindTheEnd() throws {
    let meeting = try meet()
    let talker = meeting.talker
    let peer = meeting.takePeer()
    try talker.child.write("whole")
    talker.child.closeInput()
    #expect(try peer.receiveAll() == Array("whole".utf8))
    talker.child.signal(SIGTERM)
    #expect(try talker.child.wait() == .signalled(SIGTERM))
    #expect(peer.pendingError == 0 && peer.state == .closeWait)
    #expect(talker.complaints.contains("5 bytes sent, all acknowledged"), "\(talker.complaints)")
  }

  @Test("a slow reader of the output holds the peer back, and costs no processor time")
  func slowReader() throws {
    let meeting = try meet()
    let talker = meeting.talker
    let peer = meeting.takePeer()
    let flags = fcntl(peer.descriptor, F_GETFL)
    _ = fcntl(peer.descriptor, F_SETFL, flags | O_NONBLOCK)
    var sent = 0
    let chunk = [UInt8](repeating: 7, count: 65536)
    var quiet = 0
    try eventually("the peer can send no more") {
      let count = unsafe chunk.withUnsafeBytes { unsafe Glibc.send(peer.descriptor, $0.baseAddress, $0.count, 0) }
      if count > 0 { sent += count }
      quiet = count > 0 ? 0 : quiet + 1
      return quiet > 20
    }
    #expect(sent < 64 << 20)
    let before = try talker.ticks()
    try steadily(for: .milliseconds(500), "the processor time", equals: true) { try talker.ticks() - before < 10 }
  }

  @Test("silence ends the conversation where --idle says so: status 6, and the peer is reset")
  func idle() throws {
    let meeting = try meet("--idle", "300ms")
    let talker = meeting.talker
    let peer = meeting.takePeer()
    #expect(peer.awaitEnd() == ECONNRESET)
    #expect(try talker.child.wait() == .exited(6))
    #expect(talker.complaints.contains("--idle"))
  }

  @Test("no connection: refused, no such path, no such name, no answer, no sense, each with its status")
  func refused() async throws {
    let scratch = try Scratch()
    let listener = try PlainSocket.listening()
    let port = listener.port
    listener.close()
    for (words, status, text) in [
      (["127.0.0.1:\(port)"], 69, "ECONNREFUSED"), ([scratch.path + "/none"], 69, "no such path"),
      (["no-such-host.invalid:1"], 68, "no-such-host.invalid"), (["127.0.0.1"], 64, "port"),
      (["127.0.0.1:1", "--from", "x"], 64, "--from"),
    ] as [([String], Int32, String)] {
      let fin = try await Fin.run(["connect"] + words)
      #expect(fin.status == status && fin.complaints.contains(text), "\(words) \(fin)")
    }
  }

  @Test("a listener whose queue stays full: status 6 after --within")
  func unanswered() async throws {
    let name = "@fin-full-\(getpid())-\(UUID().uuidString.prefix(8))"
    let listener = try PlainSocket.listening(onUnix: name, backlog: 0)
    let filler = try PlainSocket.connected(toUnix: name)
    let fin = try await Fin.run("connect", name, "--within", "200ms")
    #expect(fin.status == 6 && fin.complaints.contains("stayed full"), "\(fin)")
    _ = (listener.descriptor, filler.descriptor)
  }

  @Test(
    "every failed address is reported, with its cause, also when another one answers",
    .enabled(if: hostsHaveTwo, "needs both addresses of localhost in /etc/hosts"))
  func attempts() async throws {
    struct Report: Decodable {
      struct Attempt: Decodable { var address, failure: String }
      var status: Int
      var remote: String?
      var failedAttempts: [Attempt]
    }
    let server = try PlainSocket.listening()
    let path = "localhost:\(server.port)"
    let fin = try await Fin.run("connect", path, "--verbose", "--json", "--idle", "50ms", "--within", "20s")
    let last = try #require(fin.complaints.split(separator: "\n").last)
    let report = try JSONDecoder().decode(Report.self, from: Data(last.utf8))
    #expect(report.remote == "127.0.0.1:\(server.port)" && fin.complaints.contains("connected to 127.0.0.1"))
    #expect(report.failedAttempts.allSatisfy { $0.address == "[::1]:\(server.port)" && $0.failure.contains("REFUSED") })
    server.close()
    let none = try await Fin.run("connect", path, "--json")
    let refusal = try JSONDecoder().decode(Report.self, from: Data(none.complaints.utf8))
    #expect(refusal.status == 69 && none.status == 69 && refusal.failedAttempts.count == 2, "\(none)")
  }

  private static let hostsHaveTwo: Bool = {
    let lines = ((try? String(contentsOfFile: "/etc/hosts", encoding: .utf8)) ?? "").split(separator: "\n")
    let own = lines.filter { $0.split(whereSeparator: \.isWhitespace).contains("localhost") }
    return own.contains { $0.hasPrefix("127.") } && own.contains { $0.hasPrefix("::1") } && Privileges.hasIPv6
  }()

  @Test("--from is the address and the port that the peer sees")
  func source() async throws {
    let server = try Serving("--discard")
    let fin = try await Fin.run("connect", "127.0.0.1:\(server.port)", "--from", "127.9.8.7")
    #expect(fin.status == 0)
    #expect(try server.line().hasPrefix("127.9.8.7:"))
  }

  @Test(
    "a gibibyte there and back needs no more memory than a mebibyte",
    .enabled(if: Programs.find("python3") != nil, "needs python3, to read the memory of an ended process"))
  func memory() async throws {
    let server = try Serving("--echo")
    let script = """
      import os, subprocess, sys
      def most(count):
          source = subprocess.Popen(["head", "-c", str(count), "/dev/zero"], stdout=subprocess.PIPE)
          fin = subprocess.Popen([sys.argv[1], "connect", sys.argv[2]], stdin=source.stdout, stdout=subprocess.PIPE,
                                 stderr=subprocess.DEVNULL)
          source.stdout.close()
          total = 0
          while part := fin.stdout.read(1 << 20): total += len(part)
          _, status, usage = os.wait4(fin.pid, 0)
          source.wait()
          return total, os.waitstatus_to_exitcode(status), usage.ru_maxrss
      small, large = most(1 << 20), most(1 << 30)
      print(small[:2] == (1 << 20, 0) and large[:2] == (1 << 30, 0), large[2] - small[2] < 4096, small, large)
      """
    let fin = try await Fin.run(program: "python3", ["-c", script, Fin.path, "127.0.0.1:\(server.port)"])
    #expect(fin.output.hasPrefix("True True"), "\(fin)")
  }

  @Test(
    "a terminal: no line about progress beside typed text, and a hint when the peer has finished",
    .enabled(if: Programs.find("python3") != nil, "needs python3, to make a terminal"))
  func terminal() async throws {
    let script = """
      import os, pty, socket, subprocess, sys
      listener = socket.create_server(("127.0.0.1", 0))
      ours, theirs = pty.openpty()
      fin = subprocess.Popen([sys.argv[1], "connect", "127.0.0.1:%d" % listener.getsockname()[1]],
                             stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
      peer, _ = listener.accept()
      os.write(ours, b"typed\\n")
      seen = b""
      while not seen.endswith(b"\\n"): seen += peer.recv(100)
      peer.sendall(b"bye\\n"); peer.shutdown(socket.SHUT_WR)
      hint = fin.stderr.readline()
      os.write(ours, b"\\x04")
      rest = peer.recv(100)
      print(seen, fin.stdout.read(), b"Ctrl-D" in hint, rest, fin.wait(), b"\\r" in fin.stderr.read())
      """
    let fin = try await Fin.run(program: "python3", ["-c", script, Fin.path])
    #expect(fin.output == "b'typed\\n' b'bye\\n' True b'' 0 False\n", "\(fin)")
  }

  @Test(
    "bulk data on a terminal: a line with the amount and the rate, gone at the end",
    .enabled(if: Programs.find("python3") != nil, "needs python3, to make a terminal"))
  func progress() async throws {
    let script = """
      import os, pty, re, socket, subprocess, sys
      listener = socket.create_server(("127.0.0.1", 0))
      ours, theirs = pty.openpty()
      fin = subprocess.Popen([sys.argv[1], "connect", "127.0.0.1:%d" % listener.getsockname()[1]],
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=theirs)
      os.close(theirs)
      peer, _ = listener.accept()
      text = b""
      import select
      while not re.search(rb"\\r0 bytes sent, [0-9.]+ [MG]iB received, [0-9.]+ [KMG]iB/s", text):
          peer.sendall(bytes(1 << 20))
          if select.select([ours], [], [], 0.01)[0]: text += os.read(ours, 1000)
      peer.close()
      try:
          while part := os.read(ours, 1000): text += part
      except OSError: pass
      print(fin.wait(), re.search(rb"\\r +\\rfin: both sides have finished: 0 bytes sent; ", text) is not None)
      """
    let fin = try await Fin.run(program: "python3", ["-c", script, Fin.path])
    #expect(fin.output == "0 True\n", "\(fin)")
  }

  @Test("a server on a Unix socket: socat", .enabled(if: Programs.find("socat") != nil, "needs socat"))
  func socat() async throws {
    let scratch = try Scratch()
    let name = scratch.path + "/s"
    let child = try Child.spawn(try #require(Programs.find("socat")), ["-t", "60", "UNIX-LISTEN:\(name)", "EXEC:sort"])
    defer { child.end() }
    try awaitListener(at: name)
    let fin = try await Fin.shell("printf 'b\\na\\n' | \"$0\" connect \(name)")
    #expect(fin.status == 0 && fin.output == "a\nb\n", "\(fin)")
  }

  @Test("a server on a Unix socket: ncat", .enabled(if: Programs.find("ncat") != nil, "needs ncat"))
  func ncat() async throws {
    let scratch = try Scratch()
    let name = scratch.path + "/s"
    let child = try Child.spawn(try #require(Programs.find("ncat")), ["-lU", name])
    defer { child.end() }
    try awaitListener(at: name)
    try child.write("answer\n")
    child.closeInput()
    let fin = try await Fin.shell("printf question | \"$0\" connect \(name)")
    #expect(fin.status == 0 && fin.output == "answer\n" && fin.complaints.contains("all read by the peer"), "\(fin)")
    #expect(try child.readToEnd() == "question")
  }

  private func awaitListener(at path: String) throws {
    try eventually("a listener at \(path)") {
      // Foundation takes the first 4 KiB of a file in /proc for the whole.
      try KernelView.unix().contains { $0.path == path }
    }
  }
}
