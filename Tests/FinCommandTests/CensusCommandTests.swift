import FoundationEssentials
import Glibc
import Peers
import TestTraits
import Testing

@testable import FinCommand

@Suite("fin census writes a file, and --from examines it", .needsScenes, .onThreads, .timeLimit(.minutes(30)))
struct CensusCommandTests {
  /// Runs `body` with the path of a file.
  private func with<R>(_ text: String, _ body: (String) async throws -> R) async throws -> R {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("fin-census-\(UUID().uuidString)").path
    try Data(text.utf8).write(to: URL(filePath: path))
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try await body(path)
  }

  @Test("check, explain, list, ports and listeners find in the file what was there, after its program has ended")
  func verbs() async throws {
    let stage = try Stage("fd_limit", "95", "close-wait")
    let pid = "\(stage.child.number)"
    let place = try stage.namespace()
    let census = try await Fin.run("census")
    #expect(census.status == 0, "\(census.complaints)")
    stage.child.end()
    try await with(census.output) { try await expectVerbs(pid, place, $0) }
  }

  private func expectVerbs(_ pid: String, _ place: String, _ file: String) async throws {
    let check = try await Fin.run("check", "--leaks", "--pid", pid, "--from", file)
    #expect(check.status == 2 && check.output.contains("L1 close-wait-known"), "\(check)")
    #expect(check.output.contains("└ leads to CRITICAL  L4 fd-limit") && check.output.contains("(pid \(pid))"))
    #expect(try await Fin.run("check", pid, "--from", file).status == 2)
    #expect(try await Fin.run("check", "4194305", "--from", file).status == 69)

    let list = try await Fin.run("list", pid, "--state", "close-wait", "--from", file, "--no-header")
    #expect(list.status == 0 && list.lines.count > 10 && list.lines.allSatisfy { $0.contains("[\(pid)] fd ") })
    let other = try await Fin.run("list", "--namespace", place, "--from", file, "--no-header", "--unix")
    #expect(other.status == 0 && !other.output.contains("CLOSE-WAIT"))

    let explain = try await Fin.run("explain", pid, "--from", file, "--limit", "1")
    #expect(explain.status == 0 && explain.output.contains("the worst 1 of "), "\(explain)")
    let descriptor = try #require(list.lines.first?.split(separator: " ").last)
    let one = try await Fin.run("explain", "\(pid):\(descriptor)", "--from", file)
    #expect(
      one.status == 0 && one.output.hasPrefix("CLOSE-WAIT  ")
        && one.output.contains("non-blocking") != one.output.contains("; blocking"))
    #expect(try await Fin.run("explain", "\(pid):99999", "--from", file).status == 69)

    let listeners = try await Fin.run("listeners", pid, "--from", file, "--details")
    #expect(listeners.status == 0 && listeners.output.contains("127.0.0.1:"), "\(listeners)")
    let ports = try await Fin.run("ports", "--from", file, "--json", "--all")
    #expect(ports.status == 0 && ports.output.contains("\"budgets\":["))
    let bind = try await Fin.run("explain", "bind", ":1", "--from", file)
    #expect(bind.status == 0 && bind.output.contains("the census is from a file"), "\(bind)")
  }

  @Test("a redacted file has no name of the program, and the same finding")
  func redacted() async throws {
    let stage = try Stage("detached", "reset", "8")
    defer { stage.child.end() }
    let census = try await Fin.run("census", "--redact")
    #expect(!census.output.contains("detached.py") && census.output.contains("\"redacted\":true"))
    let check = try await with(census.output) { try await Fin.run("check", "\(stage.child.number)", "--from", $0) }
    #expect(check.status == 1 && check.output.contains("L3 detached") && check.output.contains("program-"), "\(check)")
  }

  @Test("a file that is absent, damaged or no census, and options that need the machine")
  func faults() async throws {
    let absent = try await Fin.run("check", "--from", "/no/such/file")
    #expect(absent.status == 66 && absent.output.isEmpty && absent.complaints.contains("No such file"))
    for (text, problem) in [
      ("", "line 1, column 1: the text ends"), ("{}", "this is no census"),
      ("{\"kind\":\"fin census\",\"version\":9}", "newer"),
      ("{\"kind\":\"\u{7f}", "does not end"),
    ] {
      let fin = try await with(text) { try await Fin.run("list", "--from", $0) }
      #expect(fin.status == 65 && fin.output.isEmpty && fin.complaints.contains(problem), "\(fin)")
    }
    let empty = "{\"kind\":\"fin census\",\"version\":1}"
    let few = try await with(empty) { try await Fin.run("list", "--from", $0) }
    #expect(few.status == 0 && few.complaints.contains("the file lacks fields that this version of fin knows"))
    for words in [
      ["list", "--over", "1s"], ["check", "--over", "1s"], ["ports", "--over", "1s"], ["explain", "1:1", "--deep"],
      ["explain", "bind", ":1", "--try"], ["check", "--leaks", "--", "true"],
    ] {
      let place = words.firstIndex(of: "--") ?? words.count
      let fin = try await with(empty) { file in
        try await Fin.run(Array(words[..<place]) + ["--from", file] + words[place...])
      }
      #expect(fin.status == 64, "\(words) \(fin)")
    }
  }

  @Test("the output has the fields that fin help json census lists")
  func schema() async throws {
    let census = try await Fin.run("census", "--own-namespace")
    let page = try await Fin.run("help", "json", "census", columns: 1000)
    try SchemaTests.expect(census, toHave: page)
  }
}
