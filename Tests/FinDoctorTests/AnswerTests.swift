import FinBase
import TestTraits
import Testing

@testable import FinDoctor

@Suite("Netlink messages are parsed only as far as their lengths are valid, and no value is invented", .onThreads)
struct AnswerTests {
  @Test("every field of a complete sock_diag message is read from its place")
  func whole() throws {
    var info = [UInt8](repeating: 0, count: 280)
    info[2] = 4
    info[44] = 0x10
    info[244] = 0x20
    let payload =
      Answer.inet(cookie: 99, state: 8) + Answer.attribute(2, info) + Answer.attribute(7, Answer.numbers(Array(1...9)))
      + Answer.attribute(8, [3]) + Answer.attribute(21, [5, 0, 0, 0, 0, 0, 0, 0]) + Answer.attribute(22, [0, 1])
      + Answer.attribute(999, [1, 2, 3])
    let (rows, damage, outcome) = Answer.read(Answer.message(payload) + Answer.done)
    let row = try #require(rows.first)
    #expect(rows.count == 1 && outcome == .done && damage == NetlinkSocket.Damage())
    #expect(row.localAddress.with(port: row.localPort) == "127.0.0.1:8080")
    #expect(row.remoteAddress.with(port: row.remotePort) == "10.1.2.3:40000")
    #expect(row.state == .closeWait && row.timer == .retransmit && row.retransmits == 3 && row.expires == 200)
    #expect(row.receiveQueue == 5 && row.sendQueue == 6 && row.user == 1000 && row.inode == 7 && row.cookie == 99)
    #expect(row.shutdown == 3 && row.cgroup == 5 && row.bindsAddressOnly == true && row.hasFinishedSending == true)
    #expect(row.memory.received == 1 && row.memory.queued == 6 && row.memory.drops == 9)
    #expect(row.info.retransmits == 4 && row.info.lastDataSent == 16 && row.info.totalTimeoutTime == 32)
  }

  @Test("an MPTCP subflow is recognised by the ULP name mptcp, not by another or a truncated name")
  func subflow() throws {
    func row(_ above: [UInt8]) throws -> InetSocket {
      let payload = Answer.inet(cookie: 1) + Answer.attribute(19, above)
      return try #require(Answer.read(Answer.message(payload)).rows.first)
    }
    #expect(try row(Answer.attribute(1, Array("mptcp\0".utf8)) + Answer.attribute(3, [0])).isSubflow)
    for above in [
      Answer.attribute(1, Array("tls\0".utf8)), Answer.attribute(1, Array("mptc".utf8)), Answer.attribute(2, [1]), [],
      [9, 0, 1, 0], Answer.attribute(1, length: 60, Array("mptcp\0".utf8)),
    ] {
      #expect(try !row(above).isSubflow)
    }
  }

  @Test("mptcp_info of any length is never read as tcp_info, nor tcp_info as mptcp_info")
  func multipath() throws {
    var info = [UInt8](repeating: 0xee, count: 280)
    info.replaceSubrange(8..<16, with: Answer.numbers([3, 0xabcd]))
    info.replaceSubrange(84..<96, with: Answer.numbers([10, 20, 30]))
    func row(_ length: Int, _ transport: Transport) throws -> InetSocket {
      let payload = Answer.inet(cookie: 5, state: 7) + Answer.attribute(2, Array(info[..<length]))
      return try #require(Answer.read(Answer.message(payload), transport).rows.first)
    }
    let whole = try row(96, .mptcp)
    #expect(whole.info.isEmpty && whole.info.lastDataReceived == nil && whole.info.totalTimeoutTime == nil)
    #expect(whole.multipath.isPlainTCP == true && whole.multipath.token == 0xabcd)
    #expect(whole.multipath.lastDataSent == 10 && whole.multipath.lastDataReceived == 20)
    #expect(whole.multipath.lastAcknowledgementReceived == 30 && whole.state == .closed)
    // Both have the same cookie; the token distinguishes them.
    #expect(whole.cookie == 5 && whole.identity != 5)
    #expect(try row(280, .tcp).identity == 5)
    // An older kernel without the times, one without the counts, and an empty structure.
    #expect(try row(84, .mptcp).multipath.lastDataSent == nil)
    #expect(try row(84, .mptcp).multipath.pathCount == 0xee)
    #expect(try row(48, .mptcp).multipath.bytesSent == nil)
    #expect(try row(48, .mptcp).multipath.token == 0xabcd)
    #expect(try row(0, .mptcp).multipath.isEmpty)
    #expect(try row(0, .mptcp).identity == 5)
    // A newer kernel, whose structure is longer.
    #expect(try row(280, .mptcp).multipath.lastAcknowledgementReceived == 30)
    #expect(try row(280, .mptcp).info.isEmpty)
    #expect(try row(280, .tcp).multipath.isEmpty)
    #expect(try row(280, .tcp).info.lastDataSent == 0xeeee_eeee)
    #expect(try row(280, .udp).multipath.isEmpty)
  }

