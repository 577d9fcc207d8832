/// One listener: who waits in its queue and for how long, what was turned away, and who should accept.
public struct ListenerPanel: Sendable {
  /// Which row of the census it is.
  public enum Place: Hashable, Sendable {
    /// Of ``Census/sockets``.
    case inet(Int)
    /// Of ``Census/unixSockets``.
    case unix(Int)
  }

  /// What keeps the queue from being longer.
  public enum Limit: Hashable, Sendable {
    /// What the program gave to `listen`.
    case backlog
    /// The namespace's `somaxconn`; the program may have asked for more.
    case somaxconn
    /// `somaxconn` could not be read.
    case unknown
  }

  /// Who would accept, in one process.
  public struct Acceptor: Hashable, Sendable {
    /// How it would.
    public enum Way: Hashable, Sendable {
      /// An epoll set of this descriptor watches the listener for these events.
      case epoll(descriptor: Int32, events: UInt32)
      /// A thread is inside this system call on it.
      case blocked(thread: Int32, call: String)
      /// It has an io_uring, whose requests cannot be seen.
      case ring
      /// No epoll set has the listener, and no thread is in accept.
      case nobody
      /// It could not be read.
      case unknown
    }

    /// The process.
    public var pid: Int32
    /// How it would.
    public var way: Way
  }

  /// The descriptors of a process that holds the listener.
  public struct DescriptorUse: Hashable, Sendable {
    /// The process.
    public var pid: Int32
    /// How many it has open; nil where the kernel does not say.
    public var used: Int?
    /// How many it may have (the soft limit); nil where it could not be read.
    public var limit: Int?

    /// Which part is used, from 0 to 1; nil if unknown.
    public var share: Double? {
      guard let used, let limit, limit > 0 else { return nil }
      return Double(used) / Double(limit)
    }
  }

  /// Which row it is.
  public var place: Place
  /// Which of ``Census/namespaces`` it is in.
  public var namespace: UInt16
  /// The descriptors that hold it.
  public var holders: [Holder]
  /// How many listeners share the address and port with `SO_REUSEPORT`, with this one.
  public var group = 1
  /// How many wait for accept.
  public var waiting: Int
  /// How many may; the queue is full when more wait.
  public var limit: Int
  /// Where the limit comes from.
  public var limitedBy = Limit.unknown
  /// How long the one that waits longest has waited. Unix sockets keep no time.
  public var oldest: Since?
  /// Whether ``oldest`` and ``gone`` are of the whole group: the kernel does not say in whose queue a connection is.
  public var countsGroup = false
  /// How many of those that wait have given up: the client has closed.
  public var gone = 0
  /// Handshakes that the peers have not finished.
  public var unfinished = 0
  /// How many of these had to be answered again.
  public var unfinishedAgain = 0
  /// Connection attempts that were dropped since it listens; nil for a Unix socket, where nothing is: the client waits.
  public var drops: Int?
  /// How many of them between two looks; nil after one.
  public var recentDrops: Int?
  /// How far the two looks were apart.
  public var interval: Duration?
  /// Who would accept: one for each process that holds it and was asked about with ``Census/watch(_:)``.
  public var acceptors: [Acceptor] = []
  /// The descriptors of each process that holds it.
  public var descriptors: [DescriptorUse] = []

  init(_ place: Place, namespace: UInt16, holders: [Holder], waiting: UInt32, limit: UInt32) {
    self.place = place
    self.namespace = namespace
    self.holders = holders
    self.waiting = Int(waiting)
    self.limit = Int(limit)
  }

  /// Whether the next client is turned away.
  public var isFull: Bool { waiting > limit }
  /// How full the queue is, from 0 to 1.
  public var share: Double { isFull ? 1 : Double(waiting) / Double(max(limit, 0) + 1) }
  /// Attempts dropped a second between the two looks; nil after one.
  public var dropsPerSecond: Double? {
    guard let recentDrops, let interval else { return nil }
    return Double(recentDrops) / max(interval.inSeconds, 0.001)
  }

