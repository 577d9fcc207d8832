import FoundationEssentials
import TestTraits
import Testing

@testable import FinDoctor

/// Censuses from other machines, as `fin census --redact` wrote them, with the findings that are expected in each.
@Suite("The censuses of the corpus have their findings", .onThreads)
struct CorpusTests {
  private static let folder =
    #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/") + "/Corpus/"

  private static let expected = [
    "accept-queue": ["A1 critical 30", "A2 warning 3", "P4 warning 5"],
    "close-wait": ["L1 warning 12"],
    "detached": ["L3 warning 8"],
    "inherited": ["L1 info 1", "L5 critical 1"],
    // A window that was closed for some seconds is no finding yet.
    "zero-window": [],
  ]

  private static func record(_ name: String) throws -> CensusRecord {
    let data = try Data(contentsOf: URL(filePath: folder + name + ".json"))
    return try CensusRecord(json: Array(data))
  }

  @Test("each file is read without a missing field, and has its findings", arguments: expected.keys.sorted())
  func findings(name: String) throws {
    let record = try Self.record(name)
    #expect(record.missing.isEmpty && record.census.gaps.sentences.isEmpty)
    let findings = Diagnosis.examine(record.census, record.options).findings
    #expect(findings.map { "\($0.id.rawValue) \($0.severity) \($0.count)" }.sorted() == Self.expected[name])
  }

  @Test("no file of the folder is without expectations, and none names a program, a path or an address of its machine")
  func files() throws {
    let names = try FileManager.default.contentsOfDirectory(atPath: Self.folder)
    #expect(names.sorted() == Self.expected.keys.sorted().map { $0 + ".json" })
    for name in Self.expected.keys {
      let census = try Self.record(name).census
      #expect(census.programs.values.allSatisfy { $0.name.hasPrefix("program-") })
      #expect(census.programs.values.allSatisfy { $0.executable?.hasPrefix("/path-") ?? true })
      #expect(census.sockets.allSatisfy { $0.localAddress.isKept && $0.remoteAddress.isKept })
    }
  }
}
