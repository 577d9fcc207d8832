import FoundationEssentials
import Peers
import TestTraits
import Testing

@Suite(
  "fin shows source lines from a published ledger, and leaves out findings that the program declared intended",
  .enabled(if: Privileges.canMakeNamespaces, "needs the right to make network namespaces: run as root"),
  .onThreads, .timeLimit(.minutes(30)))
struct LedgerTests {
  /// The leaking program, in its own network namespace.
  private struct Leak {
    let network: NetworkNamespace
    let pid: String
    /// The line that opened its sockets.
    let site: String

    /// Runs `fin` in that network namespace.
    func fin(_ arguments: String...) throws -> (output: String, status: CInt?) {
      try LedgerTests.fin(arguments, in: network)
    }
  }

  private static func fin(_ arguments: [String], in network: NetworkNamespace) throws -> (output: String, status: CInt?)
  {
    try network.run {
      try withChild(Fin.path, arguments) { child in
        child.closeInput()
        let output = try child.readToEnd(within: .seconds(120))
        if case .exited(let status) = try child.wait() { return (output, status) }
        return (output, nil)
      }
    }
  }

  private static let program = "\(Fin.path.dropLast(3))Leaking"

  private func with(_ purpose: String, _ count: Int, ledger: String = "1", _ body: (Leak) throws -> Void) throws {
    let network = try NetworkNamespace()
    let child = try network.run {
      try Child.spawn(LedgerTests.program, [purpose, "\(count)"], environment: ["FIN_LEDGER": ledger])
    }
    defer { child.end() }
    let words = try child.readLine(within: .seconds(60))?.split(separator: " ") ?? []
    try #require(words.count == 2 && words[0] == "ready", "\(words)")
    try body(Leak(network: network, pid: "\(child.number)", site: "Leaking/Leaking.swift:\(words[1])"))
  }

  @Test("leaked connections: fin check names file and line, in text and in JSON")
  func leaking() throws {
    try with("none", 12) { leak in
      let fin = try leak.fin("check", "--own-namespace", "--leaks", "--pid", leak.pid)
      #expect(fin.status == 1, "\(fin.output)")
      #expect(fin.output.split(separator: "\n").allSatisfy { $0.count <= 100 })
      let text = fin.output.split { $0 == " " || $0 == "\n" }.joined(separator: " ")
      #expect(text.contains("All were opened at \(leak.site)."), "\(fin.output)")
      #expect(text.contains("opened at \(leak.site) phase peer finished waiting no operation why"), "\(fin.output)")

      let json = try leak.fin("check", "--own-namespace", "--leaks", "--pid", leak.pid, "--json")
      let report = try JSONDecoder().decode(Report.self, from: Data(json.output.utf8))
      let found = try #require(report.findings.first { $0.id == "L1" })
      #expect(found.opened?.map { "\($0.file):\($0.line)" } == [leak.site] && found.opened?.first?.count == 12)
      #expect(found.phases?.first?.phase == "peer finished" && found.wait?.untilDeadline == 0)
      #expect(report.onPurpose.isEmpty)
    }
  }

