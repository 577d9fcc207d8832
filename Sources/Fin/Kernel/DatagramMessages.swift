internal import CFin
internal import Glibc
internal import SystemPackage

/// The facts about the arrival of a datagram that the kernel adds in control messages, where they were asked for.
struct ArrivalFacts {
  /// The address that the datagram was sent to.
  var destination: IPAddress?
  /// The address of this machine that an answer would come from, as the kernel has it for IPv4.
  var answering: IPAddress?
  var interface: UInt32?
  var hops: Int?
  var trafficClass: UInt8?
  /// The time of arrival, since 1970.
  var time: Duration?
  var drops: UInt32?

  init() {}

  /// Reads all control messages. One that is cut off counts as missing.
  init(control: UnsafeRawBufferPointer) {
    unsafe ControlMessages.forEach(in: control) { level, type, data in unsafe note(level, type, data) }
  }

  private mutating func note(_ level: CInt, _ type: CInt, _ data: UnsafeRawBufferPointer) {
    func word(_ offset: Int = 0) -> UInt32? {
      data.count >= offset + 4 ? unsafe data.loadUnaligned(fromByteOffset: offset, as: UInt32.self) : nil
    }
    switch (level, type) {
    case (CInt(IPPROTO_IP), CInt(FIN_IP_PKTINFO)):
      guard let index = word(0), let local = word(4), let target = word(8) else { return }
      interface = index
      answering = .v4(IPv4Address(rawValue: UInt32(bigEndian: local)))
      destination = .v4(IPv4Address(rawValue: UInt32(bigEndian: target)))
    case (CInt(IPPROTO_IPV6), CInt(FIN_IPV6_PKTINFO)):
      // An IPv6 socket gets the information about an IPv4 datagram in both forms.
      guard data.count >= 20, let index = word(16), destination == nil else { return }
      let high = unsafe UInt64(bigEndian: data.loadUnaligned(as: UInt64.self))
      let low = unsafe UInt64(bigEndian: data.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
      let address = IPv6Address(high: high, low: low)
      interface = index
      destination = IPAddress.v6(address.isLinkLocal ? address.scoped(index) : address).canonical
    case (CInt(IPPROTO_IP), CInt(FIN_IP_TTL)), (CInt(IPPROTO_IPV6), CInt(FIN_IPV6_HOPLIMIT)):
      hops = word().map { Int($0) }
    case (CInt(IPPROTO_IP), CInt(FIN_IP_TOS)):
      trafficClass = unsafe data.first
    case (CInt(IPPROTO_IPV6), CInt(FIN_IPV6_TCLASS)):
      trafficClass = word().map { UInt8(truncatingIfNeeded: $0) }
    case (SOL_SOCKET, CInt(FIN_SO_TIMESTAMPNS)):
      guard data.count >= 16 else { return }
      let seconds = unsafe data.loadUnaligned(as: Int64.self)
      time = .seconds(seconds) + .nanoseconds(unsafe data.loadUnaligned(fromByteOffset: 8, as: Int64.self))
    case (SOL_SOCKET, CInt(FIN_SO_RXQ_OVFL)): drops = word()
    default: break
    }
  }
}

/// The result of `recvmsg(2)` on a datagram socket.
struct ArrivedHead {
  /// The length of the datagram, which is more than the buffer's if it was truncated.
  let length: Int
  let sender: SocketAddress?
  let facts: ArrivalFacts
  /// Whether there was not enough room for all control messages.
  let hasLostControl: Bool
}

extension ControlMessages {
  /// Room for each control message that Fin asks for, with what a program may ask for besides.
  static let arrivalRoom = 512

