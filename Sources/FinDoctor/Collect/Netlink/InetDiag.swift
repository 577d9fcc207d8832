/// `sock_diag` of TCP, UDP and MPTCP: the requests, and the conversion of an answer to a row (`linux/inet_diag.h`).
enum InetDiag {
  /// A request for all sockets of a transport and one family (`struct inet_diag_req_v2`), or of TCP and both families
  /// (`struct inet_diag_req`).
  ///
  /// The kernel goes through its whole table of TCP connections, those of all namespaces, for every request. So one
  /// request for both families costs half as much as two.
  /// - Parameters:
  ///   - isIPv6: Whether the family is IPv6 or IPv4; nil for both, which only TCP has.
  ///   - states: The states to dump, a bit for each by its number.
  ///   - detailed: Whether to ask for `tcp_info`, and for memory use if `memory` is true as well.
  ///   - isLockFree: Whether to leave out all that the kernel reads under a socket's lock.
  static func request(
    _ transport: Transport, isIPv6: Bool?, states: UInt32 = .max, detailed: Bool = true, memory: Bool = true,
    isLockFree: Bool = false, sequence: UInt32
  ) -> [UInt8] {
    // The attributes to ask for: a bit for each, by its number less one. The kernel sends the others unasked.
    let told: UInt8 = transport == .udp ? 0 : details(memory: false)
    // MPTCP's info is always needed: it holds the token that tells its connections apart.
    let wanted =
      isLockFree ? 0 : detailed ? told | (memory ? 1 << (Self.memory - 1) : 0) : transport == .mptcp ? told : 0
    guard let isIPv6 else {
      precondition(transport == .tcp, "only TCP has a request for both families")
      var bytes = NetlinkRequest(type: NetlinkMessage.tcpDiagnosis, sequence: sequence)
      // Any family, and no prefixes.
      for _ in 0..<3 { bytes.append(0) }
      bytes.append(wanted)
      bytes.appendAnySocket()
      bytes.append(number: states)
      bytes.append(number: UInt32(0))
      return bytes.finished()
    }
    var bytes = NetlinkRequest(sequence: sequence)
    bytes.append(isIPv6 ? 10 : 2)
    bytes.append(transport.inOneByte)
    bytes.append(wanted)
    bytes.append(0)
    bytes.append(number: states)
    bytes.appendAnySocket()
    bytes.appendProtocol(of: transport)
    return bytes.finished()
  }

  /// The bits that ask for `tcp_info`, and with `memory` for memory use.
  static func details(memory: Bool) -> UInt8 { 1 << (info - 1) | (memory ? 1 << (Self.memory - 1) : 0) }

  static let info: UInt16 = 2
  static let memory: UInt16 = 7
  static let shutdown: UInt16 = 8
  static let only6: UInt16 = 11
  static let upper: UInt16 = 19
  static let cgroup: UInt16 = 21
  static let options: UInt16 = 22

  /// The fixed part of an answer (`struct inet_diag_msg`), before its attributes.
  static let fixedLength = 72

  /// Reads one answer; nil when it is malformed, and then no part of it is used.
  static func row(_ bytes: RawSpan, transport: Transport, namespace: UInt16) -> InetSocket? {
    guard bytes.byteCount >= fixedLength else { return nil }
    let family: UInt8 = bytes.number(at: 0)
    guard family == 2 || family == 10 else { return nil }
    var row = InetSocket()
    row.namespace = namespace
    row.transport = transport
    row.isIPv6 = family == 10
    row.state = SocketState(rawValue: bytes.number(at: 1))
    // TCP lists a socket as closed only if it is bound and neither listening nor connected.
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
        // MPTCP uses the same attribute number for a structure with another layout.
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

  /// Whether the socket is an MPTCP subflow: the upper protocol's attribute nests attributes, and the first is
  /// its name.
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
  /// The protocol number in the one byte that a request has for it; 0 for a number that does not fit. Such a number
  /// goes into an attribute. A kernel that does not know that attribute must find no protocol, and not TCP, whose
  /// number is the low byte of MPTCP's.
  var inOneByte: UInt8 { UInt8(exactly: rawValue) ?? 0 }
}

/// A request under construction: the length in its header is filled in at the end.
struct NetlinkRequest {
  private var bytes: [UInt8] = []

  /// Begins a request for a dump of all sockets.
  init(type: UInt16 = NetlinkMessage.socketDiagnosis, sequence: UInt32) {
    append(number: UInt32(0))
    append(number: type)
    append(number: NetlinkMessage.request | NetlinkMessage.dump)
    append(number: sequence)
    append(number: UInt32(0))
  }

  mutating func append(_ byte: UInt8) { bytes.append(byte) }

  /// Appends the protocol number as an attribute if it does not fit into the request's byte (`INET_DIAG_REQ_PROTOCOL`).
  mutating func appendProtocol(of transport: Transport) {
    guard transport.rawValue > UInt8.max else { return }
    append(number: UInt16(8))
    append(number: UInt16(3))
    append(number: UInt32(transport.rawValue))
  }

  /// Appends any ports, any addresses, any interface and any cookie (`struct inet_diag_sockid`).
  mutating func appendAnySocket() {
    for _ in 0..<10 { append(number: UInt32(0)) }
    append(number: UInt64.max)
  }

  /// Appends an integer in native byte order.
  mutating func append<Number: FixedWidthInteger>(number: Number) {
    unsafe withUnsafeBytes(of: number) { unsafe bytes.append(contentsOf: $0) }
  }

  consuming func finished() -> [UInt8] {
    let length = UInt32(bytes.count)
    unsafe withUnsafeBytes(of: length) { unsafe bytes.replaceSubrange(0..<4, with: $0) }
    return bytes
  }
}
