import FoundationEssentials
import Glibc
import Peers
import TestTraits
import Testing

@testable import FinCommand

@Suite(
  "fin ports and fin listeners from the command line",
  .needsScenes, .onThreads, .timeLimit(.minutes(30)))
struct ViewCommandTests {
  private struct Ports: Decodable {
    struct Budget: Decodable {
      struct User: Decodable { let pid, ports: Int? }
      struct Pace: Decodable {
        let openedPerSecondAtLeast: Double
        let growth: Int
      }
      struct Remedy: Decodable { let id, code: String }
      let namespace, capacity, connected, timeWait, bound, free, percent: Int
      let destination: String?
      let port: Int?
      let users: [User]
      let pace: Pace?
      let remedies: [Remedy]
    }
    let version, matching: Int
    let budgets: [Budget]
  }

  @Test("fin ports: a bar in 100 columns, the same in JSON, and filters by program, destination and port")
  func ports() async throws {
    let stage = try Stage("port_budget", "50", "20", "5", range: "40000 40099")
    defer { stage.child.end() }
    let pid = "\(stage.child.number)"
    // Both run on this thread: an entry in TIME-WAIT expires after a minute, and a task that waits for a program may
    // resume much later.
    let (text, json) = try synchronously {
      let text = try Scene.output(of: Fin.path, "ports", pid, "--port", "7000")
      return (
        text, try Scene.output(of: Fin.path, "ports", pid, "--address", "127.0.0.0/8", "--json", "--over", "100ms")
      )
    }
    let lines = text.split(separator: "\n")
    #expect(lines.allSatisfy { $0.count <= 100 } && !text.utf8.contains(0x1B))
    #expect(text.contains("127.0.0.1 to 127.0.0.1:7000") && text.contains("75 of 100 ports taken, 25 free"))
    let bar = try #require(lines.first { $0.hasPrefix("  #") })
    let cells = bar.filter { $0 != " " }
    #expect(cells.count == 96 && Set(cells) == ["#", "=", "+", "."])
    #expect(cells.count { $0 == "#" } == 48)
    #expect(text.contains("change    E1: ") && text.contains("[\(pid)] 50"))

    let report = try JSONDecoder().decode(Ports.self, from: Data(json.utf8))
    #expect(report.version == 1 && report.matching == 1)
    let budget = try #require(report.budgets.first)
    #expect(budget.connected == 50 && budget.timeWait == 20 && budget.bound == 5 && budget.free == 25)
    #expect(budget.percent == 75 && budget.pace?.growth == 0 && budget.remedies.map(\.id) == ["E1"])
    let namespace = try stage.namespace()
    #expect("\(budget.namespace)" == namespace)

    for words in [["--address", "10.0.0.0/8"], ["--port", "1"], ["no-such-program"]] {
      let none = try await Fin.run(["ports", pid].dropLast(words.count == 1 ? 1 : 0) + words)
      #expect(none.status == 0 && none.lines == ["No connection has a port that connect chose."])
    }
    let few = try await Fin.run("ports", pid, "--limit", "0")
    #expect(few.status == 0 && few.output.contains("not shown: --all"))
  }

  private struct Listeners: Decodable {
    struct Listener: Decodable {
      struct AgeBounds: Decodable { let atLeastMilliseconds: Int }
      struct Acceptor: Decodable { let pid: Int, way: String }
      let kind: String
      let severity: String?
      let port: Int?
      let waiting, limit, gone, group: Int
      let full: Bool
      let oldest: AgeBounds?
      let drops: Int?
      let dropsPerSecond: Double?
      let acceptors: [Acceptor]
    }
    let version, matching: Int
    let listeners: [Listener]
  }

