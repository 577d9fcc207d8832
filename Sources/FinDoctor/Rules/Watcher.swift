/// The way in which one process would notice an event on a socket.
package struct Watcher: Hashable, Sendable {
  /// A way of noticing.
  package enum Way: Hashable, Sendable {
    /// An epoll set of this descriptor contains the socket, with these events.
    case epoll(descriptor: Int32, events: UInt32)
    /// A thread is inside this system call on the socket.
    case blocked(thread: Int32, call: String)
    /// The process has an io_uring, whose requests cannot be seen.
    case ring
    /// No epoll set contains the socket, and no thread waits on it.
    case unattended
    /// The epoll sets and threads of the process could not be read.
    case unknown
  }

  /// The process.
  package var pid: Int32
  /// The way in which it would notice.
  package var way: Way
  /// The reason why the process runs at all, or does not; nil when it could not be read.
  package var state: ProcessState?

  /// Whether the process executes nothing at the moment, whatever happens on the socket.
  package var isHalted: Bool { state?.isHalted == true }
}

/// The answer to the question of how programs notice events on a socket, for findings, for the explanation of one
/// socket and for the overview of listeners.
extension CensusIndex {
  /// The ways in which the processes that hold the socket of this inode would notice an event on it; one at least for
  /// each of them.
  func watchers(of inode: UInt32) -> [Watcher] {
    var all: [Watcher] = []
    var last: Int32?
    for holder in census.holders[inode] where holder.pid != last {
      last = holder.pid
      let state = census.watchers[holder.pid]?.state
      all += ways(holder.pid, inode).map { Watcher(pid: holder.pid, way: $0, state: state) }
    }
    return all
  }

  private func ways(_ pid: Int32, _ inode: UInt32) -> [Watcher.Way] {
    guard let watchers = census.watchers[pid] else { return [.unknown] }
    var all: [Watcher.Way] = []
    let descriptors = Set(census.holders[inode].lazy.filter { $0.pid == pid }.map(\.descriptor))
    for thread in watchers.blocked where descriptors.contains(thread.descriptor) {
      all.append(.blocked(thread: thread.thread, call: thread.call))
    }
    // The interests are sorted by inode.
    let first = watchers.interests.firstPlace { $0.inode >= inode }
    for interest in watchers.interests[first...].prefix(while: { $0.inode == inode }) {
      let way = Watcher.Way.epoll(descriptor: interest.epoll, events: interest.events)
      // A socket may have thousands of entries in a set: one for each descriptor that it had when it was added.
      if all.last != way { all.append(way) }
    }
    if !all.isEmpty { return all }
    if !census.holders.rings(of: pid).isEmpty { return [.ring] }
    return [watchers.isComplete ? .unattended : .unknown]
  }

  /// The reading of how a socket is watched, for the facts of a finding. It excludes nothing if some process could not
  /// be read, or may use io_uring.
  func watched(_ index: Int) -> Finding.Reading {
    let all = watchers(of: sockets[index].inode)
    let isKnown = !all.isEmpty && all.allSatisfy { $0.way != .unknown && $0.way != .ring }
    return .read(.watchers, isKnown ? all.map { "\($0.way)" }.joined(separator: "; ") : nil)
  }
}

/// The event that is due on a socket.
enum DueEvent {
  /// Data, or the end of the peer's data, can be read.
  case input
  /// The peer has finished, and its end of file was taken with the last data.
  case end
  /// A client waits for accept.
  case client
  /// Nothing is due, because the peer has no room for data.
  case room
  /// Nothing is due before the peer does something.
  case peer

  init(_ socket: InetSocket) {
    if socket.state == .listen {
      self = socket.receiveQueue > 0 ? .client : .peer
    } else if socket.receiveQueue > 0 {
      self = .input
    } else if socket.state == .closeWait {
      self = .end
    } else {
      self = socket.sendQueue > 0 ? .room : .peer
    }
  }
}

/// Sentences about how programs would notice the events on a socket.
extension CensusIndex {
  /// The sentences for one socket or a group of them, of which this one is an example.
  func attention(_ index: Int, count: Int = 1) -> [String] {
    let socket = sockets[index]
    return attention(to: socket.inode, DueEvent(socket), count == 1 ? "it" : "them")
  }

