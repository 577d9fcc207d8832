import FoundationEssentials
import Peers
import TestTraits
import Testing

@Suite(
  "fin check from the command line",
  .needsScenes, .onThreads, .timeLimit(.minutes(30)))
struct CheckTests {
  private struct Report: Decodable {
    struct Finding: Decodable {
      struct Who: Decodable {
        let program: String?
        let pid: Int?
        let descriptors: [Int]
      }
      struct AgeBounds: Decodable {
        let atLeastMilliseconds: Int
        let atMostMilliseconds: Int?
      }
      struct Fix: Decodable { let code, fin: String }
      let id, name, severity, sentence: String
      let chain, count: Int
      let who: Who?
      let since: AgeBounds?
      let fix: Fix
    }
    let version, status, muted: Int
    let findings: [Finding]
  }

  private func report(_ fin: Fin) throws -> Report {
    try JSONDecoder().decode(Report.self, from: Data(fin.output.utf8))
  }

  private func python() throws -> String { try #require(Programs.find("python3")) }

  @Test("a program is found by its file name or its name in ps; an unknown name is an error")
  func names() async throws {
    let child = try Stage("fd_limit", "95", "close-wait").child
    defer { child.end() }
    let asPS = try String(contentsOfFile: "/proc/\(child.number)/comm")
    let fin = try await Fin.run("check", asPS)
    #expect(fin.status == 2 && fin.output.contains("(pid \(child.number))"), "\(fin.output) \(fin.complaints)")

    let asScript = try await Fin.run("check", "fd_limit.py")
    #expect(asScript.status == 2 && asScript.output.contains("fd_limit.py (pid \(child.number))"), "\(asScript.output)")

    let slip = try await Fin.run("check", "no-such-program")
    #expect(slip.status == 69 && slip.output.isEmpty && slip.complaints.contains("is called no-such-program"))
    // Above the largest process number that Linux can be set to.
    let nothing = try await Fin.run("check", "4194305")
    #expect(nothing.status == 69 && nothing.output.isEmpty && nothing.complaints.contains("no process 4194305"))
  }

  @Test("a leaking program: findings with the cause before the effect, in 100 columns, status 2, the same in JSON")
  func leaking() async throws {
    let child = try Stage("fd_limit", "95", "close-wait").child
    defer { child.end() }
    let pid = "\(child.number)"
    let fin = try await Fin.run("check", "--leaks", "--pid", pid)
    #expect(fin.status == 2, "\(fin.complaints)")
    #expect(fin.lines.allSatisfy { $0.count <= 100 } && !fin.output.utf8.contains(0x1B))
    #expect(fin.output.contains("CRITICAL  L1 close-wait-known"))
    #expect(fin.output.contains("└ leads to CRITICAL  L4 fd-limit"))

    let json = try await Fin.run("check", "--leaks", "--pid", pid, "--json")
    let found = try report(json)
    #expect(found.version == 1 && found.status == 2)
    #expect(
      found.findings.map(\.id) == ["L1", "L4"] && found.findings.allSatisfy { $0.chain == 0 },
      "\(json.output) \(json.complaints)")
    let leak = try #require(found.findings.first)
    #expect(leak.who?.pid == Int(child.number) && leak.who?.descriptors.count == leak.count)
    #expect(leak.since != nil && leak.fix.code.contains("with sock"))

    let only = try report(try await Fin.run("check", pid, "--only", "fd-limit", "--json"))
    #expect(only.findings.map(\.id) == ["L4"])
  }

