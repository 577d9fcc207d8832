/// A network namespace: one set of addresses, ports and sockets.
public struct Namespace: Hashable, Sendable {
  /// The namespace's number: the inode that `/proc/PID/ns/net` shows.
  public var inode: UInt32
  /// The name for display: `own`, or the name under `/run/netns`, else a process that is in it or holds it: `pid 812`.
  public var name: String
  /// Whether the program that took the census is in this namespace.
  public var isOwn: Bool
  /// Whether its sockets were read.
  public var isRead: Bool
  /// The kernel's counters of this namespace.
  package var counters: Counters
  /// The kernel's limits in this namespace.
  public var limits: KernelLimits
  /// The indices of the interfaces that were asked for by name, as far as they exist here.
  package var interfaces: [String: UInt32] = [:]

  /// Makes one from its values.
  package init(
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
