/// Requests about one socket, by its addresses, its ports and its cookie.
extension InetDiag {
  /// A request that names a socket exactly (`struct inet_diag_req_v2` with its `inet_diag_sockid`), and asks for a word
  /// at the end.
  /// - Parameters:
  ///   - type: ``NetlinkMessage/socketDiagnosis`` to look at it, ``NetlinkMessage/socketDestruction`` to end it.
  ///   - socket: The row that a dump gave.
  ///   - cookie: The cookie that it must have; all ones for any.
  ///   - sequence: The number of the request.
  static func exact(_ type: UInt16, _ socket: InetSocket, cookie: UInt64, sequence: UInt32) -> [UInt8] {
    var bytes = NetlinkRequest(type: type, flags: NetlinkMessage.request | NetlinkMessage.answer, sequence: sequence)
    bytes.append(socket.isIPv6 ? 10 : 2)
    bytes.append(socket.transport.inOneByte)
    bytes.append(0)
    bytes.append(0)
    bytes.append(number: UInt32.max)  // in any state
    bytes.append(number: socket.localPort.bigEndian)
    bytes.append(number: socket.remotePort.bigEndian)
    bytes.append(socket.localBits, isIPv6: socket.isIPv6)
    bytes.append(socket.remoteBits, isIPv6: socket.isIPv6)
    bytes.append(number: socket.interface)
    bytes.append(number: UInt32(truncatingIfNeeded: cookie))
    bytes.append(number: UInt32(truncatingIfNeeded: cookie >> 32))
    bytes.appendProtocol(of: socket.transport)
    return bytes.finished()
  }
}

extension NetlinkMessage {
  /// `SOCK_DESTROY`.
  static let socketDestruction: UInt16 = 21
  /// Wants to hear how it went (`NLM_F_ACK`).
  static let answer: UInt16 = 4
}

extension NetlinkRequest {
  /// For one thing.
  init(type: UInt16, flags: UInt16, sequence: UInt32) {
    append(number: UInt32(0))
    append(number: type)
    append(number: flags)
    append(number: sequence)
    append(number: UInt32(0))
  }

  /// An address in the sixteen bytes that it has in a request.
  fileprivate mutating func append(_ address: AddressBits, isIPv6: Bool) {
    if isIPv6 {
      append(number: address.high.bigEndian)
      append(number: address.low.bigEndian)
    } else {
      append(number: UInt32(truncatingIfNeeded: address.low).bigEndian)
      for _ in 0..<3 { append(number: UInt32(0)) }
    }
  }
}
