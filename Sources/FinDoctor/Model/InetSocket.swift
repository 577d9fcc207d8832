/// One TCP, UDP or MPTCP socket, as the kernel described it at one moment: a row of integers, with nothing to release.
///
/// All values come from `sock_diag`; nothing is guessed. A value that an older kernel does not provide is nil. A row
/// made by hand begins with zeros, for tests.
public struct InetSocket: Sendable {
  /// The kernel's unique number of this socket for as long as the machine runs; kept when the socket becomes a
  /// TIME-WAIT entry. An accepted MPTCP connection may have its listener's cookie: ``identity`` tells the two apart.
  public var cookie: UInt64 = 0
  /// The bytes of the local address; ``localAddress`` reads them.
  public var localBits = AddressBits()
  /// The bytes of the remote address; ``remoteAddress`` reads them.
  public var remoteBits = AddressBits()
  /// The cgroup in which it was created, by number (the inode of its folder); accepted sockets carry their listener's.
  public var cgroup: UInt64?
  /// The inode; 0 when no descriptor was ever made for it (not accepted yet) or none is left.
  public var inode: UInt32 = 0
  /// The user whose program created it; 0 also where the kernel does not report it (TIME-WAIT, SYN-RECEIVED).
  public var user: UInt32 = 0
  /// Bytes that the program has not read, plus 1 for an unread FIN; for a listener, the length of the accept queue. For
  /// an MPTCP connection, the memory that the bytes occupy, with nothing added for its end.
  public var receiveQueue: UInt32 = 0
  /// Bytes that the peer has not acknowledged, plus 1 for an unacknowledged FIN; for a listener, the backlog.
  public var sendQueue: UInt32 = 0
  /// Milliseconds until the timer fires.
  public var expires: UInt32 = 0
  /// The interface it is bound to; 0 for none.
  public var interface: UInt32 = 0
  /// The local port.
  public var localPort: UInt16 = 0
  /// The remote port; 0 without a peer.
  public var remotePort: UInt16 = 0
  /// The index of its namespace in ``Census/namespaces``.
  public var namespace: UInt16 = 0
  /// Option flags that the kernel reports without a request for each: see ``bindsAddressOnly``.
  package var options: UInt16?
  /// The directions that are shut down: 1 receiving, 2 sending.
  package var shutdown: UInt8?
  /// TCP, UDP or MPTCP.
  public var transport = Transport.tcp
  /// Whether it is an IPv6 socket; its addresses may still be mapped IPv4 ones.
  public var isIPv6 = false
  /// Whether it is a subflow of an MPTCP connection, whose inode it has; reported only to readers with `CAP_NET_ADMIN`.
  public var isSubflow = false
  /// Whether it refuses IPv4 (`IPV6_V6ONLY`); nil for connections and for IPv4 sockets, where the kernel does not
  /// report it.
  public var isIPv6Only: Bool?
  /// The state of the socket.
  public var state = SocketState.established
  /// The timer that is running.
  public var timer = SocketTimer.off
  /// Consecutive retransmissions, or consecutive probes without an answer, depending on the timer.
  public var retransmits: UInt8 = 0
  /// The memory that it uses.
  public var memory = SocketMemory()
  /// TCP's data about it (`struct tcp_info`); empty where the kernel has none: UDP, MPTCP, TIME-WAIT, SYN-RECEIVED.
  public var info = TCPDetail()

  /// A row of zeros.
  package init() {}
}

/// The transports whose sockets have addresses.
public enum Transport: UInt16, CaseIterable, Hashable, Sendable, CustomStringConvertible {
  /// TCP. The raw values are the protocols' numbers.
  case tcp = 6
  /// UDP: datagrams without a connection.
  case udp = 17
  /// MPTCP: a connection has several subflows, each of which is a TCP socket.
  case mptcp = 262

  /// The name in lower case: `tcp`, `udp`, `mptcp`.
  public var description: String {
    switch self {
    case .tcp: "tcp"
    case .udp: "udp"
    case .mptcp: "mptcp"
    }
  }
}