  /// How bad it looks.
  /// - Parameter thresholds: From when on.
  public func severity(_ thresholds: Thresholds = Thresholds()) -> Severity? {
    let waited = oldest?.lower ?? 0
    let used = descriptors.compactMap(\.share).max() ?? 0
    if isFull || waited >= thresholds.acceptLong.milliseconds || used >= 1 && waiting > 0 { return .critical }
    if (recentDrops ?? 0) > 0 || waited >= thresholds.accept.milliseconds || used >= thresholds.descriptorCritical
      || share >= 0.5
    {
      return .warning
    }
    return (drops ?? 0) > 0 || gone > 0 || used >= thresholds.descriptorWarning ? .info : nil
  }

  /// Every listener, the worst first. It asks the kernel nothing.
  /// - Parameters:
  ///   - census: The picture. ``Census/watch(_:)`` the processes that hold listeners before, or ``acceptors`` are unknown.
  ///   - earlier: A picture from before it, for ``recentDrops``.
  public static func all(in census: Census, since earlier: Census? = nil) -> [ListenerPanel] {
    let look = Examination(census, Diagnosis.Options())
    var panels = look.inetListeners(since: earlier) + look.unixListeners()
    for index in panels.indices { look.addPrograms(to: &panels[index]) }
    // Sorted by numbers first; equals keep the order in which they were met.
    return panels.enumerated().map { (rank(of: $1), $0, $1) }.sorted { ($0.0, $1.1) > ($1.0, $0.1) }.map(\.2)
  }

  private static func rank(of panel: ListenerPanel) -> Double {
    let waited = Double(min(panel.oldest?.lower ?? 0, 3_600_000)) / 3_600_000
    return Double((panel.severity()?.rawValue ?? -1) * 10) + panel.share * 4 + waited * 2
      + min(panel.dropsPerSecond ?? 0, 1000) / 1000 + (panel.waiting > 0 ? 1 : 0)
  }

  /// The processes that hold listeners: for ``Census/watch(_:)``.
  public static func processesToWatch(in census: Census) -> Set<Int32> {
    var pids: Set<Int32> = []
    for place in census.sockets.indices where census.sockets[place].state == .listen {
      pids.formUnion(census.holders[census.sockets[place].inode].map(\.pid))
    }
    for socket in census.unixSockets where socket.state == .listen {
      pids.formUnion(census.holders[socket.inode].map(\.pid))
    }
    return pids
  }
}

extension Examination {
  /// What listeners with `SO_REUSEPORT` have in common.
  fileprivate struct Address: Hashable {
    var namespace: UInt16
    var bits: AddressBits
    var port: UInt16
    var isIPv6: Bool
  }

  /// What is said of an address, and not of one listener.
  fileprivate struct Queue {
    var members: [Int] = []
    var oldest: Since?
    var gone = 0
    var unfinished = 0
    var unfinishedAgain = 0
  }

  private func address(_ index: Int) -> Address {
    Address(
      namespace: sockets[index].namespace, bits: sockets[index].localBits, port: sockets[index].localPort,
      isIPv6: sockets[index].isIPv6)
  }

  private func queues() -> [Address: Queue] {
    var queues: [Address: Queue] = [:]
    for index in listeners { queues[address(index), default: Queue()].members.append(index) }
    for index in inQueue {
      guard let listener = listener(accepting: sockets[index]) else { continue }
      queues[address(listener), default: Queue()].wait(timeInState(index), sockets[index].state)
    }
    for index in handshaking {
      guard let listener = listener(accepting: sockets[index]) else { continue }
      queues[address(listener), default: Queue()].answer(again: sockets[index].retransmits > 0)
    }
    return queues
  }

