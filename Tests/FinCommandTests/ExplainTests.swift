import FoundationEssentials
import Glibc
import Peers
import TestTraits
import Testing

@testable import FinCommand

@Suite("fin explain from the command line", .onThreads, .timeLimit(.minutes(30)))
struct ExplainTests {
  private struct Report: Decodable {
    struct AgeBounds: Decodable {
      let atLeastMilliseconds: Int
      let atMostMilliseconds: Int?
    }
    struct Event: Decodable {
      let kind: String
      let ago: AgeBounds?
      let text: String
    }
    struct End: Decodable {
      let text: String
      let pid, fd: Int?
    }
    struct Fact: Decodable { let topic, text: String }
    struct Life: Decodable {
      let socket: ListedLine
      let title, state, meaning, outlook: String
      let events: [Event]
      let next, noticedBy: [String]
      let otherEnd: End?
      let facts: [Fact]
    }
    struct Bind: Decodable {
      struct Finding: Decodable { let id, severity, sentence: String }
      let kind, address, plain, reuseAddress: String
      let port: Int
      let tried: [String: String]?
      let whyUntried: String?
      let findings: [Finding]
    }
    let version: Int
    let matched, status: Int?
    let sockets: [Life]?
    let bind: Bind?
  }

  private func report(_ fin: Fin) throws -> Report {
    try JSONDecoder().decode(Report.self, from: Data(fin.output.utf8))
  }

  @Test("PID:FD explains one socket, in 100 columns and in JSON")
  func descriptor() async throws {
    let listener = try PlainSocket.listening()
    let client = try PlainSocket.connected(to: "127.0.0.1", port: listener.port)
    let server = try listener.accept()
    try client.send([1, 2, 3])
    let what = "\(getpid()):\(server.descriptor)"
    let fin = try await Fin.run("explain", what)
    #expect(fin.status == 0 && fin.lines.allSatisfy { $0.count <= 100 } && !fin.output.utf8.contains(0x1B))
    #expect(fin.output.hasPrefix("ESTABLISHED  "))
    for words in ["handshake: connected", "last data received", "3 bytes not read", "if left alone", "noticed by"] {
      #expect(fin.output.contains(words), "\(words) in \(fin.output)")
    }
    let whole = try report(try await Fin.run("explain", what, "--json"))
    let life = try #require(whole.sockets?.first)
    #expect(whole.version == 1 && whole.matched == 1 && life.state == "ESTABLISHED")
    #expect(life.socket.localPort == Int(listener.port) && life.socket.holders.map(\.fd) == [Int(server.descriptor)])
    #expect(life.otherEnd?.pid == Int(getpid()) && life.otherEnd?.fd == Int(client.descriptor))
    #expect(life.events.map(\.kind).contains("dataReceived") && life.events.first?.kind == "handshake")
  }

  @Test("ADDR:PORT lists all matching sockets, with the command for details of one; two addresses name one connection")
  func places() async throws {
    let listener = try PlainSocket.listening(on: "127.7.7.9")
    let client = try PlainSocket.connected(to: "127.7.7.9", port: listener.port)
    let server = try listener.accept()
    let place = "127.7.7.9:\(listener.port)"
    let all = try await Fin.run("explain", place)
    #expect(all.status == 0 && all.lines.allSatisfy { $0.count <= 100 })
    #expect(all.output.contains("3 sockets. Details of one: fin explain \(getpid()):"))
    // Long numbers make the line wrap.
    let text = all.output.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    #expect(text.contains("by its own port") && text.contains("by its peer's port"), "\(all.output)")
    let ends = [(server.descriptor, place, ":\(client.port)"), (client.descriptor, ":\(client.port)", place)]
    for (descriptor, own, other) in ends {
      for arguments in [["\(own),\(other)"], [own, other]] {
        let one = try report(try await Fin.run(["explain", "--json"] + arguments))
        #expect(one.matched == 1 && one.sockets?.first?.socket.holders.first?.fd == Int(descriptor))
      }
    }
    let one = try await Fin.run("explain", "\(getpid()):\(server.descriptor)")
    #expect(one.output.contains("other end"))
  }

  @Test("a path finds its Unix socket, which is printed as it was bound, in text and in JSON")
  func unixPath() async throws {
    let path = "/tmp/fin-explain-\(getpid())"
    defer { unsafe unlink(path) }
    let listener = try PlainSocket.listening(onUnix: path)
    #expect(listener.descriptor >= 0)
    let text = try await Fin.run("explain", path)
    #expect(text.status == 0 && text.lines.first?.hasSuffix("unix-stream \(path)") == true, "\(text)")
    let json = try await Fin.run("explain", path, "--json")
    #expect(try report(json).sockets?.first?.title == "unix-stream \(path)" && !json.output.contains("x00"))
  }

