import FinDoctor
import Peers
import TestTraits
import Testing

@Suite("Findings: the machine and Unix sockets", .needsScenes, .onThreads, .timeLimit(.minutes(30)))
struct MachineFound {
  @Test("S1: the share of TCP memory in use and its largest holder; not reported at normal use")
  func memory() throws {
    try Scene.with("zero_window", "situation", "11") { scene in
      // A test cannot fill the machine's memory: the memory in use is real, the limit is not.
      func found(of limit: Int) throws -> [Finding] {
        try scene.allFindings(Thresholds()) {
          $0.namespaces[0].counters.values["sockstat.TCP.mem"] = 75
          $0.namespaces[0].limits.memoryPages = [1, 2, limit]
        }
      }
      let finding = try found(of: 100).only(.memory)
      #expect(finding.severity == .warning)
      let worse = try found(of: 80).only(.memory)
      #expect(worse.severity == .critical)
      let (sender, receiver) = (scene.pid, Int32(try scene.number(1)))
      #expect([sender, receiver].contains(finding.who?.pid ?? 0))
      let usual = try scene.allFindings(Thresholds()).ids
      #expect(!usual.contains(.memory))
    }
  }

  @Test(
    "S1: a connection tracking table is a warning from 70 % and critical from 90 %",
    arguments: [(60, nil), (75, Severity.warning), (95, .critical)])
  func tracked(used: Int, severity: Severity?) {
    var namespace = Namespace()
    namespace.limits.trackedConnections = used
    namespace.limits.trackedConnectionsLimit = 100
    #expect(Diagnosis.findings(in: Census(namespaces: [namespace])).first?.severity == severity)
  }

  @Test(
    "U1: a full Unix accept queue, closed peers, unread data; healthy sockets are not reported",
    arguments: ["full", "gone", "unread", "healthy", "waiting"]
  )
  func unix(mode: String) throws {
    // An abstract name belongs to the network namespace and leaves no file behind.
    let path = "@fin-scene-\(mode)"
    try Scene.with("unix", mode, path) { scene in
      let found = try scene.findings().filter { $0.id == .unix }
      guard mode != "healthy", mode != "waiting" else {
        #expect(found.isEmpty, "\(found.map(\.sentence))")
        return
      }
      let finding = try #require(found.first)
      #expect(found.count == 1 && finding.severity == .warning)
      switch mode {
      case "full": #expect(finding.sentence.contains("\(path) of") && finding["waiting"] == "2, limit 1")
      case "gone": #expect(finding.count == 6 && finding.who?.descriptors.count == 6)
      default: #expect(finding.sentence.contains("does not read from a Unix socket"))
      }
    }
  }

  @Test("U1 does not report a pair of which one side was just closed and the other is about to be")
  func unixPassing() throws {
    try Scene.with("unix", "gone", "@fin-scene-passing") { scene in
      let census = try scene.census()
      let passing = Diagnosis.passing(in: census)
      #expect(passing.count == 6)
      var options = Diagnosis.Options()
      options.passingBefore = []
      #expect(!Diagnosis.findings(in: census, options).ids.contains(.unix))
      options.passingBefore = Set(passing.prefix(1))
      #expect(try Diagnosis.findings(in: census, options).only(.unix).count == 1)
    }
  }
}