  @Test("MPTCP sockets are requested by an attribute, so that an older kernel does not answer with TCP sockets")
  func multipathRequest() {
    let bytes = InetDiag.request(.mptcp, isIPv6: false, detailed: false, sequence: 9)
    #expect(bytes.count == 16 + 56 + 8 && bytes[0] == 80 && bytes[17] == 0 && bytes[18] == 2)
    #expect(Array(bytes[72...]) == [8, 0, 3, 0, 6, 1, 0, 0])
    #expect(InetDiag.request(.tcp, isIPv6: false, sequence: 9).count == 72)
    let table = Array("protocol size sockets memory\nMPTCPv6   2064   0   271\nMPTCP   1936   12   271".utf8)
    #expect(MPTCPSupport.hasSockets("MPTCP", in: table) && !MPTCPSupport.hasSockets("MPTCPv6", in: table))
    #expect(!MPTCPSupport.hasSockets("MPTCP", in: []))
  }

  @Test("TCP is requested once for both families, in the kernel's older form, whose answers have its type")
  func bothFamilies() throws {
    let bytes = InetDiag.request(.tcp, isIPv6: nil, states: 1 << 10, sequence: 9)
    #expect(bytes.count == 16 + 60 && bytes[0] == 76 && bytes[4] == 18 && bytes[16] == 0 && bytes[19] == 0x42)
    #expect(Array(bytes[68..<76]) == [0, 4, 0, 0, 0, 0, 0, 0])
    var answer = Answer.message(Answer.inet(cookie: 1))
    answer[4] = 18
    #expect(try #require(Answer.read(answer).rows.first).cookie == 1)
  }

  @Test("fields that an older kernel does not send are unknown, not zero")
  func older() throws {
    // 104 bytes of tcp_info, and four values of socket memory.
    let info = [UInt8](repeating: 1, count: 104)
    let payload =
      Answer.inet(cookie: 1) + Answer.attribute(2, info) + Answer.attribute(7, Answer.numbers([1, 2, 3, 4]))
    let row = try #require(Answer.read(Answer.message(payload)).rows.first)
    #expect(row.info.totalRetransmissions == 0x0101_0101)
    #expect(row.info.bytesAcknowledged == nil && row.info.sendWindow == nil && row.info.totalTimeoutTime == nil)
    #expect(row.memory.sendLimit == 4 && row.memory.queued == nil && row.drops == nil)
    #expect(row.shutdown == nil && row.cgroup == nil && row.bindsAddressOnly == nil && row.hasFinishedSending == nil)
  }