  @Test("PID lists all sockets of the process, the worst first; --limit shows fewer and their total")
  func process() async throws {
    let listener = try PlainSocket.listening()
    let client = try PlainSocket.connected(to: "127.0.0.1", port: listener.port)
    let fin = try await Fin.run("explain", "\(getpid())", "--limit", "1")
    #expect(
      fin.status == 0 && fin.output.contains("the worst 1 of ") && fin.output.contains("fin explain \(getpid()):"))
    _ = client.port
  }

  @Test("bind: status 0 if the address is free, 1 if it is taken, 2 if that is uncertain")
  func bind() async throws {
    let listener = try PlainSocket.listening()
    let port = listener.port
    let taken = try report(try await Fin.run("explain", "bind", "127.0.0.1:\(port)", "--json"))
    #expect(taken.status == 1 && taken.bind?.reuseAddress == "taken" && taken.bind?.plain == "taken")
    #expect(taken.bind?.findings.first?.severity == "critical")
    let text = try await Fin.run("explain", "bind", ":\(port)")
    #expect(text.status == 1 && text.lines.allSatisfy { $0.count <= 100 } && text.output.contains("is taken."))

    let free = try await Fin.run("explain", "bind", "127.7.7.10:\(port)", "--no-try", "--json")
    #expect(free.status == 0)
    let parsed = try report(free)
    #expect(parsed.bind?.findings.isEmpty == true && parsed.bind?.tried == nil)
    #expect(parsed.bind?.whyUntried == "switched off by the caller")

    let client = try PlainSocket.connected(to: "127.0.0.1", port: port)
    let unsure = try await Fin.run("explain", "bind", "127.0.0.1:\(client.port)", "--no-try")
    #expect(unsure.status == 2 && unsure.output.contains("may be taken"))
    let deep = try await Fin.run("explain", "bind", "127.0.0.1:\(client.port)", "--deep")
    #expect(deep.status == 1 && deep.lines.allSatisfy { $0.count <= 100 })

    let foreign = try await Fin.run("explain", "bind", "192.0.2.9:\(port)", "--own-namespace")
    #expect(
      foreign.status == 1 && foreign.output.contains("EADDRNOTAVAIL") && foreign.lines.allSatisfy { $0.count <= 100 })
  }

  @Test("an absent process, descriptor or socket: status 69, and which of them is absent")
  func absent() async throws {
    let none = try await Fin.run("explain", "2147483000:3")
    #expect(none.status == 69 && none.output.isEmpty && none.complaints.contains("there is no process 2147483000"))
    let pid = getpid()
    let closed = try await Fin.run("explain", "\(pid):999999")
    #expect(closed.status == 69 && closed.complaints.contains("has no descriptor 999999"))
    let null = unsafe open("/dev/null", O_RDONLY | O_CLOEXEC)
    defer { close(null) }
    let other = try await Fin.run("explain", "\(pid):\(null)")
    #expect(other.status == 69 && other.complaints.contains("is /dev/null, not a socket"))
    let nobody = try await Fin.run("explain", "203.0.113.1:1")
    #expect(nobody.status == 69 && nobody.complaints.contains("no socket has that address"))
    #expect(try await Fin.run("explain", "@fin-no-such-name").status == 69)
    #expect(try await Fin.run("explain", "bind", ":80", "--namespace", "no-such-one").status == 69)
  }

  @Test("a Unix socket is found by its abstract name")
  func unix() async throws {
    let name = "@fin-explain-\(getpid())"
    let listener = try PlainSocket.listening(onUnix: name)
    var fin = try await Fin.run("explain", name)
    // The kernel walks its list by position while other tests add and remove sockets, so one dump may miss this one.
    for _ in 1...20 where fin.status != 0 { fin = try await Fin.run("explain", name) }
    #expect(
      fin.status == 0 && fin.output.hasPrefix("LISTEN  ") && fin.output.contains("descriptor \(listener.descriptor)"))
  }

  @Test(
    "invalid arguments: status 64",
    arguments: [
      [], ["bind"], ["bind", ":0"], ["bind", ":80", ":81"], ["nonsense"], ["1.2.3:80"], ["127.0.0.1:"],
      ["127.0.0.1:70000"],
      ["::1:80"], ["[::1"], ["[fe80::1%no-such-one]:80"], ["1:2:3"], ["0"], ["-5"], ["99999999999:1"], [":1,:2,:3"],
      [":80,"],
      ["localhost:80"], [":80", "--udp"], ["1", "--limit", "0"], ["\u{1B}[31m:80"], ["bind", "\u{202E}:80"],
    ])
  func misunderstood(words: [String]) async throws {
    let fin = try await Fin.run(["explain"] + words)
    #expect(fin.status == 64 && fin.output.isEmpty, "\(words): \(String(describing: fin.status)) \(fin.complaints)")
    #expect(!fin.complaints.utf8.contains(0x1B) && !fin.complaints.contains("\u{202E}"))
  }
}