  @Test("--over: a leak that grows in each of three steps is critical, a constant one a warning")
  func growing() async throws {
    for (mode, status) in [("growing", Int32(2)), ("known", 1)] {
      let child = try Stage("close_wait", mode, "12").child
      defer { child.end() }
      let words = ["check", "\(child.number)", "--only", "L1"]
      // Every check leaves out the youngest connections.
      let deadline = Deadline.after(.seconds(60))
      while try await Fin.run(words).status == 0 { try #require(!deadline.hasPassed) }
      let fin = try await Fin.run(words + ["--over", "3s"])
      #expect(fin.status == status, "\(fin.output) \(fin.complaints)")
      #expect(fin.output.contains("in the earlier snapshots"))
    }
  }

  @Test("--threshold: findings below it are counted but not shown; information alone is no failure")
  func threshold() async throws {
    let many = try Stage("detached", "reset", "8").child
    defer { many.end() }
    let warning = try await Fin.run("check", "\(many.number)", "--threshold", "warning")
    #expect(warning.status == 1 && warning.output.contains("WARNING  L3 detached"), "\(warning.output)")
    let worst = try await Fin.run("check", "\(many.number)", "--threshold", "critical")
    #expect(worst.status == 0 && !worst.output.contains("L3 detached"), "\(worst.output)")
    #expect(worst.output.contains("1 below the threshold: --threshold info."))

    let few = try Stage("detached", "reset", "3").child
    defer { few.end() }
    let usual = try await Fin.run("check", "\(few.number)")
    #expect(usual.status == 0 && usual.output.contains("1 below the threshold: --threshold info."), "\(usual.output)")
    let all = try await Fin.run("check", "\(few.number)", "--threshold", "info")
    #expect(all.status == 0 && all.output.contains("INFO  L3 detached"), "\(all.output)")
    #expect(!all.output.contains("below the threshold"))
  }

  @Test("two programs: only their findings are shown, and they do not explain each other")
  func two() async throws {
    let (one, other) = (try Stage("detached", "reset", "8").child, try Stage("fd_limit", "95").child)
    defer { one.end(); other.end() }
    let found = try report(try await Fin.run("check", "\(one.number)", "\(other.number)", "--json"))
    #expect(found.findings.map(\.id) == ["L4", "L3"] && found.findings.map(\.chain) == [0, 1])
    #expect(found.findings.map { $0.who?.pid } == [Int(other.number), Int(one.number)])
  }

  @Test("a socket that two programs hold: its finding is shown to a check of either")
  func shared() async throws {
    let stage = try Stage("inherited", "connection")
    defer { stage.child.end() }
    for pid in ["\(stage.child.number)", stage.words[1]] {
      let found = try report(try await Fin.run("check", pid, "--threshold", "info", "--json"))
      #expect(found.findings.contains { $0.id == "L5" }, "\(pid): \(found.findings.map(\.id))")
    }
  }

  @Test("a program that leaks nothing: status 0, even if others leak")
  func sound() async throws {
    let other = try Stage("fd_limit", "95").child
    defer { other.end() }
    let child = try Stage("close_wait", "closed").child
    defer { child.end() }
    let fin = try await Fin.run("check", "--leaks", "--pid", "\(child.number)")
    #expect(fin.status == 0, "\(fin.output)")
    #expect(fin.output.contains("No findings"))
  }

  @Test("--mute hides and counts accepted findings; an invalid line is rejected with its number")
  func mutes() async throws {
    let child = try Stage("fd_limit", "95").child
    defer { child.end() }
    let file = FileManager.default.temporaryDirectory.appendingPathComponent("fin-mute-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: file) }
    try Data("L4 python3*  # this is a test\n".utf8).write(to: URL(filePath: file))
    let quiet = try await Fin.run("check", "\(child.number)", "--mute", file)
    #expect(quiet.status == 0 && quiet.output.contains("1 muted."), "\(quiet.output) \(quiet.complaints)")
    let few = try Stage("detached", "reset", "3").child
    defer { few.end() }
    try Data("L3 python3*\n".utf8).write(to: URL(filePath: file))
    // A finding for information, below the threshold.
    let either = try await Fin.run("check", "\(few.number)", "--mute", file)
    #expect(either.output.contains("1 muted.") && !either.output.contains("below the threshold"), "\(either.output)")
    try Data("\nL99 x\n".utf8).write(to: URL(filePath: file))
    let bad = try await Fin.run("check", "\(child.number)", "--mute", file)
    #expect(bad.status == 65 && bad.complaints.contains("line 2") && bad.output.isEmpty)
    #expect(try await Fin.run("check", "--mute", file + "-none").status == 66)
  }

  @Test("a command that leaks: the sockets it left open, and status 1; a command that closes everything: status 0")
  func commands() async throws {
    let python = try python()
    // python3 may be a script that needs PATH to find its interpreter.
    let path = "PATH=" + (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin")
    let leak = """
      import socket
      l = socket.create_server(("127.0.0.1", 0)); c = socket.create_connection(l.getsockname()); a, _ = l.accept()
      c.close(); a.recv(1)
      """
    let found = try await Fin.run(
      "check", "--leaks", "--json", "--", "/usr/bin/env", path, python, "-c", leak + "\nimport os; os._exit(0)")
    #expect(found.status == 1, "\(found.complaints)")
    #expect(try report(found).findings.map(\.id) == ["L1"])
    #expect(found.complaints.contains("2 sockets were open when the command ended"))

    let sound = try await Fin.run(
      "check", "--leaks", "--", "/usr/bin/env", path, python, "-c", leak + "\na.close(); l.close()")
    #expect(sound.status == 0, "\(sound.output) \(sound.complaints)")
    let failed = try await Fin.run("check", "--leaks", "--", "/usr/bin/env", path, python, "-c", "raise SystemExit(7)")
    #expect(failed.status == 3 && failed.complaints.contains("status 7"))
    let ended = try await Fin.run("check", "--leaks", "--", "sh", "-c", "kill -TERM $$")
    #expect(ended.status == 3 && ended.complaints.contains("status 143"), "\(ended.complaints)")
    #expect(try await Fin.run("check", "--leaks", "--", "no-such-command-anywhere").status == 69)
  }

  @Test(
    "invalid arguments: status 64",
    arguments: [
      ["--leaks"], ["--leaks", "--pid", "1", "--", "true"], ["--pid", "1"], ["--only", "L99"], ["--over", "soon"],
      ["--threshold", "loud"],
    ])
  func senseless(arguments: [String]) async throws {
    let fin = try await Fin.run(["check"] + arguments)
    #expect(fin.status == 64 && !fin.complaints.isEmpty)
  }
}

extension String {
  /// The first line of a file.
  fileprivate init(contentsOfFile path: String) throws {
    let data = try Data(contentsOf: URL(filePath: path))
    self.init(decoding: data.prefix { $0 != 0x0A }, as: UTF8.self)
  }
}
