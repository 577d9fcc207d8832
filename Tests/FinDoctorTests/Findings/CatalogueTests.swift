import Foundation
import TestTraits
import Testing

@testable import FinDoctor

@Suite("Findings: the catalogue of rules", .onThreads)
struct CatalogueTests {
  @Test("every finding has a unique code and name, by which it is found")
  func codes() {
    #expect(FindingID.allCases.count == 29)
    #expect(Set(FindingID.allCases.map(\.name)).count == 29)
    for id in FindingID.allCases {
      #expect(FindingID(id.name) == id && FindingID(id.rawValue.lowercased()) == id)
    }
  }

  @Test("each rule has a file that begins with its code, and each such file is listed in Rule.all, in any order")
  func files() throws {
    let folder = URL(filePath: #filePath).appending(path: "../../../../Sources/FinDoctor/Rules").standardized
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
    let codes = names.filter { $0.wholeMatch(of: /[A-Z]\d[A-Z]\w+\.swift/) != nil }.map { String($0.prefix(2)) }
    #expect(codes.sorted() == Rule.all.map(\.id.rawValue).sorted())
  }

  @Test("no finding leads back to itself")
  func noCycle() {
    func effects(of id: FindingID, _ found: inout Set<FindingID>) {
      for effect in id.rule.leadsTo where found.insert(effect.id).inserted { effects(of: effect.id, &found) }
    }
    for id in FindingID.allCases {
      var found: Set<FindingID> = []
      effects(of: id, &found)
      #expect(!found.contains(id), "\(id)")
    }
  }

  @Test("a summary is a sentence, and fits into a line of the help")
  func summaries() {
    for rule in Rule.all {
      #expect(rule.summary.hasSuffix(".") && rule.summary.count <= 74, "\(rule.name)")
    }
  }
}
