import FinDoctor
import Peers
import TestTraits
import Testing

@Suite("Findings: the machine and Unix sockets", .needsScenes, .onThreads, .timeLimit(.minutes(30)))
struct MachineFound {
  @Test("S1: the share of TCP's memory, and who holds most of it; as a rule there is enough")
  func memory() throws {
    try Scene.with("zero_window", "situation", "11") { scene in
      // A machine's memory is not to be filled for a test: what is full of it is real, the limit is not.
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
    "S1: tracked connections, from 70 % a warning, from 90 % critical",
    arguments: [(60, nil), (75, Severity.warning), (95, .critical)])
  func tracked(used: Int, severity: Severity?) {
    var namespace = Namespace()
    namespace.limits.trackedConnections = used
    namespace.limits.trackedConnectionsLimit = 100
    #expect(Diagnosis.findings(in: Census(namespaces: [namespace])).first?.severity == severity)
  }

  @Test(
    "U1: a full queue, peers that are gone, data that nobody reads",
    arguments: ["full", "gone", "unread", "healthy", "waiting"]
  )
  func unix(mode: String) throws {
    // An abstract name belongs to the network: no file is left behind.
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

  @Test("U1, its neighbour: a pair of which one end was closed just now, and the other is about to be")
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