  @Test(
    "a message with an attribute of wrong length is skipped and counted",
    arguments: [
      Answer.attribute(2, length: 0, [1, 2, 3, 4]),
      Answer.attribute(2, length: 3, [1, 2, 3, 4]),
      Answer.attribute(2, length: 9, [1, 2, 3, 4]),
      Answer.attribute(7, length: 0xffff, [1, 2, 3, 4]),
      Answer.attribute(8, [1]) + [4, 0],
    ])
  func lyingAttributes(attributes: [UInt8]) {
    let (rows, damage, _) = Answer.read(
      Answer.message(Answer.inet(cookie: 1) + attributes) + Answer.message(Answer.inet(cookie: 2)))
    #expect(rows.map(\.cookie) == [2] && damage.answers == 1)
  }

  @Test("attributes too short for their value are ignored")
  func shortAttributes() throws {
    let payload =
      Answer.inet(cookie: 1) + Answer.attribute(8, []) + Answer.attribute(21, [1, 2, 3]) + Answer.attribute(22, [1])
      + Answer.attribute(2, []) + Answer.attribute(7, [1, 2, 3])
    let row = try #require(Answer.read(Answer.message(payload)).rows.first)
    #expect(row.shutdown == nil && row.cgroup == nil && row.options == nil)
    #expect(row.info.isEmpty && row.memory.received == nil)
  }

  @Test("a message of wrong length ends the parsing of its datagram; earlier rows are kept")
  func lyingMessages() {
    for length in [0, 15, 17 + 72 + 400, Int(UInt32.max)] {
      let bytes = Answer.message(Answer.inet(cookie: 1)) + Answer.message(length: length, Answer.inet(cookie: 2))
      let (rows, damage, outcome) = Answer.read(bytes)
      #expect(rows.map(\.cookie) == [1] && damage.answers == 1 && outcome == .more, "length \(length)")
    }
  }

  @Test("a datagram truncated at any byte yields exactly the complete messages before the cut")
  func cut() {
    let one = Answer.message(Answer.inet(cookie: 1) + Answer.attribute(8, [0]))
    let bytes = one + Answer.message(Answer.inet(cookie: 2) + Answer.attribute(2, [UInt8](repeating: 9, count: 248)))
    for end in 0..<bytes.count {
      let (rows, _, outcome) = Answer.read(Array(bytes[..<end]))
      #expect(rows.map(\.cookie) == (end >= one.count ? [1] : []), "cut at \(end)")
      #expect(outcome == .more)
    }
  }

  @Test("messages of other types, sequence numbers and address families are not rows")
  func strangers() {
    let (rows, damage, outcome) = Answer.read(
      Answer.message(type: 77, Answer.inet(cookie: 1)) + Answer.message(sequence: 5, Answer.inet(cookie: 2))
        + Answer.message(Answer.inet(cookie: 3, family: 1)) + Answer.message(Array(Answer.inet(cookie: 4)[..<71]))
        + Answer.message(Answer.inet(cookie: 5, state: 200)) + Answer.done + Answer.message(Answer.inet(cookie: 6)))
    #expect(rows.map(\.cookie) == [5] && damage.answers == 2 && outcome == .done)
    #expect(rows[0].state.description == "STATE-200" && AgeBounds.inState(rows[0]) == .unknown)
  }

