/// `sock_diag` of TCP, UDP and MPTCP: what is asked, and how an answer becomes a row (`linux/inet_diag.h`).
enum InetDiag {
  /// A request for all sockets of one family and transport (`struct inet_diag_req_v2`).
  /// - Parameters:
  ///   - states: A bit for each state, by its number.
  ///   - detailed: With `tcp_info`, and with what it uses of memory if `memory` is true as well.
  static func request(
    _ transport: Transport, isIPv6: Bool, states: UInt32 = .max, detailed: Bool = true, memory: Bool = true,
    sequence: UInt32
  ) -> [UInt8] {
    var bytes = NetlinkRequest(sequence: sequence)
    bytes.append(isIPv6 ? 10 : 2)
    bytes.append(transport.inOneByte)
    // Which attributes to send, a bit for each by its number less one; the others come by themselves.
    let told: UInt8 = transport == .udp ? 0 : 1 << (info - 1)
    // Of MPTCP always: what tells its connections apart is in there.
    bytes.append(detailed ? told | (memory ? 1 << (Self.memory - 1) : 0) : transport == .mptcp ? told : 0)
    bytes.append(0)
    bytes.append(number: states)
    // No certain ports or addresses, on any interface, with any cookie.
    for _ in 0..<10 { bytes.append(number: UInt32(0)) }
    bytes.append(number: UInt64.max)
    bytes.appendProtocol(of: transport)
    return bytes.finished()
  }

  static let info: UInt16 = 2
  static let memory: UInt16 = 7
  static let shutdown: UInt16 = 8
  static let only6: UInt16 = 11
  static let upper: UInt16 = 19
  static let cgroup: UInt16 = 21
  static let options: UInt16 = 22

  /// The fixed part of an answer (`struct inet_diag_msg`), before its attributes.
  static let fixedLength = 72

  /// Reads one answer. Nil when it makes no sense; nothing of it is taken then.
  static func row(_ bytes: RawSpan, transport: Transport, namespace: UInt16) -> InetSocket? {
    guard bytes.byteCount >= fixedLength else { return nil }
    let family: UInt8 = bytes.number(at: 0)
    guard family == 2 || family == 10 else { return nil }
    var row = InetSocket()
    row.namespace = namespace
    row.transport = transport
    row.isIPv6 = family == 10
    row.state = SocketState(rawValue: bytes.number(at: 1))
    // Among TCP's, only sockets that are bound and nothing more are listed as closed.
    if transport == .tcp, row.state == .closed { row.state = .bound }
    row.timer = SocketTimer(rawValue: bytes.number(at: 2))
    row.retransmits = bytes.number(at: 3)
    row.localPort = UInt16(bigEndian: bytes.number(at: 4))
    row.remotePort = UInt16(bigEndian: bytes.number(at: 6))
    row.localBits = address(bytes, at: 8, row.isIPv6)
    row.remoteBits = address(bytes, at: 24, row.isIPv6)
    row.interface = bytes.number(at: 40)
    row.cookie = UInt64(bytes.number(at: 44, as: UInt32.self)) | UInt64(bytes.number(at: 48, as: UInt32.self)) << 32
    row.expires = bytes.number(at: 52)
    row.receiveQueue = bytes.number(at: 56)
    row.sendQueue = bytes.number(at: 60)
    row.user = bytes.number(at: 64)
    row.inode = bytes.number(at: 68)

    var offset = fixedLength
    while offset < bytes.byteCount {
      guard let attribute = NetlinkAttribute(in: bytes, at: offset) else { return nil }
      switch attribute.type {
      case info:
        // The number of the attribute is the same, and what it holds has nothing in common.
        let value = bytes.extracting(attribute.value)
        row.info = transport == .mptcp ? TCPDetail(multipath: value) : TCPDetail(value)
      case memory: row.memory = SocketMemory(bytes, attribute.value)
      case shutdown: row.shutdown = bytes.number(in: attribute.value)
      case upper: row.isSubflow = isMultipath(bytes.extracting(attribute.value))
      case cgroup: row.cgroup = bytes.number(in: attribute.value)
      case options: row.options = bytes.number(in: attribute.value)
      case only6:
        let isOnly: UInt8? = bytes.number(in: attribute.value)
        row.isIPv6Only = isOnly.map { $0 != 0 }
      default: break
      }
      offset = attribute.next
    }
    return row
  }

  /// Whether MPTCP stands above this socket: an attribute of attributes, the first of which has the name.
  private static func isMultipath(_ bytes: RawSpan) -> Bool {
    guard let name = NetlinkAttribute(in: bytes, at: 0), name.type == 1 else { return false }
    let value = bytes.extracting(name.value)
    return value.byteCount >= multipathName.count
      && multipathName.indices.allSatisfy { value.number(at: $0, as: UInt8.self) == multipathName[$0] }
  }

  private static let multipathName = Array("mptcp".utf8)

  private static func address(_ bytes: RawSpan, at offset: Int, _ isIPv6: Bool) -> AddressBits {
    guard isIPv6 else { return AddressBits(low: UInt64(UInt32(bigEndian: bytes.number(at: offset)))) }
    return AddressBits(
      high: UInt64(bigEndian: bytes.number(at: offset)), low: UInt64(bigEndian: bytes.number(at: offset + 8)))
  }
}

extension Transport {
  /// As a request has it. A number that is too big stands in an attribute; a kernel that does not know that attribute is to
  /// find no protocol at all, and not TCP, which the low bits of MPTCP's number are.
  var inOneByte: UInt8 { UInt8(exactly: rawValue) ?? 0 }
}

/// A request under construction: the header's length is known at the end.
struct NetlinkRequest {
  private var bytes: [UInt8] = []

  /// For a dump of everything.
  init(sequence: UInt32) {
    append(number: UInt32(0))
    append(number: NetlinkMessage.socketDiagnosis)
    append(number: NetlinkMessage.request | NetlinkMessage.dump)
    append(number: sequence)
    append(number: UInt32(0))
  }

  mutating func append(_ byte: UInt8) { bytes.append(byte) }

  /// What does not fit into the byte that a request has for it (`INET_DIAG_REQ_PROTOCOL`).
  mutating func appendProtocol(of transport: Transport) {
    guard transport.rawValue > UInt8.max else { return }
    append(number: UInt16(8))
    append(number: UInt16(3))
    append(number: UInt32(transport.rawValue))
  }

  /// In the machine's order of bytes.
  mutating func append<Number: FixedWidthInteger>(number: Number) {
    unsafe withUnsafeBytes(of: number) { unsafe bytes.append(contentsOf: $0) }
  }

  consuming func finished() -> [UInt8] {
    let length = UInt32(bytes.count)
    unsafe withUnsafeBytes(of: length) { unsafe bytes.replaceSubrange(0..<4, with: $0) }
    return bytes
  }
}
