/// The epoll entries and blocked threads of a process that would notice an event on a socket.
public struct Watchers: Hashable, Sendable {
  /// One entry of an epoll instance.
  public struct Interest: Hashable, Sendable {
    /// The epoll instance's descriptor.
    public var epoll: Int32
    /// The descriptor that was registered. The number may refer to another file by now; the inode does not change.
    public var descriptor: Int32
    /// The requested events, such as `EPOLLIN`.
    public var events: UInt32
    /// The inode of the watched file.
    public var inode: UInt32

    /// Makes one from its values.
    public init(epoll: Int32, descriptor: Int32, events: UInt32, inode: UInt32) {
      self.epoll = epoll
      self.descriptor = descriptor
      self.events = events
      self.inode = inode
    }

    /// Whether the entry reports the end of the peer's data: `EPOLLIN` or `EPOLLRDHUP`.
    public var seesTheEnd: Bool { events & 0x2001 != 0 }
  }

  /// A thread that is inside a system call on a descriptor. A thread in poll or select has one entry for each
  /// descriptor that it waits for.
  public struct BlockedThread: Hashable, Sendable {
    /// The thread's number.
    public var thread: Int32
    /// The name of the system call: `recvfrom`.
    public var call: String
    /// The descriptor that it was called with, or waits for.
    public var descriptor: Int32

    /// Makes one from its values.
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
  /// Whether everything could be read. Where it could not, a socket without an entry may still be watched.
  public var isComplete: Bool

  /// Makes one from its values.
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
