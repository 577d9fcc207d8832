import Peers
import TestTraits
import Testing

@testable import FinCommand
@testable import FinDoctor

@Suite("One address parser, one width, one set of options for all commands", .onThreads, .timeLimit(.minutes(30)))
struct SharedArgumentTests {
  @Test(
    "a zone may be the name of an interface wherever an address is written",
    arguments: [
      (["explain", "[fe80::1%lo]:1"], 69), (["explain", "[fe80::1%1]:1"], 69),
      (["kill", "[fe80::1%lo]:1", "--dry-run"], 69), (["list", "--address", "fe80::1%lo", "--own-namespace"], 0),
      (["listeners", "--address", "fe80::1%lo", "--own-namespace"], 0),
      (["ports", "--address", "fe80::1%lo", "--own-namespace"], 0),
    ] as [([String], Int32)])
  func zones(words: [String], status: Int32) async throws {
    let fin = try await Fin.run(words)
    #expect(fin.status == status, "\(words) \(fin.complaints)")
    let wrong = try await Fin.run(words.map { $0.replacing("%lo", with: "%no-such-one").replacing("%1", with: "%") })
    #expect(wrong.status == 64 && wrong.output.isEmpty, "\(words) \(wrong.complaints)")
  }

  @Test("bind takes the name of an interface")
  func bind() async throws {
    let fin = try await Fin.run("explain", "bind", "[fe80::1%lo]:8", "--no-try")
    #expect(fin.status != 64 && fin.output.contains("fe80::1%"), "\(fin)")
  }

  @Test(
    "a namespace may be named wherever it can be chosen, and an unknown one is an error",
    arguments: [["list"], ["ports"], ["listeners"], ["explain", ":9"], ["kill", "127.0.0.1:9", "--dry-run"]])
  func namespaces(words: [String]) async throws {
    let fin = try await Fin.run(words + ["--namespace", "no-such-one"])
    #expect(fin.status == 69 && fin.complaints.contains("no-such-one") || words[0] == "explain" && fin.status == 69)
  }

  @Test("tables are as wide as COLUMNS says, and 100 columns in a pipe", arguments: [80, 60])
  func widths(columns: Int) async throws {
    for words in [["list", "--tcp", "--udp", "--unix"], ["listeners", "--details"], ["ports"]] {
      let fin = try await Fin.run(words, columns: columns)
      #expect(fin.status == 0 && !fin.lines.isEmpty)
      #expect(fin.lines.allSatisfy { $0.unicodeScalars.count <= columns }, "\(fin.lines.filter { $0.count > columns })")
    }
  }

  @Test(
    "on a terminal, tables are as wide as it is",
    .enabled(if: Programs.find("python3") != nil, "needs python3, to make a terminal"))
  func terminal() throws {
    let script = """
      import fcntl, os, pty, struct, subprocess, sys, termios
      ours, theirs = pty.openpty()
      fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 71, 0, 0))
      os.environ.pop("COLUMNS", None)
      with open(os.ttyname(theirs), "wb") as end:
          os.close(theirs)
          fields = "local,remote,since,owner,unit,timer,cookie"
          words = [sys.argv[1], "list", "--no-color", "--fields", fields]
          subprocess.Popen(words, stdout=end, stderr=subprocess.DEVNULL)
      try:
          while data := os.read(ours, 65536): os.write(1, data)
      except OSError: pass
      """
    let listener = try PlainSocket.listening(on: "127.100.100.100")
    let connection = try PlainSocket.connected(to: "127.100.100.100", port: listener.port)
    let python = try #require(Programs.find("python3"))
    let lines = try Scene.output(of: python, ["-c", script, Fin.path]).split(whereSeparator: \.isNewline)
    #expect(lines.count > 2 && lines.allSatisfy { $0.unicodeScalars.count <= 71 }, "\(lines)")
    #expect(lines.contains { $0.unicodeScalars.count > 60 })
    _ = connection.port
  }

  @Test("columns are narrowed until a line fits, those first that lose least")
  func narrowing() {
    #expect(ColumnWidths.fitted([10, 20], least: [nil, 15], gap: 1, to: 28) == [10, 17])
    #expect(ColumnWidths.fitted([10, 20], least: [nil, 15], gap: 1, to: 21) == [10, 10])
    for page in 9...40 {
      let widths = ColumnWidths.fitted([10, 20], least: [nil, 15], gap: 1, to: page)
      #expect(widths.reduce(1, +) <= max(page, 9))
    }
  }
}

@Suite("fin check groups what is alike", .needsScenes, .onThreads, .timeLimit(.minutes(30)))
struct CheckGroupTests {
  @Test("three findings of one kind and program are one, with two rows; --all and --json have each")
  func programs() async throws {
    let stages = try (0..<3).map { _ in try Stage("detached", "reset", "8") }
    defer { for stage in stages { stage.child.end() } }
    let pids = stages.map { "\($0.child.number)" }
    let fin = try await Fin.run(["check"] + pids)
    #expect(fin.status == 1)
    #expect(fin.lines.count { $0.contains("WARNING  L3 detached") } == 1, "\(fin.output)")
    #expect(fin.output.contains("and 2 more alike") && pids.allSatisfy { fin.output.contains($0) })
    #expect(fin.output.contains("3 warnings in ") && fin.lines.allSatisfy { $0.count <= 100 })
    #expect(fin.lines.last?.hasPrefix("Next: fin explain ") == true)
    let next = try #require(fin.lines.last).split(separator: " ").dropFirst(2).map(String.init)
    #expect(try await Fin.run(next).status == 0)

    let all = try await Fin.run(["check", "--all"] + pids)
    #expect(all.lines.count { $0.contains("WARNING  L3 detached") } == 3 && !all.output.contains("more alike"))
    let json = try await Fin.run(["check", "--json"] + pids)
    #expect(json.output.ranges(of: "\"id\":\"L3\"").count == 3)
    let two = try await Fin.run(["check"] + pids.prefix(2))
    #expect(two.lines.count { $0.contains("WARNING  L3 detached") } == 2)
  }
  @Test("chains of one program are grouped from 3 on, and of several programs from 12 on; others stand alone")
  func sizes() {
    func sizes(_ chains: [[Finding]]) -> [Int] { CheckGroups(chains).groups.map(\.count) }
    func leak(_ pid: Int, _ program: String, _ severity: Severity = .warning) -> [Finding] {
      let who = ProcessOwner(program: program, pid: Int32(pid))
      return [Finding(.detached, severity, Rule.detached.claims[0], count: 1, who: who, sentence: "", facts: [])]
    }
    #expect(sizes((0..<2).map { leak($0, "api") }) == [1, 1])
    #expect(sizes((0..<3).map { leak($0, "api") }) == [3])
    #expect(sizes((0..<11).map { leak($0, "api\($0)") }) == Array(repeating: 1, count: 11))
    #expect(sizes((0..<12).map { leak($0, "api\($0)") }) == [12])
    // Another severity is not alike, and a finding about the machine never is.
    #expect(sizes((0..<3).map { leak($0, "api", $0 == 0 ? .critical : .warning) }) == [1, 1, 1])
    let memory = Finding(.memory, .warning, Rule.memory.claims[0], count: 1, sentence: "", facts: [])
    #expect(sizes((0..<20).map { _ in [memory] }).count == 20)
  }
}
