internal import CFin
internal import Glibc
internal import SystemPackage

/// A message of a socket's error queue (ip(7), `IP_RECVERR`).
struct QueuedReport {
  /// The error; `nil` for a message without one, such as a transmit timestamp.
  let code: Errno?
  /// Whether this machine found the error before anything was sent. The call that met the error has already
  /// returned it.
  let isLocal: Bool
  /// The destination of the datagram that the message is about.
  let peer: SocketAddress?
  var isICMP6 = false
  /// The type and the code of the ICMP message.
  var type: UInt8 = 0
  var typeCode: UInt8 = 0
  /// `ee_info`: the path MTU for `EMSGSIZE`.
  var information: UInt32 = 0
  /// The machine that sent the ICMP message: `SO_EE_OFFENDER`.
  var offender: IPAddress?
  /// The beginning of the datagram.
  var bytes: [UInt8] = []

  /// The most bytes of a datagram to keep.
  static let mostBytes = 1500
}

extension Syscalls {
  /// `recvmsg(2)` with `MSG_ERRQUEUE`: takes the oldest message of the error queue. The kernel then reports the next
  /// one through `SO_ERROR`.
  ///
  /// - Returns: `nil` when the queue is empty.
  static func takeReport(_ descriptor: CInt) throws(Errno) -> QueuedReport? {
    // `struct cmsghdr` and `struct sock_extended_err` have an alignment of 8 at most.
    let room = 512
    return try unsafe withUnsafeTemporaryAllocation(byteCount: room + QueuedReport.mostBytes, alignment: 8) {
      memory throws(Errno) in
      let quoted = unsafe UnsafeMutableRawBufferPointer(rebasing: memory[room...])
      var length = 0
      let read: (result: Int, address: SocketAddress?)
      do throws(Errno) {
        var vector = unsafe iovec(iov_base: quoted.baseAddress, iov_len: quoted.count)
        read = try unsafe withUnsafeMutablePointer(to: &vector) { vector throws(Errno) in
          try unsafe SocketAddress.reading { address, addressLength throws(Errno) in
            var message = unsafe msghdr()
            unsafe message.msg_name = UnsafeMutableRawPointer(address)
            unsafe message.msg_namelen = addressLength
            unsafe message.msg_iov = vector
            unsafe message.msg_iovlen = 1
            unsafe message.msg_control = memory.baseAddress
            unsafe message.msg_controllen = room
            let count = try call(.recvmsg) { _ in
              unsafe recvmsg(descriptor, &message, CInt(FIN_MSG_ERRQUEUE | FIN_MSG_DONTWAIT))
            }
            unsafe addressLength = message.msg_namelen
            unsafe length = min(message.msg_controllen, room)
            return count
          }
        }
      } catch {
        if error == .resourceTemporarilyUnavailable { return nil }
        throw error
      }
      return unsafe QueuedReport(
        control: UnsafeRawBufferPointer(rebasing: memory[..<length]), peer: read.address,
        bytes: UnsafeRawBufferPointer(rebasing: quoted[..<min(read.result, quoted.count)]))
    }
  }

  /// Whether the socket reports the errors of datagrams together with their addresses: `IP_RECVERR`, `IPV6_RECVERR`.
  static func reportsErrors(_ descriptor: CInt, isIPv6: Bool) -> Bool {
    func isSet(_ level: CInt, _ name: Int) -> Bool { ((try? integerOption(descriptor, level, CInt(name))) ?? 0) != 0 }
    // An IPv6 socket may send to IPv4 addresses as well.
    return isSet(CInt(IPPROTO_IP), Int(FIN_IP_RECVERR))
      || isIPv6 && isSet(CInt(IPPROTO_IPV6), Int(FIN_IPV6_RECVERR))
  }
}

extension QueuedReport {
  /// Parses the control data of a message: some `struct cmsghdr`, one of which contains the `struct sock_extended_err`,
  /// and behind it the offender's address.
  fileprivate init(control: UnsafeRawBufferPointer, peer: SocketAddress?, bytes: UnsafeRawBufferPointer) {
    var parsed = QueuedReport(code: nil, isLocal: false, peer: peer)
    unsafe ControlMessages.forEach(in: control) { level, type, data in
      let isReport =
        level == CInt(IPPROTO_IP) && type == CInt(FIN_IP_RECVERR)
        || level == CInt(IPPROTO_IPV6) && type == CInt(FIN_IPV6_RECVERR)
      guard isReport, data.count >= 16 else { return }
      let code = unsafe data.loadUnaligned(as: UInt32.self)
      // SO_EE_ORIGIN_LOCAL, _ICMP and _ICMP6. The origins above them are timestamps and notices without an error.
      let origin = unsafe data[4]
      let isError = (1...3).contains(origin) && code != 0
      parsed = QueuedReport(
        code: isError ? Errno(rawValue: CInt(truncatingIfNeeded: code)) : nil, isLocal: origin == 1, peer: peer)
      parsed.isICMP6 = origin == 3
      (parsed.type, parsed.typeCode) = unsafe (data[5], data[6])
      parsed.information = unsafe data.loadUnaligned(fromByteOffset: 8, as: UInt32.self)
      parsed.offender = unsafe SocketAddress(raw: UnsafeRawBufferPointer(rebasing: data[16...]))?.ip
      if isError { parsed.bytes = unsafe Array(bytes) }
    }
    self = parsed
  }
}
