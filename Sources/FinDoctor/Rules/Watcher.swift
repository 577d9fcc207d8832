/// The way in which a program would notice an event on a socket.
enum Watcher {
  /// The epoll sets and threads of the process could not be read.
  case unknown
  /// No epoll set contains the socket, and no thread waits on it.
  case unattended
  /// A thread is inside this system call on the socket.
  case blocked(thread: Int32, call: String)
  /// An epoll set contains the socket, with these events.
  case epoll(descriptor: Int32, events: UInt32)
}

extension CensusIndex {
  func watch(_ socket: InetSocket, _ owner: OwnerKey) -> Watcher {
    owner.pid == 0 ? .unknown : attention(owner.pid, socket.inode)
  }

  /// The way in which a process would notice an event on the socket of this inode.
  func attention(_ pid: Int32, _ inode: UInt32) -> Watcher {
    guard let watchers = census.watchers[pid] else { return .unknown }
    for holder in census.holders[inode] where holder.pid == pid {
      if let thread = watchers.blocked.first(where: { $0.descriptor == holder.descriptor }) {
        return .blocked(thread: thread.thread, call: thread.call)
      }
    }
    // Binary search: the interests are sorted by inode.
    var low = 0
    var high = watchers.interests.count
    while low < high {
      let middle = (low + high) / 2
      if watchers.interests[middle].inode >= inode { high = middle } else { low = middle + 1 }
    }
    if low < watchers.interests.count, watchers.interests[low].inode == inode {
      return .epoll(descriptor: watchers.interests[low].epoll, events: watchers.interests[low].events)
    }
    return watchers.isComplete ? .unattended : .unknown
  }

  /// A sentence about how the program would notice events on the oldest socket of a group.
  func attention(_ group: Group) -> String {
    let them = NumberText.verb(group.count, "it", "them")
    switch watch(sockets[group.oldest], group.key.owner) {
    case .unknown: return "The epoll sets and threads that may watch \(them) could not be read."
    case .unattended:
      return "No epoll set has \(them) and no thread waits on \(them): the program has forgotten \(them)."
    case .blocked(let thread, let call): return "Thread \(thread) is in \(call) on \(them)."
    case .epoll(let descriptor, let events):
      let text = "An epoll set (descriptor \(descriptor)) watches \(them) for \(Self.names(ofEvents: events))"
      if events & 0x2001 == 0 { return text + ": neither EPOLLIN nor EPOLLRDHUP, so it does not report the close." }
      return events & 1 << 31 != 0
        ? text + ": it reports the event only once (EPOLLET), and has done so."
        : text + ": it has reported the event, and the program did not act on it."
    }
  }

  static func names(ofEvents events: UInt32) -> String {
    let all: [(UInt32, String)] = [
      (1, "EPOLLIN"), (2, "EPOLLPRI"), (4, "EPOLLOUT"), (0x2000, "EPOLLRDHUP"), (1 << 30, "EPOLLONESHOT"),
      (1 << 31, "EPOLLET"),
    ]
    let names = all.filter { events & $0.0 != 0 }.map(\.1)
    return names.isEmpty ? "nothing" : names.joined(separator: "|")
  }
}
