import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("TCP_INFO, read by the length that the kernel returned", .onThreads)
struct TCPInfoByLength {
  /// Each field: its name, offset, size, and its value as an integer.
  private static let fields: [(name: String, offset: Int, size: Int, value: @Sendable (TCPInfo) -> UInt64?)] = [
    ("retransmitsInARow", 2, 1, { $0.retransmitsInARow.map(UInt64.init) }),
    ("probesInARow", 3, 1, { $0.probesInARow.map(UInt64.init) }),
    ("retransmissionTimeout", 8, 4, { $0.retransmissionTimeout.map(microseconds) }),
    ("sendSegmentSize", 16, 4, { $0.sendSegmentSize.map(UInt64.init) }),
    ("receiveSegmentSize", 20, 4, { $0.receiveSegmentSize.map(UInt64.init) }),
    ("segmentsUnacknowledged", 24, 4, { $0.segmentsUnacknowledged.map(UInt64.init) }),
    ("segmentsSacked", 28, 4, { $0.segmentsSacked.map(UInt64.init) }),
    ("sinceDataSent", 44, 4, { $0.sinceDataSent.map { microseconds($0) / 1000 } }),
    ("sinceDataReceived", 52, 4, { $0.sinceDataReceived.map { microseconds($0) / 1000 } }),
    ("sinceAcknowledgement", 56, 4, { $0.sinceAcknowledgement.map { microseconds($0) / 1000 } }),
    ("pathMTU", 60, 4, { $0.pathMTU.map(UInt64.init) }),
    ("roundTrip", 68, 4, { $0.roundTrip.map(microseconds) }),
    ("roundTripVariation", 72, 4, { $0.roundTripVariation.map(microseconds) }),
    ("congestionWindow", 80, 4, { $0.congestionWindow.map(UInt64.init) }),
    ("segmentsRetransmitted", 100, 4, { $0.segmentsRetransmitted.map(UInt64.init) }),
    ("bytesAcknowledged", 120, 8, { $0.bytesAcknowledged }),
    ("bytesReceived", 128, 8, { $0.bytesReceived }),
    ("segmentsSent", 136, 4, { $0.segmentsSent.map(UInt64.init) }),
    ("segmentsReceived", 140, 4, { $0.segmentsReceived.map(UInt64.init) }),
    ("bytesNotSent", 144, 4, { $0.bytesNotSent.map(UInt64.init) }),
    ("shortestRoundTrip", 148, 4, { $0.shortestRoundTrip.map(microseconds) }),
    ("deliveryRate", 160, 8, { $0.deliveryRate }),
    ("bytesSent", 200, 8, { $0.bytesSent }),
    ("bytesRetransmitted", 208, 8, { $0.bytesRetransmitted }),
    ("peerWindow", 228, 4, { $0.peerWindow.map(UInt64.init) }),
    ("ownWindow", 232, 4, { $0.ownWindow.map(UInt64.init) }),
  ]

  private static func microseconds(_ duration: Duration) -> UInt64 {
    let (seconds, attoseconds) = duration.components
    return UInt64(seconds) * 1_000_000 + UInt64(attoseconds / 1_000_000_000_000)
  }

