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
}

extension Syscalls {
  /// `recvmsg(2)` with `MSG_ERRQUEUE`: takes the oldest message of the error queue. The kernel then reports the next
  /// one through `SO_ERROR`.
  ///
  /// - Returns: `nil` when the queue is empty.
  static func takeReport(_ descriptor: CInt) throws(Errno) -> QueuedReport? {
    // `struct cmsghdr` and `struct sock_extended_err` have an alignment of 8 at most.
    try unsafe withUnsafeTemporaryAllocation(byteCount: 512, alignment: 8) { control throws(Errno) in
      var length = 0
      let read: (Int, SocketAddress?)
      do throws(Errno) {
        read = try unsafe SocketAddress.reading { address, addressLength throws(Errno) in
          var message = unsafe msghdr()
          unsafe message.msg_name = UnsafeMutableRawPointer(address)
          unsafe message.msg_namelen = addressLength
          unsafe message.msg_control = control.baseAddress
          unsafe message.msg_controllen = control.count
          let count = try call(.recvmsg) { _ in
            unsafe recvmsg(descriptor, &message, CInt(FIN_MSG_ERRQUEUE | FIN_MSG_DONTWAIT))
          }
          unsafe addressLength = message.msg_namelen
          unsafe length = min(message.msg_controllen, control.count)
          return count
        }
      } catch {
        if error == .resourceTemporarilyUnavailable { return nil }
        throw error
      }
      return unsafe QueuedReport(control: UnsafeRawBufferPointer(rebasing: control[..<length]), peer: read.1)
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
  /// Parses the control data of a message: some `struct cmsghdr`, one of which contains the `struct sock_extended_err`.
  fileprivate init(control: UnsafeRawBufferPointer, peer: SocketAddress?) {
    let header = 16
    var position = 0
    while position + header <= control.count {
      let size = unsafe control.loadUnaligned(fromByteOffset: position, as: Int.self)
      let level = unsafe control.loadUnaligned(fromByteOffset: position + 8, as: CInt.self)
      let type = unsafe control.loadUnaligned(fromByteOffset: position + 12, as: CInt.self)
      guard size >= header, position + size <= control.count else { break }
      let isReport =
        level == CInt(IPPROTO_IP) && type == CInt(FIN_IP_RECVERR)
        || level == CInt(IPPROTO_IPV6) && type == CInt(FIN_IPV6_RECVERR)
      if isReport, size >= header + 8 {
        let code = unsafe control.loadUnaligned(fromByteOffset: position + header, as: UInt32.self)
        // SO_EE_ORIGIN_LOCAL, _ICMP and _ICMP6. The origins above them are timestamps and notices without an error.
        let origin = unsafe control[position + header + 4]
        let isError = (1...3).contains(origin) && code != 0
        self.init(
          code: isError ? Errno(rawValue: CInt(truncatingIfNeeded: code)) : nil, isLocal: origin == 1, peer: peer)
        return
      }
      position += (size + 7) & ~7
    }
    self.init(code: nil, isLocal: false, peer: peer)
  }
}
