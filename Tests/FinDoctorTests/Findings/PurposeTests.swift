import FinBase
import TestTraits
import Testing

@testable import FinDoctor

@Suite("Declared intent suppresses only the finding that it explains", .onThreads)
struct PurposeTests {
  /// Examines one idle connection of process 50 to another machine, with this record in the ledger of the process.
  private func outcome(
    _ intent: PublishedSocket.Intent, phase: PublishedSocket.Phase = .connected, ends: UInt64 = 3_000_000_000,
    input: PublishedSocket.Wait = .none, second: Bool = false
  ) -> Diagnosis.Outcome {
    var socket = InetSocket()
    (socket.state, socket.inode, socket.cookie, socket.localPort, socket.remotePort) = (.established, 7, 9, 40_000, 443)
    socket.remoteBits = AddressBits(low: 0x0a00_0001)
    (socket.info.lastDataSent, socket.info.lastDataReceived) = (4_000_000, 4_000_000)
    var holders = [Holder(inode: 7, pid: 50, descriptor: 3)]
    if second { holders.append(Holder(inode: 7, pid: 50, descriptor: 4)) }
    var census = Census(sockets: [socket], holders: Holders(sockets: ContiguousArray(holders)))
    var published = PublishedSocket(file: "a/b.swift", line: 3, phase: phase)
    (published.intent, published.intentEnds, published.input) = (intent, ends, input)
    var ledger = ProgramLedger(when: 2_000_000_000)
    ledger.sockets[3] = published
    census.ledgers[50] = ledger
    return Diagnosis.examine(census)
  }

  @Test("P2 is suppressed by a matching intent until it expires, not by another intent or in another phase")
  func idle() {
    for intent in [.idle, .pooled, [.idle, .halfClosed]] as [PublishedSocket.Intent] {
      let outcome = outcome(intent)
      #expect(outcome.findings.isEmpty && outcome.onPurpose.map(\.milliseconds) == [1000], "\(intent)")
      #expect(outcome.onPurpose.first?.id == .idleWithoutKeepalive)
    }
    for intent in [[], .halfClosed, .readPaused] as [PublishedSocket.Intent] {
      let outcome = outcome(intent)
      #expect(outcome.findings.map(\.id) == [.idleWithoutKeepalive] && outcome.onPurpose.isEmpty, "\(intent)")
    }
    #expect(outcome(.idle, ends: 2_000_000_000).findings.count == 1)
    #expect(outcome(.idle, phase: .sendFinished).findings.count == 1)
  }

  @Test("P2 is suppressed by a wait with a deadline, not by an expired or endless wait")
  func waiting() {
    #expect(outcome([], input: .until(2_500_000_000)).findings.isEmpty)
    #expect(outcome([], input: .until(1_500_000_000)).findings.count == 1)
    let forever = outcome([], input: .forever)
    #expect(forever.findings.first?.origin?.waitWords == "1 without a deadline")
    #expect(forever.findings.first?.sentence.hasSuffix(" It was opened at a/b.swift:3.") == true)
  }

  @Test("intent of several sockets is shown once, with the longest time that it holds", arguments: [false, true])
  func several(isFirstLonger: Bool) {
    var census = Census(sockets: [], holders: Holders(sockets: []))
    var ledger = ProgramLedger(when: 2_000_000_000)
    var holders: ContiguousArray<Holder> = []
    for (number, ends) in [(1, 9_000_000_000), (2, 5_000_000_000)] as [(UInt32, UInt64)] {
      var socket = InetSocket()
      (socket.state, socket.inode, socket.cookie) = (.established, number, UInt64(number))
      (socket.localPort, socket.remotePort) = (UInt16(40_000 + number), 443)
      socket.remoteBits = AddressBits(low: 0x0a00_0001)
      (socket.info.lastDataSent, socket.info.lastDataReceived) = (4_000_000, 4_000_000)
      census.sockets.insert(socket, at: isFirstLonger ? census.sockets.endIndex : 0)
      holders.append(Holder(inode: number, pid: 50, descriptor: Int32(number)))
      var published = PublishedSocket(file: "a/b.swift", line: 3, phase: .connected)
      (published.intent, published.intentEnds) = (.idle, ends)
      ledger.sockets[Int32(number)] = published
    }
    census.holders = Holders(sockets: holders)
    census.ledgers[50] = ledger
    let outcome = Diagnosis.examine(census)
    #expect(outcome.findings.isEmpty)
    #expect(outcome.onPurpose.map(\.count) == [2] && outcome.onPurpose.map(\.milliseconds) == [7000])
  }

  @Test("the intent of one descriptor does not cover a second descriptor of the same socket")
  func twice() { #expect(outcome(.idle, second: true).findings.count == 1) }
}
