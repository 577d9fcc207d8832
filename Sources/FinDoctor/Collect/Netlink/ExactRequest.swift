/// Requests about one socket, named by its addresses, its ports and its cookie.
extension InetDiag {
  /// A request that names one socket exactly (`struct inet_diag_req_v2` with its `inet_diag_sockid`) and asks for
  /// an acknowledgement.
  /// - Parameters:
  ///   - type: ``NetlinkMessage/socketDiagnosis`` to read the socket, ``NetlinkMessage/socketDestruction`` to
  ///     destroy it.
  ///   - socket: The socket's row, from a dump.
  ///   - cookie: The cookie that the socket must have; all ones for any.
  ///   - asksFor: The attributes to ask for, a bit for each by its number less one.
  ///   - sequence: The sequence number of the request.
  static func exact(
    _ type: UInt16, _ socket: InetSocket, cookie: UInt64, asksFor: UInt8 = 0, sequence: UInt32
  ) -> [UInt8] {
    var bytes = NetlinkRequest(type: type, flags: NetlinkMessage.request | NetlinkMessage.answer, sequence: sequence)
    bytes.append(socket.isIPv6 ? 10 : 2)
    bytes.append(socket.transport.inOneByte)
    bytes.append(asksFor)
    bytes.append(0)
    bytes.append(number: UInt32.max)  // any state
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
  /// Destroys a socket (`SOCK_DESTROY`).
  static let socketDestruction: UInt16 = 21
  /// Requests an acknowledgement with the result (`NLM_F_ACK`).
  static let answer: UInt16 = 4
}

extension NetlinkRequest {
  /// Begins a request about one socket.
  init(type: UInt16, flags: UInt16, sequence: UInt32) {
    append(number: UInt32(0))
    append(number: type)
    append(number: flags)
    append(number: sequence)
    append(number: UInt32(0))
  }

  /// Appends an address in the sixteen bytes that a request has for it.
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

extension UnixDiag {
  /// A request for one Unix socket, named by its inode and its cookie (`struct unix_diag_req`), without attributes.
  static func exact(_ socket: UnixSocket, sequence: UInt32) -> [UInt8] {
    var bytes = NetlinkRequest(
      type: NetlinkMessage.socketDiagnosis, flags: NetlinkMessage.request | NetlinkMessage.answer, sequence: sequence)
    bytes.append(1)
    bytes.append(0)
    bytes.append(number: UInt16(0))
    bytes.append(number: UInt32.max)  // any state
    bytes.append(number: socket.inode)
    bytes.append(number: UInt32(0))
    bytes.append(number: UInt32(truncatingIfNeeded: socket.cookie))
    bytes.append(number: UInt32(truncatingIfNeeded: socket.cookie >> 32))
    return bytes.finished()
  }
}