  @Test("fin listeners explains a full queue, a healthy one only with --details; the same in JSON")
  func listeners() async throws {
    let stage = try Stage("accepting", "overflow", "2", "8")
    defer { stage.child.end() }
    let pid = "\(stage.child.number)"
    let fin = try await Fin.run("listeners", pid, "--over", "200ms")
    #expect(fin.status == 0 && fin.lines.allSatisfy { $0.count <= 100 }, "\(fin.output)")
    #expect(fin.output.contains(" 3/2 ") && fin.output.contains("full: 3 waiting, limit 2"))
    #expect(fin.output.contains(": no epoll set has it"))
    let json = try await Fin.run("listeners", pid, "--port", stage.words[0], "--json", "--over", "100ms")
    let report = try JSONDecoder().decode(Listeners.self, from: Data(json.output.utf8))
    let listener = try #require(report.listeners.first)
    #expect(report.version == 1 && report.listeners.count == 1)
    #expect(listener.full && listener.severity == "critical" && listener.waiting == 3 && listener.dropsPerSecond != nil)
    #expect(listener.acceptors.map(\.way) == ["unattended"] && listener.kind == "tcp")

    for (count, shown) in [("0", 0), ("1", 1), ("7", 1)] {
      let bounded = try await Fin.run("listeners", pid, "--port", stage.words[0], "--limit", count)
      #expect(bounded.output.contains("1 listener, 1 not shown") == (shown == 0), "\(bounded.output)")
      #expect(bounded.output.contains("full: 3 waiting, limit 2") == (shown == 1))
      let json = try await Fin.run("listeners", pid, "--port", stage.words[0], "--limit", count, "--json")
      let report = try JSONDecoder().decode(Listeners.self, from: Data(json.output.utf8))
      #expect(report.matching == 1 && report.listeners.count == shown)
    }

    let sound = try Stage("prefork", "2", "shared")
    defer { sound.child.end() }
    let short = try await Fin.run("listeners", "--port", sound.words[0], "\(sound.child.number)")
    #expect(short.lines.count == 2 && short.output.contains(" +2"))
    let long = try await Fin.run("listeners", "\(sound.child.number)", "--details")
    #expect(long.output.contains("a thread is in accept") && long.lines.allSatisfy { $0.count <= 100 })
    #expect(try await Fin.run("listeners", "no-such-program").lines == ["No listener."])
  }

  @Test(
    "invalid arguments: status 64",
    arguments: [
      ["ports", "--address", "nowhere"], ["ports", "--over", "soon"], ["ports", "--limit", "-1"],
      ["ports", "--port", "70000"],
      ["listeners", "--address", "10.0.0.0/33"], ["listeners", "--limit", "-1"], ["listeners", "--limit", "few"],
      ["kill"],
      ["kill", "127.0.0.1:0"], ["kill", "garbage"],
      ["kill", "127.0.0.1"], ["kill", "/tmp/x.sock"], ["kill", "127.0.0.1:1,"],
      ["kill", "127.0.0.1:1,127.0.0.1:2,127.0.0.1:3"], ["kill", "127.0.0.1:1", "--json"], ["kill", "::1:80"],
    ])
  func misunderstood(words: [String]) async throws {
    let fin = try await Fin.run(words)
    #expect(fin.status == 64 && fin.output.isEmpty && !fin.complaints.isEmpty)
  }
}

@Suite(
  "fin kill from the command line",
  .needsScenes, .onThreads, .timeLimit(.minutes(30)))
struct KillCommandTests {
  private struct Report: Decodable {
    struct Socket: Decodable {
      struct Holder: Decodable { let pid, fd: Int }
      let state: String
      let outcome, now, why: String?
      let remains: Bool?
      let stillHeldBy: [Holder]?
    }
    let version, status: Int
    let dryRun: Bool
    let sockets, spared: [Socket]
  }

  private func report(_ fin: Fin) throws -> Report {
    try JSONDecoder().decode(Report.self, from: Data(fin.output.utf8))
  }

  @Test("the connection is destroyed, both programs get an error, and the remaining descriptor is named")
  func ends() async throws {
    let stage = try Stage("kill")
    defer { stage.child.end() }
    let (server, client) = (stage.words[0], stage.words[1])
    let fin = try await Fin.run(
      "kill", "127.0.0.1:\(client),127.0.0.1:\(server)", "--yes", "--namespace", stage.namespace())
    #expect(fin.status == 0, "\(fin.output) \(fin.complaints)")
    #expect(fin.output.contains("127.0.0.1:\(client) to 127.0.0.1:\(server) (ESTABLISHED) destroyed"))
    #expect(fin.output.contains("[\(stage.child.number)] fd \(stage.words[6]) keeps the descriptor until it closes it"))
    #expect(fin.lines.allSatisfy { $0.count <= 100 })
    #expect(try stage.ask("wait client") == "ECONNABORTED" && stage.ask("wait server") == "ECONNRESET")
    #expect(try stage.ask("client2") == "nothing")
    let none = try await Fin.run(
      "kill", "127.0.0.1:\(client),127.0.0.1:\(server)", "--yes", "--namespace", stage.namespace())
    #expect(none.status == 69 && none.complaints.contains("no TCP connection"))
  }

