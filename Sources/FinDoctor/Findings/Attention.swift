/// Who in a program would notice what happens on a socket.
enum Attention {
  /// It could not be read.
  case unknown
  /// No epoll set has it, and no thread waits on it.
  case nobody
  /// A thread is inside this system call on it.
  case blocked(thread: Int32, call: String)
  /// An epoll set has it, with these events.
  case epoll(descriptor: Int32, events: UInt32)
}

extension Examination {
  func watch(_ socket: InetSocket, _ owner: Owner) -> Attention {
    owner.pid == 0 ? .unknown : attention(owner.pid, socket.inode)
  }

  /// Who in a process would notice what happens on the socket of this inode.
  func attention(_ pid: Int32, _ inode: UInt32) -> Attention {
    guard let watchers = census.watchers[pid] else { return .unknown }
    for holder in census.holders[inode] where holder.pid == pid {
      if let thread = watchers.blocked.first(where: { $0.descriptor == holder.descriptor }) {
        return .blocked(thread: thread.thread, call: thread.call)
      }
    }
    // They are sorted by inode.
    var low = 0
    var high = watchers.interests.count
    while low < high {
      let middle = (low + high) / 2
      if watchers.interests[middle].inode >= inode { high = middle } else { low = middle + 1 }
    }
    if low < watchers.interests.count, watchers.interests[low].inode == inode {
      return .epoll(descriptor: watchers.interests[low].epoll, events: watchers.interests[low].events)
    }
    return watchers.isComplete ? .nobody : .unknown
  }

  /// In a sentence: who would notice, for the oldest of a group.
  func attention(_ group: Group) -> String {
    let them = Counted.verb(group.count, "it", "them")
    switch watch(sockets[group.oldest], group.key.owner) {
    case .unknown: return "Who watches \(them) could not be read."
    case .nobody: return "No epoll set has \(them) and no thread waits on \(them): forgotten."
    case .blocked(let thread, let call): return "Thread \(thread) is in \(call) on \(them)."
    case .epoll(let descriptor, let events):
      let text = "An epoll set (descriptor \(descriptor)) watches \(them) for \(Self.names(ofEvents: events))"
      if events & 0x2001 == 0 { return text + ": neither EPOLLIN nor EPOLLRDHUP, so the close is not told." }
      return events & 1 << 31 != 0
        ? text + ": it was told once, and would not be told again." : text + ": the loop was told and did not act."
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