  @Test("connections declared half closed: no finding, but counted")
  func declared() throws {
    try with("half-closed", 3) { leak in
      let fin = try leak.fin("check", "--own-namespace", "--leaks", "--pid", leak.pid)
      #expect(fin.status == 0 && fin.output.contains("No findings"), "\(fin.output)")
      #expect(
        fin.output.contains("Left out: L1 of 3 sockets of Leaking (pid \(leak.pid)): declared half closed, for 9"))
      let json = try leak.fin("check", "--own-namespace", "--leaks", "--pid", leak.pid, "--json")
      let report = try JSONDecoder().decode(Report.self, from: Data(json.output.utf8))
      #expect(report.findings.isEmpty && report.onPurpose.map(\.count) == [3])
      #expect(report.onPurpose.first?.reason == "declared half closed" && report.onPurpose.first?.id == "L1")
    }
  }

  @Test("a check of one program is silent about what another declared")
  func declaredElsewhere() throws {
    try with("half-closed", 3) { leak in
      let other = try leak.network.run {
        try Child.spawn(LedgerTests.program, ["half-closed", "2"], environment: ["FIN_LEDGER": "1"])
      }
      defer { other.end() }
      try #require(try other.readLine(within: .seconds(60))?.hasPrefix("ready") == true)
      for (pid, count) in [(leak.pid, 3), ("\(other.number)", 2)] {
        let json = try leak.fin("check", "--own-namespace", "--leaks", "--pid", pid, "--json")
        let report = try JSONDecoder().decode(Report.self, from: Data(json.output.utf8))
        #expect(report.onPurpose.map(\.count) == [count], "\(json.output)")
      }
    }
  }

  @Test("connections declared half closed for a time that is over: found")
  func late() throws {
    try with("late", 3) { leak in
      let fin = try leak.fin("check", "--own-namespace", "--leaks", "--pid", leak.pid)
      #expect(
        fin.status == 1 && fin.output.contains("L1 close-wait-known") && fin.output.contains(leak.site), "\(fin.output)"
      )
      #expect(!fin.output.contains("Left out"))
    }
  }

  @Test("without FIN_LEDGER: found, without a source line")
  func unpublished() throws {
    try with("none", 3, ledger: "0") { leak in
      let fin = try leak.fin("check", "--own-namespace", "--leaks", "--pid", leak.pid)
      #expect(fin.status == 1 && fin.output.contains("L1 close-wait-known") && !fin.output.contains("opened at"))
    }
  }

  @Test("reset connections, which are in no kernel table: their source line is found by their descriptor")
  func detached() throws {
    try with("reset", 3) { leak in
      let fin = try leak.fin("check", "--own-namespace", "--leaks", "--pid", leak.pid)
      #expect(fin.status == 1 && fin.output.contains("L3 detached") && fin.output.contains(leak.site), "\(fin.output)")
    }
  }

  @Test("fin list shows source line, phase and deadline on request")
  func list() throws {
    try with("waiting", 2) { leak in
      let fin = try leak.fin(
        "list", "--own-namespace", leak.pid, "--fields", "state,fd,site,phase,deadline", "--state", "fin-wait-2",
        "--wide")
      #expect(fin.output.split(separator: "\n").count == 3, "\(fin.output)")
      for line in fin.output.split(separator: "\n").dropFirst() {
        #expect(
          line.contains("FIN-WAIT-2") && line.contains(leak.site) && line.contains("send finished in "), "\(line)")
      }
      let json = try leak.fin(
        "list", "--own-namespace", leak.pid, "--fields", "site", "--json", "--state", "fin-wait-2")
      #expect(json.output.contains(#""phase":"send finished","deadlineMilliseconds":5"#), "\(json.output)")
      let usual = try leak.fin("list", "--own-namespace", leak.pid, "--json")
      #expect(!usual.output.contains("published"))
    }
  }

  @Test("fin check of a command names the source lines of sockets open at its end, even of declared ones")
  func gate() throws {
    let command = "exec \(LedgerTests.program) half-closed 3 </dev/null"
    let fin = try LedgerTests.fin(
      ["check", "--own-namespace", "--leaks", "--", "env", "FIN_LEDGER=1", "sh", "-c", command], in: NetworkNamespace())
    #expect(fin.status == 1 && fin.output.contains("L1 close-wait-known"), "\(fin.output)")
    #expect(fin.output.contains("Leaking/Leaking.swift:"), "\(fin.output)")
  }

  private struct Report: Decodable {
    struct Site: Decodable {
      let file: String
      let line, count: Int
    }
    struct Phase: Decodable {
      let phase: String
      let count: Int
    }
    struct Wait: Decodable { let untilDeadline, withoutEnd: Int }
    struct Finding: Decodable {
      let id: String
      let opened: [Site]?
      let phases: [Phase]?
      let wait: Wait?
    }
    struct DeclaredIntent: Decodable {
      let id, reason: String
      let count: Int
    }
    let findings: [Finding]
    let onPurpose: [DeclaredIntent]
  }
}
