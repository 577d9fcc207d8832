/// One socket of TCP, UDP or MPTCP, as the kernel described it at one moment: a row of numbers, nothing to release.
///
/// Everything in it is what `sock_diag` answered; nothing is guessed. What an older kernel does not tell is nil.
/// A row made by hand begins with zeros, for tests.
public struct InetSocket: Sendable {
  /// Names this socket and no other for as long as the machine runs; kept when it becomes a TIME-WAIT entry. Of MPTCP, an
  /// accepted connection may have its listener's: ``identity`` tells them apart.
  public var cookie: UInt64 = 0
  /// The local address, to be read through ``localAddress``.
  public var localBits = AddressBits()
  /// The remote address, to be read through ``remoteAddress``.
  public var remoteBits = AddressBits()
  /// The cgroup in which it was made, by number (the inode of its folder); accepted sockets carry their listener's.
  public var cgroup: UInt64?
  /// The inode; 0 when no descriptor was ever made for it (not accepted yet) or none is left.
  public var inode: UInt32 = 0
  /// The user whose program made it; 0 also where the kernel does not say (TIME-WAIT, SYN-RECEIVED).
  public var user: UInt32 = 0
  /// Bytes that the program has not read, and 1 for an unread FIN; of a listener, the connections waiting for accept. Of a
  /// connection of MPTCP the memory that they take, and nothing for its end.
  public var receiveQueue: UInt32 = 0
  /// Bytes that the peer has not acknowledged, and 1 for such a FIN; of a listener, how many may wait.
  public var sendQueue: UInt32 = 0
  /// Milliseconds until the timer fires.
  public var expires: UInt32 = 0
  /// The interface it is bound to, or 0.
  public var interface: UInt32 = 0
  /// The local port.
  public var localPort: UInt16 = 0
  /// The remote port; 0 without a peer.
  public var remotePort: UInt16 = 0
  /// Which of ``Census/namespaces`` it is in.
  public var namespace: UInt16 = 0
  /// Options the kernel tells of without being asked for each: see ``bindsAddressOnly``.
  public var options: UInt16?
  /// Which directions are shut down: 1 receiving, 2 sending.
  public var shutdown: UInt8?
  /// TCP, UDP or MPTCP.
  public var transport = Transport.tcp
  /// Whether it is an IPv6 socket; its addresses may be mapped IPv4 ones all the same.
  public var isIPv6 = false
  /// Whether it is one path of a connection of MPTCP, whose inode it has; told only to those with `CAP_NET_ADMIN`.
  public var isSubflow = false
  /// Whether it takes no IPv4 (`IPV6_V6ONLY`); nil of connections and of IPv4 sockets, where the kernel does not say.
  public var isIPv6Only: Bool?
  /// In which state it is.
  public var state = SocketState.established
  /// The timer that is running.
  public var timer = SocketTimer.off
  /// Retransmissions in a row, or probes without an answer, as the timer says.
  public var retransmits: UInt8 = 0
  /// What it uses of memory.
  public var memory = SocketMemory()
  /// What TCP knows of it (`struct tcp_info`); empty where the kernel has none: UDP, MPTCP, TIME-WAIT, SYN-RECEIVED.
  public var info = TCPDetail()

  /// A row of zeros.
  public init() {}
}

/// The transports whose sockets have addresses.
public enum Transport: UInt16, CaseIterable, Hashable, Sendable, CustomStringConvertible {
  /// The raw values are the protocols' numbers.
  case tcp = 6
  /// Datagrams.
  case udp = 17
  /// Connections that go over several paths, each of which is a socket of TCP.
  case mptcp = 262

  /// `tcp`, `udp`, `mptcp`.
  public var description: String {
    switch self {
    case .tcp: "tcp"
    case .udp: "udp"
    case .mptcp: "mptcp"
    }
  }
}

/// Which timer of a socket is running.
public struct SocketTimer: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
  public let rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// None.
  public static let off = SocketTimer(rawValue: 0)
  /// Unacknowledged data will be sent again.
  public static let retransmit = SocketTimer(rawValue: 1)
  /// The peer will be asked whether it is there; also the end of FIN-WAIT-2 of a closed socket.
  public static let keepalive = SocketTimer(rawValue: 2)
  /// The entry will go.
  public static let timeWait = SocketTimer(rawValue: 3)
  /// The peer's window is closed and will be probed.
  public static let persist = SocketTimer(rawValue: 4)

  /// As `ss` names them: `on` is the retransmission timer.
  public var description: String {
    switch self {
    case .off: "off"
    case .retransmit: "on"
    case .keepalive: "keepalive"
    case .timeWait: "timewait"
    case .persist: "persist"
    default: "timer-\(rawValue)"
    }
  }
}

/// What can be read out of a row.
extension InetSocket {
  /// What MPTCP knows of it (`struct mptcp_info`); empty of every other transport.
  public var multipath: MultipathDetail { MultipathDetail(info) }

  /// Names it and no other: the cookie. Of a connection of MPTCP its token, because the kernel may have given it the cookie
  /// of the listener that it came through.
  public var identity: UInt64 {
    guard transport == .mptcp, let token = multipath.token, token != 0 else { return cookie }
    // No cookie is ever so large.
    return 1 << 63 | UInt64(token)
  }

  /// The address of this side.
  public var localAddress: NetworkAddress { NetworkAddress(localBits, isIPv6: isIPv6, interface: interface) }
  /// The address of the other side; unspecified without a peer.
  public var remoteAddress: NetworkAddress { NetworkAddress(remoteBits, isIPv6: isIPv6, interface: interface) }

  /// Whether a program has called `shutdown` for sending, or closed: our FIN is queued or sent.
  public var hasFinishedSending: Bool? { shutdown.map { $0 & 2 != 0 } }

  /// Whether it waits in a listener's queue, or the client gave up there: a connection without a descriptor that was
  /// never accepted.
  ///
  /// A connection whose program has closed it has no inode either; but then it is finishing, and not in these states.
  public var isWaitingForAccept: Bool {
    transport != .udp && inode == 0 && (state == .established || state == .closeWait)
  }

  /// What was thrown away, where the kernel's count means that: connection attempts of a listener, datagrams of UDP.
  public var drops: UInt32? { state == .listen || transport == .udp ? memory.drops : nil }

  /// Whether it may bind addresses that the machine does not have (`IP_FREEBIND`).
  public var bindsForeignAddresses: Bool? { options.map { $0 & 1 << 2 != 0 } }

  /// Whether it takes connections that were meant for others (`IP_TRANSPARENT`).
  public var isTransparent: Bool? { options.map { $0 & 1 << 5 != 0 } }

  /// Whether only the address was bound, and the port is chosen at connect (`IP_BIND_ADDRESS_NO_PORT`).
  public var bindsAddressOnly: Bool? { options.map { $0 & 1 << 8 != 0 } }
}
