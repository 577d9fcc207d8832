/// A network namespace: one set of addresses, ports and sockets.
public struct Namespace: Hashable, Sendable {
  /// Its number, the inode that `/proc/PID/ns/net` shows.
  public var inode: UInt32
  /// What a person calls it: the name under `/run/netns`, else a process that is in it: `pid 812`.
  public var name: String
  /// Whether it is the one that the program which took the census is in.
  public var isOwn: Bool
  /// Whether its sockets were read.
  public var isRead: Bool
  /// Its counters.
  public var counters: Counters
  /// What the kernel allows in it.
  public var limits: KernelLimits

  /// From its parts.
  public init(
    inode: UInt32 = 0, name: String = "own", isOwn: Bool = true, isRead: Bool = true, counters: Counters = Counters(),
    limits: KernelLimits = KernelLimits()
  ) {
    self.inode = inode
    self.name = name
    self.isOwn = isOwn
    self.isRead = isRead
    self.counters = counters
    self.limits = limits
  }
}