  @Test("cut at every length from 0 to 300, each field is complete or nil")
  func cut() {
    let bytes = pattern(300, seed: 11)
    for length in 0...300 {
      let info = TCPInfo(bytes: Array(bytes.prefix(length)))
      for field in Self.fields {
        var expected: UInt64?
        if field.offset + field.size <= length {
          expected = bytes[field.offset..<field.offset + field.size].reversed().reduce(0) { $0 << 8 | UInt64($1) }
        }
        #expect(field.value(info) == expected, "\(field.name) in \(length) bytes")
      }
      if length < 192 { #expect(info.heldUpByBuffer == nil) }
      if length < 184 { #expect(info.heldUpByPeer == nil) }
      if length < 176 { #expect(info.busy == nil) }
    }
  }

  @Test("TCP_INFO of any bytes is read without a trap", arguments: 0..<20)
  func anything(seed: Int) {
    var dice = Dice(seed: UInt64(seed))
    for _ in 0..<100 {
      let length = Int.random(in: 0...300, using: &dice)
      let isFull = Bool.random(using: &dice)
      let info = TCPInfo(bytes: isFull ? [UInt8](repeating: 0xFF, count: length) : pattern(length, seed: dice.next()))
      for field in Self.fields { _ = field.value(info) }
      _ = (info.state, info.busy, info.heldUpByPeer, info.heldUpByBuffer)
    }
  }

  @Test("a TCP state that RFC 9293 does not define is nil; each one that it defines is known")
  func states() {
    for number in UInt8.min...UInt8.max {
      #expect(TCPInfo(bytes: [number]).state == TCPState(rawValue: number))
    }
    #expect(TCPInfo(bytes: []).state == nil)
    #expect(TCPInfo(bytes: [0]).state == nil)
    #expect(TCPInfo(bytes: [12]).state == nil)
  }

  /// A connection on which both sides have sent data, and everything is acknowledged.
  private func quiet() throws -> ConnectionPair {
    let pair = try StreamKind.ipv4.connected()
    try pair.first.send(pattern(10_000))
    _ = try pair.second.receive(exactly: 10_000)
    try pair.second.send("thank you")
    _ = try pair.first.receive(exactly: 9)
    try eventually("both sides' acknowledgements") {
      let first = try pair.first.bytesUnacknowledged()
      return try first == 0 && pair.second.bytesUnacknowledged() == 0
    }
    return pair
  }

  @Test("the values of TCP_INFO are those of the C struct")
  func asTheStruct() throws {
    let pair = try quiet()
    let info = try #require(try pair.first.tcpInfo())
    let plain = try pair.first.withDescriptor { descriptor in
      var plain = tcp_info()
      var length = socklen_t(MemoryLayout<tcp_info>.size)
      unsafe getsockopt(descriptor.rawValue, CInt(IPPROTO_TCP), TCP_INFO, &plain, &length)
      return plain
    }
    #expect(info.state == .established)
    #expect(info.state?.rawValue == plain.tcpi_state)
    #expect(info.retransmissionTimeout == .microseconds(Int64(plain.tcpi_rto)))
    #expect(info.sendSegmentSize == Int(plain.tcpi_snd_mss))
    #expect(info.receiveSegmentSize == Int(plain.tcpi_rcv_mss))
    #expect(info.segmentsUnacknowledged == 0)
    #expect(info.pathMTU == Int(plain.tcpi_pmtu))
    #expect(info.roundTrip == .microseconds(Int64(plain.tcpi_rtt)))
    #expect(info.roundTripVariation == .microseconds(Int64(plain.tcpi_rttvar)))
    #expect(info.congestionWindow == Int(plain.tcpi_snd_cwnd))
    #expect(info.segmentsRetransmitted == Int(plain.tcpi_total_retrans))
    #expect((info.pathMTU ?? 0) > 1000)
    pair.first.abort()
    pair.second.abort()
  }

  @Test("the counters of TCP_INFO are those that ss prints", .needsProgram("ss"))
  func asSS() throws {
    let pair = try quiet()
    let local = try #require(pair.first.localAddress?.port)
    let peer = try #require(pair.first.remoteAddress?.port)
    let program = try #require(Programs.find("ss"))
    let text = try withChild(program, ["-tinH", "sport = :\(local) and dport = :\(peer)"]) { try $0.readToEnd() }
    let words = text.split(whereSeparator: \.isWhitespace).map(String.init)
    func number(_ key: String) -> UInt64? {
      words.first { $0.hasPrefix("\(key):") }.flatMap { UInt64($0.dropFirst(key.count + 1)) }
    }
    let info = try #require(try pair.first.tcpInfo())
    #expect(info.bytesSent == 10_000)
    #expect(info.bytesSent == number("bytes_sent"), "\(text)")
    // The side that connected counts 1 for its SYN.
    #expect(info.bytesAcknowledged == 10_001)
    #expect(info.bytesAcknowledged == number("bytes_acked"), "\(text)")
    #expect(info.bytesReceived == 9)
    #expect(info.bytesReceived == number("bytes_received"), "\(text)")
    #expect(info.segmentsSent.map(UInt64.init) == number("segs_out"), "\(text)")
    #expect(info.segmentsReceived.map(UInt64.init) == number("segs_in"), "\(text)")
    if let window = number("snd_wnd") { #expect(info.peerWindow.map(UInt64.init) == window) }
    if let window = number("rcv_wnd") { #expect(info.ownWindow.map(UInt64.init) == window) }
    pair.first.abort()
    pair.second.abort()
  }
}