  fileprivate func inetListeners(since earlier: Census?) -> [ListenerPanel] {
    let queues = queues()
    var before: [UInt64: UInt32] = [:]
    for socket in earlier?.sockets ?? [] where socket.state == .listen {
      before[socket.cookie] = socket.memory.drops ?? 0
    }
    return listeners.map { index in
      let listener = sockets[index]
      var panel = ListenerPanel(
        .inet(index), namespace: listener.namespace, holders: Array(census.holders[listener.inode]),
        waiting: listener.receiveQueue, limit: listener.sendQueue)
      panel.limitedBy = limitedBy(listener.sendQueue, listener.namespace)
      panel.drops = listener.memory.drops.map { Int($0) }
      if let earlier, let drops = listener.memory.drops {
        // One that was not there before has dropped all of them since.
        panel.recentDrops = Int(drops &- (before[listener.cookie] ?? 0))
        panel.interval = .nanoseconds(
          Int64(clamping: census.when.monotonic - min(census.when.monotonic, earlier.when.monotonic)))
      }
      guard let queue = queues[address(index)] else { return panel }
      panel.group = queue.members.count
      let others = queue.members.contains { $0 != index && sockets[$0].receiveQueue > 0 }
      if listener.receiveQueue > 0 {
        panel.oldest = queue.oldest
        panel.gone = queue.gone
        panel.countsGroup = others
      }
      panel.unfinished = queue.unfinished
      panel.unfinishedAgain = queue.unfinishedAgain
      return panel
    }
  }

  fileprivate func unixListeners() -> [ListenerPanel] {
    census.unixSockets.indices.filter { census.unixSockets[$0].state == .listen }.map { index in
      let listener = census.unixSockets[index]
      var panel = ListenerPanel(
        .unix(index), namespace: listener.namespace, holders: Array(census.holders[listener.inode]),
        waiting: listener.receiveQueue, limit: listener.sendQueue)
      panel.limitedBy = limitedBy(listener.sendQueue, listener.namespace)
      // A client that has gone has no inode any more.
      panel.gone = listener.waiting.count { census.unixWaiting[Int($0)] == 0 }
      return panel
    }
  }

  private func limitedBy(_ limit: UInt32, _ namespace: UInt16) -> ListenerPanel.Limit {
    guard let most = census.namespaces[Int(namespace)].limits.listenBacklog else { return .unknown }
    // One above somaxconn is from before it was lowered.
    return Int(limit) == most ? .somaxconn : .backlog
  }

  fileprivate func addPrograms(to panel: inout ListenerPanel) {
    let inode =
      switch panel.place {
      case .inet(let index): sockets[index].inode
      case .unix(let index): census.unixSockets[index].inode
      }
    var last: Int32?
    for holder in panel.holders where holder.pid != last {
      last = holder.pid
      panel.acceptors.append(ListenerPanel.Acceptor(pid: holder.pid, way: way(holder.pid, inode)))
      panel.descriptors.append(
        ListenerPanel.DescriptorUse(
          pid: holder.pid, used: census.holders.process(holder.pid)?.descriptorCount.map { Int($0) },
          limit: census.programs[holder.pid]?.descriptorLimit.map { Int(clamping: $0) }))
    }
  }

  private func way(_ pid: Int32, _ inode: UInt32) -> ListenerPanel.Acceptor.Way {
    switch attention(pid, inode) {
    case .epoll(let descriptor, let events): .epoll(descriptor: descriptor, events: events)
    case .blocked(let thread, let call): .blocked(thread: thread, call: call)
    case .nobody: census.holders.rings(of: pid).isEmpty ? .nobody : .ring
    case .unknown: .unknown
    }
  }
}

extension Examination.Queue {
  fileprivate mutating func wait(_ since: Since, _ state: SocketState) {
    if state == .closeWait { gone += 1 }
    oldest = Since(
      atLeast: max(oldest?.lower ?? 0, since.lower), atMost: max(oldest?.upper ?? 0, since.upper))
  }

  fileprivate mutating func answer(again: Bool) {
    unfinished += 1
    if again { unfinishedAgain += 1 }
  }
}

extension ListenerPanel.Acceptor.Way: CustomStringConvertible {
  /// In words that follow a program's name: `epoll (fd 5) watches it for EPOLLIN`, `thread 812 is in accept4`.
  public var description: String {
    switch self {
    case .epoll(let descriptor, let events):
      events & 1 != 0
        ? "epoll (fd \(descriptor)) watches it for \(Examination.names(ofEvents: events))"
        : "epoll (fd \(descriptor)) has it, but without EPOLLIN: for \(Examination.names(ofEvents: events))"
    case .blocked(let thread, let call): "thread \(thread) is in \(call)"
    case .ring: "perhaps through io_uring, which cannot be seen"
    case .nobody: "nobody: no epoll set has it, no thread waits for it"
    case .unknown: "could not be read"
    }
  }
}