  @Test("without --yes in a pipe, or with --dry-run, nothing is destroyed; listeners are spared without --listeners")
  func spares() async throws {
    let stage = try Stage("kill")
    defer { stage.child.end() }
    let words = ["kill", "127.0.0.1:\(stage.words[0])", "--namespace", try stage.namespace()]
    let pipe = try await Fin.run(words)
    #expect(pipe.status == 2 && pipe.complaints.contains("--yes"))
    #expect(pipe.output.contains("is a listener: --listeners ends it too"))
    let dry = try report(try await Fin.run(words + ["--dry-run", "--json"]))
    #expect(dry.dryRun && dry.sockets.count == 4 && dry.spared.map(\.why) == ["listener"])
    #expect(dry.sockets.allSatisfy { $0.outcome == nil })
    for name in ["client", "server", "client2", "server2"] { #expect(try stage.ask(name) == "nothing") }

    let all = try await Fin.run(words + ["--yes", "--json"])
    let ended = try report(all)
    #expect(all.status == 0 && ended.version == 1 && ended.sockets.count == 4)
    #expect(ended.sockets.allSatisfy { $0.remains == false && $0.now == nil && $0.stillHeldBy?.count == 1 })
    #expect(Set(ended.sockets.compactMap(\.outcome)) == ["destroyed", "ended"])
    #expect(try await Fin.run(words + ["--yes"]).status == 69)
    let listener = try report(try await Fin.run(words + ["--yes", "--json", "--listeners"]))
    #expect(listener.sockets.map(\.state) == ["LISTEN"] && listener.sockets.map(\.outcome) == ["destroyed"])
  }

  @Test("on a terminal it asks, and destroys only after yes", arguments: [("n", "2"), ("", "2"), ("y", "0")])
  func asks(answer: String, status: String) throws {
    let stage = try Stage("kill")
    defer { stage.child.end() }
    let words = ["kill", "127.0.0.1:\(stage.words[1])", "--namespace", try stage.namespace()]
    let python = try #require(Programs.find("python3"))
    let said = try withChild(python, ["-B", Stage.folder + "ask.py", answer, Fin.path] + words) { child in
      try child.readToEnd(within: .seconds(60))
    }
    #expect(said.hasPrefix("\(status) asked") && said.contains("End these 2 sockets? [y/N]"), "\(said)")
    // Both sides match: the one destroyed first resets the other.
    let wait = status == "0" ? "wait " : ""
    let ends = try [stage.ask(wait + "client"), stage.ask(wait + "server")]
    #expect(Set(ends) == (status == "0" ? ["ECONNABORTED", "ECONNRESET"] : ["nothing"]))
  }

  @Test(
    "as an unprivileged user it names the missing capability and destroys nothing",
    .enabled(
      if: ListTests.nobodyMayRunFin, "needs root and setpriv, to run as another user, and a build that others may run"))
  func nobody() async throws {
    // In the tests' own network namespace, which an unprivileged user may read too.
    let listener = try PlainSocket.listening()
    let client = try PlainSocket.connected(to: "127.0.0.1", port: listener.port)
    let server = try listener.accept()
    let fin = try await Fin.run(
      as: 65534, "kill", "127.0.0.1:\(client.port),127.0.0.1:\(listener.port)", "--yes", "--own-namespace")
    #expect(fin.status == 77 && fin.output.contains("CAP_NET_ADMIN") && fin.output.contains("it continues"))
    #expect(client.state == KernelState.established && server.state == KernelState.established)
  }

  @Test("UDP sockets are destroyed only with --udp")
  func udp() async throws {
    let stage = try Stage("kill")
    defer { stage.child.end() }
    let words = ["kill", "127.0.0.1:\(stage.words[3])", "--namespace", try stage.namespace(), "--yes"]
    #expect(try await Fin.run(words).status == 69)
    let fin = try await Fin.run(words + ["--udp"])
    #expect(fin.status == 0, "\(fin.output)")
    #expect(try stage.ask("error udp") == "ECONNABORTED")
  }
}
