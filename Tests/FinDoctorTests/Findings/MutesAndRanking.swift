import FinDoctor
import TestTraits
import Testing

@Suite("Findings: mutes, ranking, languages", .onThreads)
struct MutesAndRanking {
  /// The findings about a program with leaked connections, the first of them two minutes older than the others, and
  /// with `others` other descriptors.
  private func found(
    _ name: String = "api", _ count: Int = 12, pid: Int32 = 5, besides others: Int = 4
  ) -> [Finding] {
    let sockets = (0..<count).map { number -> InetSocket in
      var socket = InetSocket()
      socket.state = .closeWait
      socket.inode = UInt32(100 + number)
      socket.localPort = 80
      socket.remotePort = UInt16(50000 + number)
      socket.info.lastDataReceived = number == 0 ? 210_000 : 90_000
      socket.info.lastDataSent = number == 0 ? 215_000 : 95_000
      socket.info.lastAcknowledgementReceived = number == 0 ? 209_000 : 89_000
      return socket
    }
    let holders = sockets.enumerated().map { Holder(inode: $1.inode, pid: pid, descriptor: Int32(7 + $0)) }
    var program = Program(pid: pid, name: name)
    program.descriptorLimit = 1024
    return Diagnosis.findings(
      in: Census(
        sockets: ContiguousArray(sockets),
        holders: Holders(
          sockets: ContiguousArray(holders),
          processes: [HoldingProcess(pid: pid, descriptorCount: UInt32(count + others))]),
        programs: [pid: program], when: Census.Moment(monotonic: 1)))
  }

  @Test("with default thresholds, twelve connections for 209 seconds are a warning, 300 of 1,024 descriptors critical")
  func severities() throws {
    let some = try found().only(.closeWaitKnown)
    #expect(some.severity == .warning && some.who?.descriptorRanges() == "7-18")
    // The age and the evidence are those of the oldest connection.
    #expect(some.since == AgeBounds(atLeast: 208_990, atMost: 210_010))
    #expect(some["tcpi_last_ack_recv"] == "209,000 ms" && some["tcpi_last_data_recv"] == "210,000 ms")
    #expect(some["tcpi_last_data_sent"] == "215,000 ms" && some["for example"]?.hasSuffix(":50000") == true)
    let many = try found("api", 300).only(.closeWaitKnown)
    #expect(many.severity == .critical)
    let one = try found("api", 1).only(.closeWaitKnown)
    #expect(one.severity == .warning)
  }

  @Test("a mute names a finding by code, name or *, and a program by a pattern")
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

  @Test("an invalid line is rejected with its number, and its file mutes nothing")
  func badLines() {
    for (text, line) in [("L1 a\nL99 b", 2), ("L1", 1), ("\n\nL1 a b", 3), ("L1 # why", 1)] {
      #expect { try Mutes(parsing: text) } throws: { ($0 as? Mutes.BadLine)?.line == line }
    }
  }

  @Test("a pattern with many stars rejects a long name quickly")
  func stars() throws {
    let mutes = try Mutes(parsing: "L1 " + String(repeating: "*a", count: 50) + "b")
    let finding = try found(String(repeating: "a", count: 5000)).only(.closeWaitKnown)
    #expect(!mutes.mutes(finding))
  }

  @Test("the worst finding comes first")
  func ranking() {
    let chains = Diagnosis.chains(found("few", 3) + found("many", 300) + found("some", 12))
    #expect(chains.map { $0[0].count } == [300, 12, 3])
  }

  @Test("severity ranks before count")
  func severityFirst() {
    let chains = Diagnosis.chains(
      found("calm", 299).map { finding in
        var finding = finding
        finding.severity = .info
        return finding
      } + found("some", 12))
    #expect(chains.map { $0[0].count } == [12, 299])
  }

  @Test(
    "a leak explains the descriptor limit of its own program only if it is a large part of it")
  func causesOfLimits() {
    func chains(_ findings: [Finding]) -> [[FindingID]] { Diagnosis.chains(findings).map { $0.map(\.id) } }
    #expect(chains(found("api", 300, besides: 700)) == [[.closeWaitKnown, .descriptorLimit]])
    #expect(chains(found("api", 12, besides: 988)) == [[.descriptorLimit], [.closeWaitKnown]])
    let limit = found("web", 300, pid: 6, besides: 700).filter { $0.id == .descriptorLimit }
    #expect(chains(limit + found("api", 300)) == [[.descriptorLimit], [.closeWaitKnown]])
  }

  @Test("a full accept queue explains only the connection attempts to its address and port")
  func causesOfAttempts() {
    var listener = InetSocket()
    (listener.state, listener.localPort, listener.localBits) = (.listen, 80, AddressBits(low: 0x0a00_0001))
    (listener.receiveQueue, listener.sendQueue) = (3, 2)
    for (address, port, isThere) in [(0x0a00_0001, 80, true), (0x0a00_0001, 81, false), (0x0a00_0002, 80, false)]
      as [(UInt64, UInt16, Bool)]
    {
      var attempt = InetSocket()
      (attempt.state, attempt.timer, attempt.retransmits, attempt.localPort) = (.synSent, .retransmit, 3, 50_000)
      (attempt.remoteBits, attempt.remotePort) = (AddressBits(low: address), port)
      let chains = Diagnosis.chains(Diagnosis.findings(in: Census(sockets: [listener, attempt])))
      let apart: [[FindingID]] = [[.acceptOverflow], [.connectStuck]]
      #expect(chains.map { $0.map(\.id) } == (isThere ? [apart.flatMap { $0 }] : apart), "\(address):\(port)")
    }
  }

  @Test(
    "a program's language is recognised by its executable's name, in any version",
    arguments: [
      ("python3.11", Language.python), ("node", .node), ("java", .java), ("nodejs", .node), ("pythonic", .unknown),
      ("nginx", .unknown),
    ])
  func language(name: String, language: Language) { #expect(Language(executable: name) == language) }
}