/// The timer of a socket that is running.
public struct SocketTimer: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
  public let rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// No timer.
  public static let off = SocketTimer(rawValue: 0)
  /// The retransmission timer: unacknowledged data will be sent again.
  public static let retransmit = SocketTimer(rawValue: 1)
  /// The keepalive timer: a probe will be sent to the peer. Also the timer that ends FIN-WAIT-2 of a closed socket.
  public static let keepalive = SocketTimer(rawValue: 2)
  /// The TIME-WAIT timer: the entry will be removed.
  public static let timeWait = SocketTimer(rawValue: 3)
  /// The persist timer: the peer's closed window will be probed.
  public static let persist = SocketTimer(rawValue: 4)

  /// The name that `ss` uses: `on` is the retransmission timer.
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

/// Values derived from a row.
extension InetSocket {
  /// MPTCP's data about it (`struct mptcp_info`); empty for every other transport.
  public var multipath: MPTCPInfo { MPTCPInfo(info) }

  /// A unique number of this socket: the cookie, or for an MPTCP connection its token, because the kernel may have
  /// given the connection the cookie of its listener.
  public var identity: UInt64 {
    guard transport == .mptcp, let token = multipath.token, token != 0 else { return cookie }
    // No cookie is ever as large as this.
    return 1 << 63 | UInt64(token)
  }

  /// The local address.
  public var localAddress: NetworkAddress { NetworkAddress(localBits, isIPv6: isIPv6, interface: interface) }
  /// The remote address; unspecified without a peer.
  public var remoteAddress: NetworkAddress { NetworkAddress(remoteBits, isIPv6: isIPv6, interface: interface) }

  /// Whether a program has called `shutdown` for sending, or closed: our FIN is queued or sent.
  public var hasFinishedSending: Bool? { shutdown.map { $0 & 2 != 0 } }

  /// Whether it is or was a connection of TCP or MPTCP that is not at its very end.
  package var isConnection: Bool {
    guard transport != .udp else { return false }
    switch state {
    case .listen, .synReceived, .newSynReceived, .synSent, .bound, .timeWait, .closed: return false
    default: return true
    }
  }

  /// Whether its two ends are one: it is connected to its own address and port.
  package var isConnectedToItself: Bool {
    transport == .tcp && remotePort != 0 && localPort == remotePort && localBits == remoteBits
  }

  /// Whether the other end opened the connection, so that a listener's port is the local one, even if that listener is
  /// closed by now; nil if the counters do not tell.
  ///
  /// The kernel counts the SYN of an end that connected among the acknowledged bytes, and that of an accepted end not
  /// (`tcp_snd_una_update`). The counters of a FIN would blur it, so that only an end that has sent none is judged.
  package var wasAccepted: Bool? {
    guard transport == .tcp, state == .established || state == .closeWait, let sent = info.bytesSent,
      let again = info.bytesRetransmitted, let acknowledged = info.bytesAcknowledged, let unsent = info.bytesNotSent,
      hasFinishedSending != true
    else { return nil }
    let underWay = UInt64(sendQueue) &- UInt64(unsent)
    switch acknowledged &+ underWay &- (sent &- again) {
    case 0: return true
    case 1: return false
    default: return nil
    }
  }

  /// Whether it waits in a listener's accept queue, even if its client has given up: a connection without a descriptor
  /// that was never accepted.
  ///
  /// A connection that its program has closed has no inode either, but it is finishing and not in these states.
  public var isWaitingForAccept: Bool {
    transport != .udp && inode == 0 && (state == .established || state == .closeWait)
  }

  /// The number of drops, where the kernel's count means that: connection attempts of a listener, datagrams of UDP.
  public var drops: UInt32? { state == .listen || transport == .udp ? memory.drops : nil }

  /// Whether it may bind addresses that the machine does not have (`IP_FREEBIND`).
  package var bindsForeignAddresses: Bool? { options.map { $0 & 1 << 2 != 0 } }

  /// Whether it accepts connections to foreign addresses (`IP_TRANSPARENT`).
  package var isTransparent: Bool? { options.map { $0 & 1 << 5 != 0 } }

  /// Whether only the address is bound, and connect chooses the port (`IP_BIND_ADDRESS_NO_PORT`).
  package var bindsAddressOnly: Bool? { options.map { $0 & 1 << 8 != 0 } }
}
