import FoundationEssentials
import Glibc
import Peers
import TestTraits
import Testing

@testable import FinCommand

@Suite("fin serve --exec keeps the ends of both sides", .onThreads, .timeLimit(.minutes(30)))
struct ServeProgramTests {
  @Test("the client's end is the program's end of file, and the program's end is the client's")
  func ends() throws {
    let server = try Serving("--exec", "sort")
    let client = try server.connect()
    try client.send(Array("b\na\n".utf8))
    try client.finishSending()
    #expect(try client.receiveAll() == Array("a\nb\n".utf8))
    let line = try server.line()
    #expect(line.contains(": peer finished; 4 bytes received, 4 sent; "), "\(line)")
    #expect(line.hasSuffix("; sort exited with status 0"), "\(line)")
  }

  @Test("a program that finishes its output first goes on reading to the client's end")
  func programFinishesFirst() throws {
    let scratch = try Scratch()
    let server = try Serving("--exec", "sh", "-c", "echo bye; exec 1>&-; cat > \(scratch.path)/rest; exit 7")
    let client = try server.connect()
    #expect(try client.receiveAll() == Array("bye\n".utf8))
    try client.send(Array("more".utf8))
    try client.finishSending()
    #expect(try server.line().contains("4 bytes received, 4 sent"))
    #expect(try String(contentsOfFile: scratch.path + "/rest", encoding: .utf8) == "more")
    #expect(try server.stop().status == .exited(0))
  }

  @Test("a program that a signal ends resets its client, which must not take a part for the whole")
  func crash() throws {
    let server = try Serving("--exec", "sh", "-c", "echo part; kill -9 $$")
    let client = try server.connect()
    #expect(client.awaitEnd() == ECONNRESET)
    let line = try server.line()
    #expect(line.contains(": aborted (sh was ended by signal 9); ") && line.hasSuffix("sh was ended by signal 9"))
  }

  @Test("a client that resets ends the program and its children, which are reaped")
  func clientReset() throws {
    let server = try Serving("--exec", "sh", "-c", "sleep 1000 & echo $$ $!; wait")
    let client = try server.connect()
    let pids = String(decoding: try client.receive(), as: UTF8.self).split(whereSeparator: \.isWhitespace)
    client.abort()
    let line = try server.line()
    #expect(line.contains("reset by the peer") && line.contains("sh was ended by signal 15"), "\(line)")
    #expect(pids.count == 2)
    for pid in pids {
      try eventually("process \(pid) is gone") { !FileManager.default.fileExists(atPath: "/proc/\(pid)") }
    }
  }

  @Test("a program whose client resets reads no end of file: it must not take a part for the whole")
  func noEndAfterReset() throws {
    let scratch = try Scratch()
    // Only the end of its input, or SIGKILL, ends it.
    let script = "trap '' TERM; echo there; cat > /dev/null; touch \(scratch.path)/whole"
    let server = try Serving("--exec", "sh", "-c", script)
    let client = try server.connect()
    try client.send(Array("a part".utf8))
    try client.expect("there\n")
    client.abort()
    let line = try server.line()
    #expect(line.contains("reset by the peer") && line.hasSuffix("sh was ended by signal 9"), "\(line)")
    #expect(!FileManager.default.fileExists(atPath: scratch.path + "/whole"))
  }

  @Test("a stop ends programs after --grace, also those that ignore SIGTERM or whose client has finished")
  func stop() throws {
    let server = try Serving(
      "--grace", "200ms", "--exec", "sh", "-c", "trap '' TERM; echo $$; while :; do sleep 1; done")
    let client = try server.connect()
    let pid = String(decoding: try client.receive(), as: UTF8.self).split(whereSeparator: \.isWhitespace)
    try client.finishSending()
    server.child.signal(SIGTERM)
    #expect(client.awaitEnd() == ECONNRESET)
    #expect(try server.line().hasSuffix("sh was ended by signal 9"))
    #expect(try server.child.wait() == .exited(1))
    #expect(pid.count == 1 && !FileManager.default.fileExists(atPath: "/proc/\(pid.first ?? "")"))
  }

  @Test("bytes that the program does not read are counted, and its answer still arrives whole")
  func unread() throws {
    let server = try Serving("--json", "--exec", "sh", "-c", "head -c 10; exec 0<&-; echo; echo done")
    let client = try server.connect()
    let sender = onThread(taking: client) { client in
      try? client.send([UInt8](repeating: 65, count: 1 << 20))
      try client.finishSending()
      return try client.receiveAll()
    }
    #expect(try sender.join(within: .seconds(60)) == Array("AAAAAAAAAA\ndone\n".utf8))
    struct Line: Decodable {
      struct Program: Decodable { var exitStatus, bytesUnread: Int }
      var ending: String
      var bytesDiscarded: Int
      var program: Program
    }
    let line = try JSONDecoder().decode(Line.self, from: Data(try server.line().utf8))
    #expect(line.ending == "peer finished" && line.program.exitStatus == 0)
    #expect(line.program.bytesUnread + line.bytesDiscarded > 0)
  }

