internal import CFin
internal import Glibc
internal import SystemPackage

/// Options for sending to multicast groups. Those of IPv4 also apply to an IPv6 socket that sends to IPv4 groups.
extension SocketOption where Value == Int {
  /// `IP_MULTICAST_TTL`: the number of networks that a datagram to an IPv4 group may reach, 1 by default: the local
  /// one. With 0 it does not leave the machine.
  public static var multicastTTL: SocketOption {
    integer("IP_MULTICAST_TTL", level: CInt(IPPROTO_IP), name: CInt(FIN_IP_MULTICAST_TTL))
  }
  /// `IPV6_MULTICAST_HOPS`: as ``multicastTTL``, for IPv6 groups.
  public static var multicastHops: SocketOption {
    integer("IPV6_MULTICAST_HOPS", level: CInt(IPPROTO_IPV6), name: CInt(FIN_IPV6_MULTICAST_HOPS))
  }
}

extension SocketOption where Value == UInt32 {
  /// `IP_MULTICAST_IF`: the index of the interface that datagrams to IPv4 groups leave by; 0 leaves the choice to the
  /// routes. The kernel does not tell the index again: reading it throws `.system(EINVAL)`.
  public static var multicastInterface: SocketOption {
    SocketOption(
      label: "IP_MULTICAST_IF", level: CInt(IPPROTO_IP), name: CInt(FIN_IP_MULTICAST_IF), size: 4,
      // `struct ip_mreqn`: two addresses, and the index.
      encode: { [UInt8](repeating: 0, count: 8) + kernelBytes(CInt(bitPattern: $0)) }, decode: { _ in nil },
      isReadable: false)
  }
  /// `IPV6_MULTICAST_IF`: the index of the interface that datagrams to IPv6 groups without a scope leave by; 0 leaves
  /// the choice to the routes.
  public static var multicastInterface6: SocketOption {
    SocketOption(
      label: "IPV6_MULTICAST_IF", level: CInt(IPPROTO_IPV6), name: CInt(FIN_IPV6_MULTICAST_IF), size: 4,
      encode: { kernelBytes(CInt(bitPattern: $0)) }, decode: { kernelInteger($0).map { UInt32(bitPattern: $0) } })
  }
}

extension SocketOption where Value == Bool {
  /// `IP_MULTICAST_LOOP`: datagrams to IPv4 groups also reach the members on this machine. On by default.
  public static var multicastLoop: SocketOption {
    flag("IP_MULTICAST_LOOP", level: CInt(IPPROTO_IP), name: CInt(FIN_IP_MULTICAST_LOOP))
  }
  /// `IPV6_MULTICAST_LOOP`: as ``multicastLoop``, for IPv6 groups.
  public static var multicastLoop6: SocketOption {
    flag("IPV6_MULTICAST_LOOP", level: CInt(IPPROTO_IPV6), name: CInt(FIN_IPV6_MULTICAST_LOOP))
  }
  /// `IP_MULTICAST_ALL`: the socket also receives from IPv4 groups that only other sockets of the machine have joined.
  ///
  /// The kernel's default is yes. ``DatagramSocketProtocol/join(_:from:on:)`` sets it to no.
  public static var multicastAll: SocketOption {
    flag("IP_MULTICAST_ALL", level: CInt(IPPROTO_IP), name: CInt(FIN_IP_MULTICAST_ALL))
  }
  /// `IPV6_MULTICAST_ALL`: as ``multicastAll``, for IPv6 groups.
  public static var multicastAll6: SocketOption {
    flag("IPV6_MULTICAST_ALL", level: CInt(IPPROTO_IPV6), name: CInt(FIN_IPV6_MULTICAST_ALL))
  }
}

/// A change of a socket's memberships.
struct Membership {
  let group: IPAddress
  /// The only sender to hear; `nil` for all.
  let source: IPAddress?
  /// The index of the interface; 0 leaves the choice to the routes.
  let interface: UInt32

  private var level: CInt { group.family == .ipv4 ? CInt(IPPROTO_IP) : CInt(IPPROTO_IPV6) }

  /// The bytes of `struct group_req`, or of `struct group_source_req`.
  private var request: [UInt8] {
    func storage(_ ip: IPAddress) -> [UInt8] {
      unsafe SocketAddress.ip(ip, port: 0).withSockaddr { pointer, length in
        let bytes = unsafe UnsafeRawBufferPointer(start: UnsafeRawPointer(pointer), count: Int(length))
        return unsafe Array(bytes) + [UInt8](repeating: 0, count: 128 - bytes.count)
      }
    }
    let head = kernelBytes(CInt(bitPattern: interface)) + [0, 0, 0, 0]
    return head + storage(group) + (source.map(storage) ?? [])
  }

  /// `setsockopt(2)` with `MCAST_JOIN_GROUP` or `MCAST_JOIN_SOURCE_GROUP`. Before it, the socket is made to receive
  /// from its own groups only.
  func join(_ descriptor: CInt) throws(Errno) {
    let all = group.family == .ipv4 ? CInt(FIN_IP_MULTICAST_ALL) : CInt(FIN_IPV6_MULTICAST_ALL)
    try Syscalls.setIntegerOption(descriptor, level, all, 0)
    let name = source == nil ? CInt(FIN_MCAST_JOIN_GROUP) : CInt(FIN_MCAST_JOIN_SOURCE_GROUP)
    try Syscalls.setOption(descriptor, level, name, request)
  }

  /// `setsockopt(2)` with `MCAST_LEAVE_GROUP` or `MCAST_LEAVE_SOURCE_GROUP`.
  func leave(_ descriptor: CInt) throws(Errno) {
    let name = source == nil ? CInt(FIN_MCAST_LEAVE_GROUP) : CInt(FIN_MCAST_LEAVE_SOURCE_GROUP)
    try Syscalls.setOption(descriptor, level, name, request)
  }
}