  func attention(_ group: Group, due: DueEvent? = nil) -> String {
    let socket = sockets[group.oldest]
    return attention(to: socket.inode, due ?? DueEvent(socket), group.count == 1 ? "it" : "them")
      .joined(separator: " ")
  }

  /// - Parameters:
  ///   - inode: The socket's inode.
  ///   - due: The event that is due on it; nil when that is unknown.
  ///   - them: The sockets as a pronoun.
  func attention(to inode: UInt32, _ due: DueEvent?, _ them: String) -> [String] {
    let all = watchers(of: inode)
    if all.isEmpty { return [] }
    let isShared = Set(all.map(\.pid)).count > 1
    let again = them == "them" ? them : "it"
    var sentences: [String] = []
    for watcher in all {
      let of = isShared ? " of process \(watcher.pid)" : ""
      switch watcher.way {
      case .blocked(let thread, let call): sentences.append("Thread \(thread)\(of) is in \(call) on \(them).")
      case .epoll(let descriptor, let events):
        sentences.append(
          "An epoll set (descriptor \(descriptor)\(of)) watches \(them) for \(Self.names(ofEvents: events))"
            + (watcher.isHalted ? "." : Self.consequence(events, due)))
      case .ring: sentences.append("Perhaps an io_uring\(of) has \(them), which cannot be seen.")
      case .unattended, .unknown: break
      }
    }
    if all.contains(where: { $0.way == .unknown }) {
      sentences.append(
        (sentences.isEmpty ? "The" : "Other") + " epoll sets and threads that may watch \(them) could not be read.")
    } else if sentences.isEmpty {
      let isMissed = due == .input || due == .end || due == .client
      sentences.append(
        "No epoll set has \(them) and no thread waits on \(again)"
          + (isMissed ? ": nothing tells the program of the event." : " at this moment."))
    }
    return sentences + halted(all)
  }

  /// A sentence about the processes among them that execute nothing at the moment.
  func halted(_ all: [Watcher]) -> [String] {
    var states: [ProcessState: [Int32]] = [:]
    for watcher in all {
      if let state = watcher.state, state.isHalted, states[state]?.last != watcher.pid {
        states[state, default: []].append(watcher.pid)
      }
    }
    return states.sorted { $0.key.letter < $1.key.letter }.map { state, pids in
      let names = pids.prefix(4).map { who(OwnerKey(pid: $0)).name }.joined(separator: ", ")
      let more = pids.count > 4 ? " and \(pids.count - 4) more" : ""
      return "\(names)\(more) \(NumberText.verb(pids.count, "is", "are")) \(state.words): nothing is executed there."
    }
  }

  private static func consequence(_ events: UInt32, _ due: DueEvent?) -> String {
    let (isForInput, isForEnd, isEdge) = (events & 1 != 0, events & 0x2001 != 0, events & 1 << 31 != 0)
    let hides = isForEnd ? "." : "; neither EPOLLIN nor EPOLLRDHUP, so it will not report the peer's end."
    switch due {
    case nil: return "."
    case .room: return (events & 4 != 0 ? ": no event is due before there is room" : ": no event is due") + hides
    case .peer: return ": no event is due before the peer does something" + hides
    case .client:
      if !isForInput { return ": without EPOLLIN, so it does not report clients." }
      return isEdge
        ? ": it reports a client only once (EPOLLET)." : ": it reports that clients wait, and none was accepted."
    case .input, .end:
      if !isForEnd { return ": neither EPOLLIN nor EPOLLRDHUP, so it does not report the event." }
      return isEdge
        ? ": it reports the event only once (EPOLLET)."
        : ": it reports the event, and the program did not act on it."
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

extension Watcher.Way: CustomStringConvertible {
  /// In words that follow a program's name: `epoll (fd 5) watches it for EPOLLIN`, `thread 812 is in accept4`.
  package var description: String {
    switch self {
    case .epoll(let descriptor, let events):
      events & 1 != 0
        ? "epoll (fd \(descriptor)) watches it for \(CensusIndex.names(ofEvents: events))"
        : "epoll (fd \(descriptor)) has it, but without EPOLLIN: for \(CensusIndex.names(ofEvents: events))"
    case .blocked(let thread, let call): "thread \(thread) is in \(call)"
    case .ring: "perhaps through io_uring, which cannot be seen"
    case .unattended: "no epoll set has it, and no thread waits for it"
    case .unknown: "its epoll sets and threads could not be read"
    }
  }
}
