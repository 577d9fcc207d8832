/// A descriptor whose socket no table of the kernel lists: never connected, refused, reset, or timed out, and not closed.
///
/// It was looked at twice: both times the descriptor was this socket, and no namespace that could be read had it.
public struct DetachedSocket: Hashable, Sendable {
  /// The socket's inode.
  public var inode: UInt32
  /// The process, of those that hold it the one with the lowest number.
  public var pid: Int32
  /// The descriptor's number there.
  public var descriptor: Int32
  /// TCP, UDP or MPTCP.
  public var transport: Transport
  /// Whether it is an IPv6 socket.
  public var isIPv6: Bool

  /// From its parts.
  public init(inode: UInt32, pid: Int32, descriptor: Int32, transport: Transport = .tcp, isIPv6: Bool = false) {
    self.inode = inode
    self.pid = pid
    self.descriptor = descriptor
    self.transport = transport
    self.isIPv6 = isIPv6
  }
}
