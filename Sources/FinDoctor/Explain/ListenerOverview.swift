/// A report about one listener: the clients in its accept queue and their waiting time, the attempts it turned away,
/// and the threads and loops that should accept.
package struct ListenerOverview: Sendable {
  /// The listener's row in the census.
  package enum Place: Hashable, Sendable {
    /// An index in ``Census/sockets``.
    case inet(Int)
    /// An index in ``Census/unixSockets``.
    case unix(Int)
  }

  /// The origin of the limit of the accept queue.
  package enum Limit: Hashable, Sendable {
    /// The backlog that the program gave to `listen`.
    case backlog
    /// The namespace's `somaxconn`; the program may have asked for more.
    case somaxconn
    /// `somaxconn` could not be read.
    case unknown
  }

  /// The descriptors of a process that holds the listener.
  package struct DescriptorUse: Hashable, Sendable {
    /// The process.
    package var pid: Int32
    /// The number of open descriptors; nil where the kernel does not report it.
    package var used: Int?
    /// The soft limit of descriptors; nil where it could not be read.
    package var limit: Int?

    /// The used part of the limit, from 0 to 1; nil if unknown.
    package var share: Double? {
      guard let used, let limit, limit > 0 else { return nil }
      return Double(used) / Double(limit)
    }
  }

  /// The listener's row.
  package var place: Place
  /// An index in ``Census/namespaces``.
  package var namespace: UInt16
  /// The descriptors that hold the listener.
  package var holders: [Holder]
  /// The number of listeners that share the address and port with `SO_REUSEPORT`, including this one.
  package var group = 1
  /// The number of connections that wait for accept.
  package var waiting: Int
  /// The limit of the accept queue; the queue is full when more connections wait.
  package var limit: Int
  /// The origin of the limit.
  package var limitedBy = Limit.unknown
  /// The waiting time of the connection that has waited longest. The kernel records no times for Unix sockets.
  package var oldest: AgeBounds?
  /// The waiting times of the connections, the longest first: the first ``mostWaits`` of them. As ``oldest``, of TCP
  /// alone.
  package var waits: [AgeBounds] = []
  /// Whether ``oldest``, ``waits`` and ``gone`` are for the whole group, because the kernel does not show in whose
  /// queue a connection waits.
  package var countsGroup = false
  /// The number of waiting connections that the client has closed.
  package var gone = 0
  /// The number of handshakes that the peers have not finished.
  package var unfinished = 0
  /// The number of these whose SYN-ACK had to be sent again.
  package var unfinishedAgain = 0
  /// The connection attempts dropped since the listener began; nil for a Unix socket, which drops none: the
  /// client waits.
  package var drops: Int?
  /// The number of drops between the two censuses; nil without an earlier one.
  package var recentDrops: Int?
  /// The time between the two censuses.
  package var interval: Duration?
  /// The ways of accepting, one at least for each process that holds the listener; those that were not read with
  /// ``Census/watch(_:)`` are unknown.
  package var acceptors: [Watcher] = []
  /// The severity of the worst finding about this listener.
  package var worst: Severity?
  /// A sentence for the processes among the acceptors that execute nothing at the moment.
  package var halted: [String] = []
  /// The descriptors of each process that holds it.
  package var descriptors: [DescriptorUse] = []

  /// The most waiting times of one listener.
  package static let mostWaits = 60

  init(_ place: Place, namespace: UInt16, holders: [Holder], waiting: UInt32, limit: UInt32) {
    self.place = place
    self.namespace = namespace
    self.holders = holders
    self.waiting = Int(waiting)
    self.limit = Int(limit)
  }

  /// Whether the next client is turned away.
  package var isFull: Bool { waiting > limit }
  /// The filled part of the queue, from 0 to 1.
  package var share: Double { isFull ? 1 : Double(waiting) / Double(max(limit, 0) + 1) }
  /// The attempts dropped per second between the two censuses; nil without an earlier one.
  package var dropsPerSecond: Double? {
    guard let recentDrops, let interval else { return nil }
    return Double(recentDrops) / max(interval.inSeconds, 0.001)
  }

  /// The severity of the listener's condition: that of the worst finding about it, or a hint that one may follow; nil
  /// when it is as it should be.
  /// - Parameter thresholds: The limits to apply.
  package func severity(_ thresholds: Thresholds = Thresholds()) -> Severity? {
    let used = descriptors.compactMap(\.share).max() ?? 0
    let own: Severity? =
      isFull
      ? .critical
      : used >= thresholds.descriptorCritical || share >= 0.5
        ? .warning : (drops ?? 0) > 0 || gone > 0 || used >= thresholds.descriptorWarning ? .info : nil
    return [worst, own].compactMap { $0 }.max()
  }

  /// Returns a report for every listener, the worst first. Uses only the censuses; reads nothing from the kernel.
  /// - Parameters:
  ///   - census: The census. Call ``Census/watch(_:)`` with the processes that hold listeners first, or ``acceptors``
  ///     are unknown.
  ///   - earlier: An earlier census, for ``recentDrops``.
  package static func all(in census: Census, since earlier: Census? = nil) -> [ListenerOverview] {
    var options = Diagnosis.Options()
    options.earlier = earlier
    let look = CensusIndex(census, options)
    var panels = look.inetListeners(since: earlier) + look.unixListeners()
    let judged = look.severities()
    for index in panels.indices {
      look.addPrograms(to: &panels[index])
      panels[index].worst = judged[panels[index].place]
    }
    // The rank is computed once for each report; equal ranks keep the order of the census.
    return panels.enumerated().map { (rank(of: $1), $0, $1) }.sorted { ($0.0, $1.1) > ($1.0, $0.1) }.map(\.2)
  }

  /// A report for every listener, in no particular order, without its programs and its findings.
  static func counts(in look: CensusIndex) -> [ListenerOverview] {
    look.inetListeners(since: nil) + look.unixListeners()
  }

  private static func rank(of panel: ListenerOverview) -> Double {
    let waited = Double(min(panel.oldest?.lower ?? 0, 3_600_000)) / 3_600_000
    return Double((panel.severity()?.rawValue ?? -1) * 10) + panel.share * 4 + waited * 2
      + min(panel.dropsPerSecond ?? 0, 1000) / 1000 + (panel.waiting > 0 ? 1 : 0)
  }

  /// The processes that hold listeners, as the argument of ``Census/watch(_:)``.
  package static func processesToWatch(in census: Census) -> Set<Int32> {
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

extension CensusIndex {
  /// The severity of the worst finding about each listener. The findings are those of `fin check`, and not judged a
  /// second time.
  fileprivate func severities() -> [ListenerOverview.Place: Severity] {
    var all: [ListenerOverview.Place: Severity] = [:]
    let rules: [Rule] = [.acceptOverflow, .acceptStalled, .synBacklog, .acceptWithoutDescriptors, .unix]
    for finding in rules.flatMap({ $0.find(self) }) {
      for socket in finding.sockets {
        let place: ListenerOverview.Place
        switch socket {
        case .inet(let index) where sockets[index].state == .listen: place = .inet(index)
        case .unix(let index) where census.unixSockets[index].state == .listen: place = .unix(index)
        default: continue
        }
        all[place] = max(all[place] ?? finding.severity, finding.severity)
      }
    }
    return all
  }

  /// The key that listeners with `SO_REUSEPORT` share.
  fileprivate struct Address: Hashable {
    var namespace: UInt16
    var bits: AddressBits
    var port: UInt16
    var isIPv6: Bool
  }

  /// Facts about an address rather than about one listener.
  fileprivate struct Queue {
    var members: [Int] = []
    var oldest: AgeBounds?
    var waits: [AgeBounds] = []
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
    for (group, clients) in waitingClients() {
      for index in clients {
        queues[address(group[0]), default: Queue()].wait(timeInState(index), sockets[index].state)
      }
    }
    for index in handshaking {
      guard let listener = listeners(accepting: sockets[index]).first else { continue }
      queues[address(listener), default: Queue()].answer(again: sockets[index].retransmits > 0)
    }
    return queues
  }

  fileprivate func inetListeners(since earlier: Census?) -> [ListenerOverview] {
    let queues = queues()
    var before: [UInt64: UInt32] = [:]
    for socket in earlier?.sockets ?? [] where socket.state == .listen {
      before[socket.cookie] = socket.memory.drops ?? 0
    }
    return listeners.map { index in
      let listener = sockets[index]
      var panel = ListenerOverview(
        .inet(index), namespace: listener.namespace, holders: Array(census.holders[listener.inode]),
        waiting: listener.receiveQueue, limit: listener.sendQueue)
      panel.limitedBy = limitedBy(listener.sendQueue, listener.namespace)
      panel.drops = listener.memory.drops.map { Int($0) }
      if let earlier, let drops = listener.memory.drops {
        // A listener that the earlier census did not contain has dropped all of them since.
        panel.recentDrops = Int(drops &- (before[listener.cookie] ?? 0))
        panel.interval = .nanoseconds(
          Int64(clamping: census.when.monotonic - min(census.when.monotonic, earlier.when.monotonic)))
      }
      guard let queue = queues[address(index)] else { return panel }
      panel.group = queue.members.count
      let others = queue.members.contains { $0 != index && sockets[$0].receiveQueue > 0 }
      if listener.receiveQueue > 0 {
        panel.oldest = queue.oldest
        panel.waits = Array(queue.waits.sorted { $0.lower > $1.lower }.prefix(ListenerOverview.mostWaits))
        panel.gone = queue.gone
        panel.countsGroup = others
      }
      panel.unfinished = queue.unfinished
      panel.unfinishedAgain = queue.unfinishedAgain
      return panel
    }
  }

  fileprivate func unixListeners() -> [ListenerOverview] {
    census.unixSockets.indices.filter { census.unixSockets[$0].state == .listen }.map { index in
      let listener = census.unixSockets[index]
      var panel = ListenerOverview(
        .unix(index), namespace: listener.namespace, holders: Array(census.holders[listener.inode]),
        waiting: listener.receiveQueue, limit: listener.sendQueue)
      panel.limitedBy = limitedBy(listener.sendQueue, listener.namespace)
      // A client that has closed has no inode any more.
      panel.gone = listener.waiting.count { census.unixWaiting[Int($0)] == 0 }
      return panel
    }
  }

  private func limitedBy(_ limit: UInt32, _ namespace: UInt16) -> ListenerOverview.Limit {
    guard let most = census.namespaces[Int(namespace)].limits.listenBacklog else { return .unknown }
    // A limit above somaxconn dates from before somaxconn was lowered.
    return Int(limit) == most ? .somaxconn : .backlog
  }

  fileprivate func addPrograms(to panel: inout ListenerOverview) {
    let inode =
      switch panel.place {
      case .inet(let index): sockets[index].inode
      case .unix(let index): census.unixSockets[index].inode
      }
    panel.acceptors = watchers(of: inode)
    panel.halted = halted(panel.acceptors)
    var last: Int32?
    for holder in panel.holders where holder.pid != last {
      last = holder.pid
      panel.descriptors.append(
        ListenerOverview.DescriptorUse(
          pid: holder.pid, used: census.holders.process(holder.pid)?.descriptorCount.map { Int($0) },
          limit: census.programs[holder.pid]?.descriptorLimit.map { Int(clamping: $0) }))
    }
  }
}

extension CensusIndex.Queue {
  fileprivate mutating func wait(_ since: AgeBounds, _ state: SocketState) {
    if state == .closeWait { gone += 1 }
    if since != .unknown { waits.append(since) }
    oldest = AgeBounds(
      atLeast: max(oldest?.lower ?? 0, since.lower), atMost: max(oldest?.upper ?? 0, since.upper))
  }

  fileprivate mutating func answer(again: Bool) {
    unfinished += 1
    if again { unfinishedAgain += 1 }
  }
}
