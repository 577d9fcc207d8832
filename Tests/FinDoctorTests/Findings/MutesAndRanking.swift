import FinDoctor
import Testing

@Suite("Findings: mutes, ranking, words")
struct MutesAndRanking {
  private func found(_ name: String = "api", _ count: Int = 12) -> [Finding] {
    let sockets = (0..<count).map { number -> InetSocket in
      var socket = InetSocket()
      socket.state = .closeWait
      socket.inode = UInt32(100 + number)
      socket.localPort = 80
      socket.remotePort = UInt16(50000 + number)
      socket.info.lastDataReceived = 90_000
      socket.info.lastDataSent = 95_000
      socket.info.lastAcknowledgementReceived = 89_000
      return socket
    }
    let holders = sockets.enumerated().map { Holder(inode: $1.inode, pid: 5, descriptor: Int32(7 + $0)) }
    var program = Program(pid: 5, name: name)
    program.descriptorLimit = 1024
    return Diagnosis.findings(
      in: Census(
        sockets: ContiguousArray(sockets),
        holders: Holders(
          sockets: ContiguousArray(holders), processes: [HoldingProcess(pid: 5, descriptorCount: UInt32(count + 4))]),
        programs: [5: program], when: Census.Moment(monotonic: 1)))
  }

  @Test("with the catalogue's thresholds: twelve for 89 to 90 seconds are a warning, 300 of 1,024 descriptors critical")
  func severities() throws {
    let some = try found().only(.closeWaitKnown)
    #expect(some.severity == .warning && some.who?.descriptorRanges() == "7-18")
    #expect(some.since == Since(atLeast: 88_990, atMost: 90_010))
    let many = try found("api", 300).only(.closeWaitKnown)
    #expect(many.severity == .critical)
    let one = try found("api", 1).only(.closeWaitKnown)
    #expect(one.severity == .warning)
  }

  @Test("a mute is a finding by code or name, or *, and a form of the program's name")
  func mutes() throws {
    let finding = try found("api-7").only(.closeWaitKnown)
    for text in [
      "L1 api-7", "l1 api-*", "close-wait-known *", "* a?i-? # known\n", "# only a comment\n\nL1\tap*-7\r\n",
    ] {
      #expect(try Mutes(parsing: text).mutes(finding), "\(text)")
    }
    for text in ["L2 api-7", "L1 api", "* b*", "L1 api-??", ""] {
      #expect(try !Mutes(parsing: text).mutes(finding), "\(text)")
    }
  }

  @Test("a line that makes no sense is refused with its number, and nothing is muted by its file")
  func badLines() {
    for (text, line) in [("L1 a\nL99 b", 2), ("L1", 1), ("\n\nL1 a b", 3), ("L1 # why", 1)] {
      #expect { try Mutes(parsing: text) } throws: { ($0 as? Mutes.BadLine)?.line == line }
    }
  }

  @Test("a form with many stars takes no time to refuse a long name")
  func stars() throws {
    let mutes = try Mutes(parsing: "L1 " + String(repeating: "*a", count: 50) + "b")
    let finding = try found(String(repeating: "a", count: 5000)).only(.closeWaitKnown)
    #expect(!mutes.mutes(finding))
  }

  @Test("the worst comes first")
  func ranking() {
    let chains = Diagnosis.chains(found("few", 3) + found("many", 300) + found("some", 12))
    #expect(chains.map { $0[0].count } == [300, 12, 3])
  }

  @Test("every finding has a code, a name, and a change in words of its own")
  func catalogue() {
    #expect(FindingID.allCases.count == 25)
    #expect(Set(FindingID.allCases.map(\.name)).count == 25)
    for id in FindingID.allCases {
      #expect(FindingID(id.name) == id && FindingID(id.rawValue.lowercased()) == id)
    }
  }

  @Test(
    "a program's language is known by its name, whatever its version",
    arguments: [
      ("python3.11", Language.python), ("node", .node), ("java", .java), ("nodejs", .node), ("pythonic", .unknown),
      ("nginx", .unknown),
    ])
  func language(name: String, language: Language) { #expect(Language(executable: name) == language) }
}
