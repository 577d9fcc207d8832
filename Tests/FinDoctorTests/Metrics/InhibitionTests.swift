import Peers
import TestTraits
import Testing

@testable import FinDoctor

@Suite("Fleet: Alertmanager holds back what follows from another finding, and nothing else", .onThreads)
struct InhibitionTests {
  private static let file =
    #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(4).joined(separator: "/")
    + "/Fleet/alertmanager.yml"

  @Test("each inhibition between two findings is a way in which the one explains the other")
  func chains() throws {
    let text = try readText(Self.file)
    let pattern = /source_matchers: \[(.*)\]\n  target_matchers: \[(.*)\]\n  equal: \[instance, program, unit\]/
    let rules = text.matches(of: pattern)
    #expect(rules.count == text.matches(of: /- source_matchers/).count && rules.count > 5)
    var pairs = 0
    for rule in rules {
      func codes(_ matchers: Substring) -> [String] {
        guard let codes = matchers.firstMatch(of: /finding=~?"([A-Z0-9|]+)"/)?.output.1 else { return [] }
        return codes.split(separator: "|").map(String.init)
      }
      for cause in codes(rule.output.1) {
        let source = try #require(Rule.all.first { $0.id.rawValue == cause }, "\(cause)")
        for effect in codes(rule.output.2) {
          #expect(source.leadsTo.contains { $0.id.rawValue == effect }, "\(cause) does not explain \(effect)")
          pairs += 1
        }
      }
    }
    #expect(pairs > 8)
  }
}