  @Test("an error message is an error, and an interrupted dump is recorded")
  func refusals() {
    let refusal = Answer.message(type: 2, Answer.numbers([UInt32(bitPattern: -1)]))
    #expect(Answer.read(refusal).outcome == .refused(KernelError(code: 1)))
    #expect(
      Answer.read(Answer.message(type: 3, Answer.numbers([UInt32(bitPattern: -2)]))).outcome
        == .refused(KernelError(code: 2)))
    #expect(Answer.read(Answer.message(type: 2, [1])).damage.answers == 1)
    #expect(Answer.read(Answer.message(flags: 0x12, Answer.inet(cookie: 1))).damage.isInterrupted)
  }

  @Test("100,000 random or randomly changed messages: no crash, and no row that was not sent")
  func random() {
    var dice = SeededDice(seed: 20_240_613)
    let sound =
      Answer.message(
        Answer.inet(cookie: 1) + Answer.attribute(2, [UInt8](repeating: 7, count: 280))
          + Answer.attribute(7, Answer.numbers(Array(1...9))) + Answer.attribute(8, [1]))
      + Answer.message(Answer.inet(cookie: 2, family: 10)) + Answer.done
    var wrong: [Int] = []
    for round in 0..<100_000 {
      var bytes = round % 2 == 0 ? dice.bytes(most: 300) : sound
      if round % 2 == 1 {
        for _ in 0...Int(dice.next() % 6) {
          bytes[Int(dice.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: dice.next())
        }
        bytes.removeLast(Int(dice.next() % UInt64(bytes.count + 1)))
      }
      let (rows, _, _) = Answer.read(bytes, Transport.allCases[round / 2 % 3])
      // Every row must come from a message of at least 88 bytes whose bytes were sent. Searching for them is slow, so
      // it is not done in every round.
      if rows.count * 88 > bytes.count { wrong.append(round) }
      if round % 32 == 1, !rows.allSatisfy({ Self.isIn(bytes, $0) }) { wrong.append(round) }

      var unix = UnixSockets()
      if unsafe UnixDiag.read(bytes.span.bytes, namespace: 0, into: &unix),
        unix.names.count + unix.waiting.count * 4 > bytes.count
      {
        wrong.append(round)
      }
    }
    #expect(wrong == [])
  }

  /// Whether the bytes contain a message with this row's cookie and queues.
  private static func isIn(_ bytes: [UInt8], _ row: InetSocket) -> Bool {
    var answer = Answer()
    for number in [
      UInt32(truncatingIfNeeded: row.cookie), UInt32(row.cookie >> 32), row.expires, row.receiveQueue, row.sendQueue,
      row.user, row.inode,
    ] { answer.append(number) }
    return bytes.indices.contains { bytes[$0...].starts(with: answer.bytes) }
  }

  @Test("Unix sockets: names, peers, queues and waiting clients")
  func unix() throws {
    var found = UnixSockets()
    var fixed = Answer()
    fixed.bytes += [1, 1, 10, 0]
    for number in [77, 5, 0] as [UInt32] { fixed.append(number) }
    let payload =
      fixed.bytes + Answer.attribute(0, Array("/run/x".utf8)) + Answer.attribute(3, Answer.numbers([8, 9]))
      + Answer.attribute(4, Answer.numbers([2, 1])) + Answer.attribute(6, [0]) + Answer.attribute(7, [1, 0, 0, 0])
    let read = [payload, fixed.bytes, Array(fixed.bytes[..<15])].map { bytes in
      unsafe UnixDiag.read(bytes.span.bytes, namespace: 0, into: &found)
    }
    #expect(read == [true, true, false])
    let census = Census(unixSockets: found.rows, unixNames: found.names, unixWaiting: found.waiting)
    let row = census.unixSockets[0]
    #expect(row.inode == 77 && row.state == .listen && row.receiveQueue == 2 && row.sendQueue == 1 && row.user == 1)
    #expect(census.name(of: row) == "/run/x" && census.name(of: census.unixSockets[1]) == nil)
    #expect(Array(found.waiting) == [8, 9] && row.waiting == 0..<2)
    #expect(census.unixSockets[1].peer == nil && census.unixSockets.count == 2)
  }
}

/// A random number generator with the same sequence in every run.
struct SeededDice: RandomNumberGenerator {
  private var state: UInt64
  init(seed: UInt64) { state = seed }

  /// The next number of SplitMix64.
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
    return mixed ^ mixed >> 31
  }

  mutating func bytes(most: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    let count = Int(next() % UInt64(most + 1))
    while bytes.count < count {
      let eight = next()
      for shift in 0..<min(8, count - bytes.count) {
        bytes.append(UInt8(truncatingIfNeeded: eight >> UInt64(8 * shift)))
      }
    }
    return bytes
  }
}
