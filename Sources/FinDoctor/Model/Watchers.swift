/// The epoll entries and blocked threads of a process that would notice an event on a socket.
package struct Watchers: Hashable, Sendable {
  /// One entry of an epoll instance.
  package struct Interest: Hashable, Sendable {
    /// The epoll instance's descriptor.
    package var epoll: Int32
    /// The descriptor that was registered. The number may refer to another file by now; the inode does not change.
    package var descriptor: Int32
    /// The requested events, such as `EPOLLIN`.
    package var events: UInt32
    /// The inode of the watched file.
    package var inode: UInt32

    /// Makes one from its values.
    package init(epoll: Int32, descriptor: Int32, events: UInt32, inode: UInt32) {
      self.epoll = epoll
      self.descriptor = descriptor
      self.events = events
      self.inode = inode
    }

    /// Whether the entry reports the end of the peer's data: `EPOLLIN` or `EPOLLRDHUP`.
    package var seesTheEnd: Bool { events & 0x2001 != 0 }
  }

  /// A thread that is inside a system call on a descriptor. A thread in poll or select has one entry for each
  /// descriptor that it waits for.
  package struct BlockedThread: Hashable, Sendable {
    /// The thread's number.
    package var thread: Int32
    /// The name of the system call: `recvfrom`.
    package var call: String
    /// The descriptor that it was called with, or waits for.
    package var descriptor: Int32

    /// Makes one from its values.
    package init(thread: Int32, call: String, descriptor: Int32) {
      self.thread = thread
      self.call = call
      self.descriptor = descriptor
    }
  }

  /// Every entry of every epoll instance, by inode.
  package var interests: [Interest]
  /// Every thread that waits in a system call on a descriptor.
  package var blocked: [BlockedThread]
  /// Whether everything could be read. Where it could not, a socket without an entry may still be watched.
  package var isComplete: Bool
  /// The state of the process at that moment; nil when it could not be read.
  package var state: ProcessState?
  /// The readings that did not answer.
  package var unanswered: Set<CensusGaps.Unanswered> = []
  /// The readings that were longer than their limit, one sentence each.
  package var cut: [String] = []

  /// Makes one from its values.
  package init(
    interests: [Interest] = [], blocked: [BlockedThread] = [], isComplete: Bool = true, state: ProcessState? = nil
  ) {
    self.interests = interests.sorted { ($0.inode, $0.epoll) < ($1.inode, $1.epoll) }
    self.blocked = blocked
    self.isComplete = isComplete
    self.state = state
  }

  /// The epoll entries that watch this socket.
  package func interests(in inode: UInt32) -> [Interest] { interests.filter { $0.inode == inode } }
  /// The threads that wait on this descriptor.
  package func blocked(on descriptor: Int32) -> [BlockedThread] { blocked.filter { $0.descriptor == descriptor } }
}
