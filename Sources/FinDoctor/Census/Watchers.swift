/// Who in a process would notice that something happens on a socket.
public struct Watchers: Hashable, Sendable {
  /// One entry of an epoll instance.
  public struct Interest: Hashable, Sendable {
    /// The epoll instance's descriptor.
    public var epoll: Int32
    /// The descriptor that was registered; the number may mean something else by now, the inode does not.
    public var descriptor: Int32
    /// The events asked for, `EPOLLIN` and so on.
    public var events: UInt32
    /// The inode of what is watched.
    public var inode: UInt32

    /// From its parts.
    public init(epoll: Int32, descriptor: Int32, events: UInt32, inode: UInt32) {
      self.epoll = epoll
      self.descriptor = descriptor
      self.events = events
      self.inode = inode
    }

    /// Whether the end of the peer's data would be told: `EPOLLIN` or `EPOLLRDHUP`.
    public var seesTheEnd: Bool { events & 0x2001 != 0 }
  }

  /// A thread that is inside a system call on a descriptor. In poll or select it waits for several: each is one of these.
  public struct BlockedThread: Hashable, Sendable {
    /// The thread's number.
    public var thread: Int32
    /// The system call's name: `recvfrom`.
    public var call: String
    /// The descriptor it was called with, or waits for.
    public var descriptor: Int32

    /// From its parts.
    public init(thread: Int32, call: String, descriptor: Int32) {
      self.thread = thread
      self.call = call
      self.descriptor = descriptor
    }
  }

  /// Every entry of every epoll instance, by inode.
  public var interests: [Interest]
  /// Every thread that waits in a system call on a descriptor.
  public var blocked: [BlockedThread]
  /// Whether everything could be read; where it could not, "nobody watches" cannot be said.
  public var isComplete: Bool

  /// From its parts.
  public init(interests: [Interest] = [], blocked: [BlockedThread] = [], isComplete: Bool = true) {
    self.interests = interests.sorted { ($0.inode, $0.epoll) < ($1.inode, $1.epoll) }
    self.blocked = blocked
    self.isComplete = isComplete
  }

  /// The epoll entries that watch this socket.
  public func interests(in inode: UInt32) -> [Interest] { interests.filter { $0.inode == inode } }
  /// The threads that wait on this descriptor.
  public func blocked(on descriptor: Int32) -> [BlockedThread] { blocked.filter { $0.descriptor == descriptor } }
}
