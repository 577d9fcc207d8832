import TestTraits
import Testing

@testable import FinDoctor

@Suite("Findings: the confidence follows from the facts that were read", .onThreads)
struct ClaimTests {
  /// How weak a confidence is; the absence of the finding is weakest.
  private func weakness(_ confidence: Finding.Confidence?) -> Int {
    switch confidence {
    case .certain: 0
    case .likely: 1
    case .possible: 2
    case nil: 3
    }
  }

  /// Whether the left confidence is weaker: by its word, or by a further doubt.
  private func isWeaker(_ left: Finding.Confidence?, _ right: Finding.Confidence) -> Bool {
    let (one, other) = (weakness(left), weakness(right))
    return one > other || one == other && (left?.doubt?.count ?? 0) > (right.doubt?.count ?? 0)
  }

  @Test("every claim of every rule is staged, its names are unique, and it says what it reads")
  func complete() {
    let staged = StagedCensus.all.map { "\($0.id.rawValue) \($0.claim)" }
    let claims = Rule.all.flatMap { rule in rule.claims.map { "\(rule.id.rawValue) \($0.name)" } }
    #expect(staged.sorted() == claims.sorted())
    #expect(Set(claims).count == claims.count)
    for rule in Rule.all {
      #expect(!rule.reads.isEmpty && rule.claims.allSatisfy { !$0.needs.isEmpty }, "\(rule.name)")
    }
  }

  @Test(
    "a staged finding looked at every fact of its claim, and has read those that it needs", arguments: StagedCensus.all)
  func read(stage: StagedCensus) throws {
    let finding = try #require(stage.finding)
    for fact in finding.claim.facts { #expect(finding.facts.contains { $0.fact == fact }, "\(fact.name)") }
    for fact in finding.claim.needs {
      #expect(finding.facts.first { $0.fact == fact }?.value?.isEmpty == false, "\(fact.name)")
    }
    #expect(Set(finding.facts.map(\.fact)).count == finding.facts.count, "a fact is read once")
  }

  @Test("without any one of its facts, a finding is less sure", arguments: StagedCensus.all)
  func drop(stage: StagedCensus) throws {
    let finding = try #require(stage.finding)
    for fact in finding.claim.facts where finding.facts.contains(where: { $0.fact == fact && $0.excludes }) {
      let unread = finding.facts.map { $0.fact == fact ? Finding.Reading.read(fact, nil) : $0 }
      let weaker = finding.claim.confidence(unread)
      #expect(isWeaker(weaker, finding.confidence), "without \(fact.name): \(weaker.word)")
      // A fact that was not read at all is as good as one that could not be read.
      #expect(isWeaker(finding.claim.confidence(finding.facts.filter { $0.fact != fact }), finding.confidence))
    }
  }

  @Test("only an alternative that some fact can exclude lets a claim be certain; each one excluded is needed")
  func alternatives() throws {
    for stage in StagedCensus.all {
      let finding = try #require(stage.finding, "\(stage.testDescription)")
      let isOpen = finding.claim.alternatives.contains { $0.isOpen(after: finding.facts) }
      #expect((finding.confidence == .certain) == !isOpen, "\(stage.testDescription): \(finding.confidence)")
      if finding.claim.alternatives.contains(where: { $0.excludedBy.isEmpty }) {
        #expect(finding.confidence != .certain, "\(stage.testDescription)")
      }
    }
  }

  /// The claims about holders without a descriptor.
  private static let kept: Set = [
    "held by a ring", "held for an interface", "held by a message", "held by the kernel",
    "held by the kernel or a message",
  ]

  /// Parts that may be missing in a census, with the claims that are less sure without them.
  private static let hidden: [(name: String, hide: @Sendable (inout StagedCensus) -> Void, claims: Set<String>)] = [
    ("the watchers", { $0.census.watchers = [:] }, ["end of file unread", "clients wait"]),
    ("a namespace", { $0.census.gaps.skippedNamespaces = 1 }, ["no connection"]),
    (
      "a part of a dump", { $0.census.gaps.interruptedDumps = 1 },
      ["kept after the peer closed", "few ports left", "no connection"]
    ),
    (
      "the counters", { $0.census.namespaces[0].counters = Counters() },
      ["listener is full", "listener has room", "queue was full", "dropped for another reason", "memory nearly used"]
    ),
    (
      "the earlier census", { ($0.options.earlier, $0.options.passingBefore) = (nil, nil) },
      ["queue was full", "held by the kernel or a message", "drops at a full buffer"]
    ),
    ("a process", { $0.census.gaps.unreadableProcesses[0] = 1 }, kept),
    ("the processes outside", { $0.census.gaps.hidesProcesses = true }, kept),
    ("the ledgers", { $0.census.ledgers = [:] }, ["waits for the peer"]),
    (
      "the limits", { for pid in $0.census.programs.keys { $0.census.programs[pid]?.descriptorLimit = nil } },
      ["near the limit", "no descriptor left"]
    ),
    (
      "the other ends", { $0.census.sockets.removeAll { $0.inode == 2 && $0.state == .established } }, ["window closed"]
    ),
    (
      "an answer to the probes",
      { for index in $0.census.sockets.indices { $0.census.sockets[index].info.probes = 4 } },
      ["not taken"]
    ),
  ]

  @Test("a census that could not be read whole gives findings that are less sure", arguments: 0..<11)
  func hide(number: Int) throws {
    let (name, hide, claims) = Self.hidden[number]
    let stages = StagedCensus.all.filter { claims.contains($0.claim) }
    #expect(Set(stages.map(\.claim)) == claims)
    for stage in stages {
      let whole = try #require(stage.finding)
      var stage = stage
      hide(&stage)
      let id = stage.id
      let left = stage.judge(stage.census, stage.options).filter { $0.id == id }
      #expect(left.allSatisfy { isWeaker($0.confidence, whole.confidence) }, "\(stage.testDescription) without \(name)")
    }
  }

  @Test("the sentences that are certain when all can be read")
  func certain() {
    let sure = StagedCensus.all.filter { $0.finding?.confidence == .certain }.map(\.testDescription)
    #expect(
      Set(sure) == [
        "L1 kept after the peer closed", "L2 end of file unread", "L4 near the limit", "L5 kept by a child",
        "L6 held by a ring", "L6 held for an interface", "E4 held by a ring", "E4 held for an interface",
        "L7 reset at the end", "H1 waits for the peer", "H2 not taken",
        "H2 left to deliver",
        "W1 window closed", "P4 no answer", "P4 listener is full", "P5 connected to itself",
        "E1 few ports left", "E4 listener in the way",
        "A1 queue is full", "A1 queue was full", "A1 dropped for another reason", "A2 clients wait",
        "A4 no descriptor left", "S1 memory nearly used", "S1 tracking table nearly full", "U1 queue full",
        "U2 drops at a full buffer",
      ])
  }
}
