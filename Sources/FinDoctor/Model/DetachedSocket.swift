/// A descriptor whose socket no table of the kernel lists: one that never connected, or was refused, reset or timed
/// out, and was not closed.
///
/// It was checked twice: both times the descriptor referred to this socket, and no readable namespace listed it.
public struct DetachedSocket: Hashable, Sendable {
  /// The socket's inode.
  public var inode: UInt32
  /// The process; of several that hold the socket, the one with the lowest number.
  public var pid: Int32
  /// The number of the descriptor in that process.
  public var descriptor: Int32
  /// TCP, UDP or MPTCP.
  public var transport: Transport
  /// Whether it is an IPv6 socket.
  public var isIPv6: Bool

  /// Makes one from its values, for tests.
  package init(inode: UInt32, pid: Int32, descriptor: Int32, transport: Transport = .tcp, isIPv6: Bool = false) {
    self.inode = inode
    self.pid = pid
    self.descriptor = descriptor
    self.transport = transport
    self.isIPv6 = isIPv6
  }
}

/// A socket of a kind that no table of a census lists: a packet socket, a raw one, or one of netlink.
public struct OtherSocket: Hashable, Sendable {
  /// One of the descriptors that hold it, with its inode.
  public var holder: Holder
  /// The kernel's name of its protocol, escaped for printing: `PACKET`, `RAW`, `NETLINK`, `AF_VSOCK`.
  public var kind: String
}
