import FoundationEssentials
import Glibc
import Peers
import TestTraits
import Testing

@testable import FinCommand

@Suite("fin relay: many connections, killed peers, and what is left", .onThreads, .timeLimit(.minutes(30)))
struct RelayManyTests {
  /// Clients and a server in one program. All connections are open at the same time; on half of them the client
  /// finishes first, on the others the server.
  private static let crowd = """
    import asyncio, resource, sys
    count, relay, target = (int(word) for word in sys.argv[1:])
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    def numbered(seed, size): return (bytes([seed % 251, seed // 251]) * size)[:size]

    def question(number): return numbered(number + 7, 100000 if number % 50 == 0 else 2000)

    async def main():
        ready = asyncio.Event()
        accepted = 0
        wrong = []

        async def serve(reader, writer):
            nonlocal accepted
            number = int.from_bytes(await reader.readexactly(4), "big")
            accepted += 1
            if accepted == count: ready.set()
            await ready.wait()
            if number % 2:
                writer.write(numbered(number, 3000 + number)); writer.write_eof()
                got = await reader.read()
            else:
                got = await reader.read()
                writer.write(numbered(number, 3000 + number)); writer.write_eof()
            if got != question(number): wrong.append(("server", number, len(got)))
            writer.close()

        async def ask(number):
            reader, writer = await asyncio.open_connection("127.0.0.1", relay)
            writer.write(number.to_bytes(4, "big"))
            await ready.wait()
            body = question(number)
            if number % 2:
                got = await reader.read()
                writer.write(body); writer.write_eof()
            else:
                writer.write(body); writer.write_eof()
                got = await reader.read()
            if got != numbered(number, 3000 + number): wrong.append(("client", number, len(got)))
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(serve, "127.0.0.1", target, backlog=4096)
        print("ready", flush=True)
        sys.stdin.readline()
        await asyncio.gather(*(ask(number) for number in range(count)))
        while len(asyncio.all_tasks()) > 1: await asyncio.sleep(0.01)
        print(f"{accepted} accepted, wrong: {wrong}", flush=True)

    asyncio.run(main())
    """

  private func descriptors(of child: Child) throws -> [String] {
    let folder = "/proc/\(child.number)/fd"
    return try FileManager.default.contentsOfDirectory(atPath: folder).compactMap {
      try? FileManager.default.destinationOfSymbolicLink(atPath: folder + "/" + $0)
    }
  }

  private func threads(of child: Child) throws -> Int {
    try FileManager.default.contentsOfDirectory(atPath: "/proc/\(child.number)/task").count
  }