  @Test("the program has three descriptors, leads a process group, and knows both addresses")
  func environment() throws {
    // Without a pipe, of which the shell would hold the ends for a moment.
    let script =
      "ls /proc/$$/fd; cut -d' ' -f5 /proc/$$/stat; echo $$ $FIN_LOCAL_ADDRESS $FIN_REMOTE_ADDRESS"
    let server = try Serving("--exec", "sh", "-c", script)
    let held = try server.connect()
    let client = try server.connect()
    let words = String(decoding: try client.receiveAll(), as: UTF8.self).split(whereSeparator: \.isWhitespace)
    #expect(words.prefix(3) == ["0", "1", "2"] && words.count == 7, "\(words)")
    #expect(words[3] == words[4] && words[5] == "127.0.0.1:\(server.port)" && words[6] == "127.0.0.1:\(client.port)")
    _ = held.descriptor
  }

  @Test("the program begins with the signals of the shell: none blocked, SIGPIPE not ignored")
  func signals() throws {
    let server = try Serving("--exec", "grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status")
    let client = try server.connect()
    let lines = String(decoding: try client.receiveAll(), as: UTF8.self).split(separator: "\n")
    #expect(lines.count == 2 && lines[0].hasSuffix("0000000000000000"), "\(lines)")
    let ignored = UInt64(lines.last?.split(whereSeparator: \.isWhitespace).last ?? "", radix: 16)
    #expect(ignored.map { $0 & (1 << UInt64(SIGPIPE - 1)) } == 0, "\(lines)")
  }

  // MARK: Real peers

  @Test("curl gets a whole answer over HTTP", .enabled(if: Programs.find("curl") != nil, "needs curl"))
  func curl() async throws {
    let answer = #"read -r line; printf 'HTTP/1.0 200 OK\r\nX-Line: %s\r\n\r\n' "${line%?}"; seq 1 50000"#
    let server = try Serving("--exec", "sh", "-c", answer)
    let run = try await Fin.run(program: "curl", ["-sS", "-i", "http://127.0.0.1:\(server.port)/path"])
    #expect(run.status == 0 && run.output.contains("X-Line: GET /path HTTP/1.1") && run.output.hasSuffix("\n50000\n"))
    let line = try server.line()
    #expect(line.contains(": peer finished; ") && line.hasSuffix("sh exited with status 0"), "\(line)")
  }

  private static let python = """
    import asyncio, sys
    async def main():
        reader, writer = await asyncio.open_connection("127.0.0.1", int(sys.argv[1]))
        writer.write(b"b\\na\\n"); writer.write_eof()
        sys.stdout.write((await reader.read()).decode())
        writer.close(); await writer.wait_closed()
    asyncio.run(main())
    """

  @Test("socat sends, finishes, and gets the answer", .enabled(if: Programs.find("socat") != nil, "needs socat"))
  func socat() async throws { try await sorts("socat", ["-t", "60", "-", "TCP:127.0.0.1:PORT"]) }

  @Test("ncat sends, finishes, and gets the answer", .enabled(if: Programs.find("ncat") != nil, "needs ncat"))
  func ncat() async throws { try await sorts("ncat", ["127.0.0.1", "PORT"]) }

  @Test("asyncio sends, finishes, and gets the answer", .enabled(if: Programs.find("python3") != nil, "needs python3"))
  func asyncio() async throws { try await sorts("python3", ["-c", Self.python, "PORT"]) }

  @Test("Go sends, finishes, and gets the answer", .enabled(if: Programs.find("go") != nil, "needs go"))
  func go() async throws {
    let scratch = try Scratch()
    let program = """
      package main
      import ("io"; "net"; "os")
      func main() {
        c, err := net.Dial("tcp", "127.0.0.1:" + os.Args[1])
        if err != nil { panic(err) }
        io.WriteString(c, "b\\na\\n")
        c.(*net.TCPConn).CloseWrite()
        if _, err := io.Copy(os.Stdout, c); err != nil { panic(err) }
        c.Close()
      }
      """
    try Data(program.utf8).write(to: URL(filePath: scratch.path + "/main.go"))
    try await sorts("go", ["run", scratch.path + "/main.go", "PORT"])
  }

  /// Runs a client with two lines as its input, and expects them sorted.
  private func sorts(_ program: String, _ arguments: [String]) async throws {
    let server = try Serving("--exec", "sort")
    let words = ([program] + arguments.map { $0.replacing("PORT", with: "\(server.port)") })
      .map { "'" + $0.replacing("'", with: #"'\''"#) + "'" }.joined(separator: " ")
    let run = try await Fin.shell("printf 'b\\na\\n' | \(words)")
    #expect(run.status == 0 && run.output == "a\nb\n", "\(run)")
    let line = try server.line()
    #expect(line.contains(": peer finished; 4 bytes received, 4 sent; ") && line.hasSuffix("status 0"), "\(line)")
  }
}