  /// The bytes of a control message that names the local address, the interface, or both, for a datagram that is sent:
  /// `IP_PKTINFO` or `IPV6_PKTINFO`.
  ///
  /// - Parameter isIPv6: whether the socket is of the IPv6 family. It accepts the IPv4-mapped form only.
  static func sending(from source: IPAddress?, on interface: UInt32, isIPv6: Bool) -> [UInt8] {
    let index = kernelBytes(CInt(bitPattern: interface))
    guard isIPv6 else {
      var local: UInt32 = 0
      if case .v4(let address) = source?.canonical { local = address.rawValue }
      return message(
        CInt(IPPROTO_IP), CInt(FIN_IP_PKTINFO),
        index + kernelBytes(CInt(bitPattern: local.bigEndian)) + [0, 0, 0, 0])
    }
    let address: IPv6Address =
      switch source {
      case .v4(let address): IPv6Address(mapping: address)
      case .v6(let address): address
      case nil: .any
      }
    var bytes: [UInt8] = []
    for half in [address.high, address.low] {
      unsafe withUnsafeBytes(of: half.bigEndian) { unsafe bytes.append(contentsOf: $0) }
    }
    return message(CInt(IPPROTO_IPV6), CInt(FIN_IPV6_PKTINFO), bytes + index)
  }
}

extension Syscalls {
  /// `recvmsg(2)` with `MSG_TRUNC`: a datagram with its control messages.
  ///
  /// - Parameter room: the room for control messages, in bytes.
  static func receiveArrival(
    _ descriptor: CInt, _ buffer: UnsafeMutableRawBufferPointer, controlRoom room: Int = ControlMessages.arrivalRoom
  ) throws(Errno) -> ArrivedHead {
    try unsafe withUnsafeTemporaryAllocation(byteCount: room, alignment: MemoryLayout<Int>.alignment) {
      control throws(Errno) in
      var vector = unsafe iovec(iov_base: buffer.baseAddress, iov_len: buffer.count)
      var message = unsafe msghdr()
      let read = try unsafe withUnsafeMutablePointer(to: &vector) { vector throws(Errno) in
        try unsafe SocketAddress.reading { address, addressLength throws(Errno) in
          let count = try call(.recvmsg) { _ in
            unsafe message = msghdr()
            unsafe message.msg_name = UnsafeMutableRawPointer(address)
            unsafe message.msg_namelen = addressLength
            unsafe message.msg_iov = vector
            unsafe message.msg_iovlen = 1
            unsafe message.msg_control = control.baseAddress
            unsafe message.msg_controllen = room
            return unsafe recvmsg(
              descriptor, &message, CInt(FIN_MSG_TRUNC | FIN_MSG_DONTWAIT | FIN_MSG_CMSG_CLOEXEC))
          }
          unsafe addressLength = message.msg_namelen
          return count
        }
      }
      let came = unsafe UnsafeRawBufferPointer(rebasing: control[..<min(room, message.msg_controllen)])
      // A Unix sender may pass descriptors with any datagram. They are not asked for here.
      let passed = unsafe ControlMessages.contents(came)
      for number in passed.descriptors + passed.processes { close(number) }
      var flags = unsafe message.msg_flags
      #if FIN_SEAM
      if case .value(let scripted)? = Seam.answer(.flagsOfMessage) { flags |= CInt(scripted) }
      #endif
      return ArrivedHead(
        length: read.result, sender: read.address, facts: unsafe ArrivalFacts(control: came),
        hasLostControl: flags & CInt(FIN_MSG_CTRUNC) != 0)
    }
  }

  /// `sendmsg(2)` with `MSG_NOSIGNAL`: a datagram with control messages.
  static func send(
    _ descriptor: CInt, _ buffer: UnsafeRawBufferPointer, to address: SocketAddress, control bytes: [UInt8]
  ) throws(Errno) {
    try unsafe withUnsafeTemporaryAllocation(byteCount: bytes.count, alignment: MemoryLayout<Int>.alignment) {
      control throws(Errno) in
      unsafe control.copyBytes(from: bytes)
      var vector = unsafe iovec(
        iov_base: UnsafeMutableRawPointer(mutating: buffer.baseAddress), iov_len: buffer.count)
      try unsafe withUnsafeMutablePointer(to: &vector) { vector throws(Errno) in
        try unsafe address.withSockaddr { name, length throws(Errno) in
          var message = unsafe msghdr()
          unsafe message.msg_name = UnsafeMutableRawPointer(mutating: name)
          unsafe message.msg_namelen = length
          unsafe message.msg_iov = vector
          unsafe message.msg_iovlen = 1
          unsafe message.msg_control = control.baseAddress
          unsafe message.msg_controllen = bytes.count
          _ = try call(.sendmsg) { _ in
            unsafe sendmsg(descriptor, &message, CInt(FIN_MSG_NOSIGNAL | FIN_MSG_DONTWAIT))
          }
        }
      }
    }
  }
}