  @Test(
    "1,000 connections, half-closed each way, keep their bytes, and nothing is left: no descriptor, thread or socket",
    .enabled(if: Programs.find("python3") != nil, "needs the program python3 on PATH"))
  func crowd() async throws {
    // A port that nothing else takes meanwhile: the program listens there with the same option.
    let place = try PlainSocket.listening()
    let target = place.port
    place.close()
    let relay = try Talker(["relay", "127.0.0.1:0", "127.0.0.1:\(target)", "--connections", "1000", "--json"])
    let port = try Relaying.port(of: relay)
    var crews: [Int] = []
    func play() throws -> [String] {
      let python = try #require(Programs.find("python3"))
      let crowd = try Child.spawn(python, ["-c", Self.crowd, "1000", "\(port)", "\(target)"])
      defer { crowd.end() }
      #expect(try crowd.readLine(within: .seconds(60)) == "ready")
      try crowd.write("go\n")
      #expect(try crowd.readLine(within: .seconds(120)) == "1000 accepted, wrong: []")
      for _ in 0..<1000 {
        let line = try relay.child.readLine(within: .seconds(60)) ?? ""
        guard line.contains(#""isDelivered":true"#) else { throw RigError(line) }
      }
      try eventually(within: .seconds(60), "no socket that still waits for an end", equals: []) {
        try [port, target].flatMap { port in
          try (KernelView.tcp(localPort: port) + KernelView.tcp(localPort: nil, remotePort: port))
            .filter { ![.listen, .timeWait].contains($0.state) }.map(\.description)
        }
      }
      crews.append(try threads(of: relay.child))
      return try descriptors(of: relay.child)
    }
    // The threads of the first crowd keep what they wait with. The second one takes nothing more.
    let first = try play()
    let second = try play()
    #expect(second.count { $0.hasPrefix("socket:") } == 1, "the listener alone")
    #expect(second.count { $0.hasPrefix("pipe:") } == first.count { $0.hasPrefix("pipe:") })
    #expect(second.count { $0.hasPrefix("pipe:") } <= 2, "standard output, and no pipe of a connection")
    #expect(second.count <= first.count + 70, "\(first.count) after the first crowd, \(second.count) after the second")
    #expect(crews[1] <= crews[0], "threads: \(crews)")
    // Another program's view of the same.
    if let ss = Programs.find("ss") {
      let run = try await Child.run(ss, ["-tanpH"])
      let lines = run.output.split(separator: "\n").filter { $0.contains("pid=\(relay.child.number),") }
      #expect(lines.count == 1 && lines[0].hasPrefix("LISTEN"), "\(lines.prefix(5))")
    }
    relay.child.signal(SIGTERM)
    let rest = try relay.child.readToEnd(within: .seconds(60))
    #expect(try relay.child.wait() == .exited(0), "\(rest)")
  }

  @Test("a client that is killed, with data unread and without: the server learns what it would learn without a relay")
  func killed() throws {
    for hasUnread in [true, false] {
      func play(_ port: UInt16, _ listener: borrowing PlainSocket) throws -> String {
        let client = try Talker(["connect", "127.0.0.1:\(port)"])
        let server = try listener.awaitClient()
        try client.child.write("question")
        try server.expect("question")
        if hasUnread {
          // Stopped first, so that what the server sends stays unread.
          client.child.signal(SIGSTOP)
          try eventually("the client to stop") { try Self.state(of: client.child) == "T" }
          try server.send(numbered(1000))
          try eventually("the answer to arrive", equals: 0) { server.outgoingQueue }
          // Through a relay, its arrival at the client is a second step.
          try eventually("the unread answer", equals: 1000) { try Self.unread(by: client.child) }
        }
        client.child.signal(SIGKILL)
        return server.drain()
      }
      let listener = try PlainSocket.listening()
      let expected = try play(listener.port, listener)
      #expect(expected == (hasUnread ? "0 bytes, numbered, RST" : "0 bytes, numbered, FIN"))
      let relay = try Relaying()
      #expect(try play(relay.port, relay.target) == expected)
    }
  }

  private static func state(of child: Child) throws -> String {
    let stat = try String(contentsOfFile: "/proc/\(child.number)/stat", encoding: .utf8)
    return stat.split(separator: ")").last?.split(separator: " ").first.map(String.init) ?? ""
  }

  /// The bytes that wait in the kernel for this program, in all its connections.
  private static func unread(by child: Child) throws -> Int {
    let folder = "/proc/\(child.number)/fd"
    let inodes = try FileManager.default.contentsOfDirectory(atPath: folder).compactMap { name -> UInt64? in
      let target = try? FileManager.default.destinationOfSymbolicLink(atPath: folder + "/" + name)
      return target.flatMap { UInt64($0.dropFirst("socket:[".count).dropLast()) }
    }
    return try KernelView.tcp(localPort: nil).filter { inodes.contains($0.inode) }.reduce(0) { $0 + $1.receiveQueue }
  }

  @Test(
    "curl through a relay to python's server gets the file whole",
    .enabled(
      if: Programs.find("python3") != nil && Programs.find("curl") != nil,
      "needs the programs python3 and curl on PATH"))
  func curl() async throws {
    let curl = try #require(Programs.find("curl"))
    let scratch = try Scratch()
    let content = numbered(3_000_000)
    try Data(content).write(to: URL(filePath: scratch.path + "/file"))
    let python = try #require(Programs.find("python3"))
    let script = """
      import functools, http.server, sys
      handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1])
      server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
      print(server.server_port, flush=True)
      server.serve_forever()
      """
    let server = try Child.spawn(python, ["-c", script, scratch.path])
    defer { server.end() }
    let target = try server.readLine(within: .seconds(60)) ?? ""
    let relay = try Talker(["relay", "127.0.0.1:0", "127.0.0.1:\(target)"])
    let port = try Relaying.port(of: relay)
    let fin = try await Fin.run(
      program: curl, ["--noproxy", "*", "-sS", "-o", scratch.path + "/got", "http://127.0.0.1:\(port)/file"])
    #expect(fin.status == 0, "\(fin.complaints)")
    #expect(try [UInt8](Data(contentsOf: URL(filePath: scratch.path + "/got"))) == content)
    let line = try relay.child.readLine(within: .seconds(60)) ?? ""
    #expect(line.contains(": both finished; "), "\(line)")
  }
}
