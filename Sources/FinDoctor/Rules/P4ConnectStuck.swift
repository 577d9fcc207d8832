extension FindingID {
  /// Connection attempts that get no answer.
  public static let connectStuck = FindingID(code: "P4")
}

extension Rule {
  static let connectStuck = Rule(
    .connectStuck, name: "connect-stuck", summary: "Connection attempts that get no answer.",
    fix: Remedies(
      "Give connect a deadline (non-blocking, then poll), and try the next address. Check the destination, and "
        + "firewalls that drop packets and do not refuse them.",
      in: [
        .python: "socket.create_connection(address, timeout=seconds).",
        .node: "A timer that destroys the socket before 'connect'; AbortSignal.timeout for fetch.",
        .go: "net.Dialer{Timeout: …} or a context with a deadline.",
        .java: "socket.connect(address, milliseconds).",
      ],
      withFin: "connect(within:) has a deadline for all addresses together, with a default."),
    claims: [.unanswered, .listenerIsFull, .oneListenerIsFull, .listenerHasRoom],
    find: { $0.connecting() })
}

extension Claim {
  /// The destination does not answer.
  fileprivate static let unanswered = Claim(
    "no answer", needs: [.rows, .tries], .rare("a slow path may still bring the answer", unless: .age))

  /// The destination is a listener of this machine whose queue is full.
  fileprivate static let listenerIsFull = Claim(
    "listener is full", needs: [.rows, .tries, .acceptQueue],
    .rare("a packet filter may drop the attempts before the listener does", unless: .overflows))

  /// The destination is an address that several listeners of this machine share, and some of them are full.
  fileprivate static let oneListenerIsFull = Claim(
    "one listener is full", needs: [.rows, .tries, .acceptQueue],
    .rare("a listener with room may be the one that the kernel chose for the attempts"))

  /// The destination is a listener of this machine with room in its queue.
  fileprivate static let listenerHasRoom = Claim(
    "listener has room", needs: [.rows, .tries, .acceptQueue],
    .rare("the queue may have been full when the attempts arrived", unless: .overflows),
    .rare("a missing way back to the client looks the same"))
}

extension CensusIndex {
  /// The listeners that attempts may arrive at, and the room in their queues.
  private enum Destination: UInt8 {
    /// No listener of this network namespace has the address.
    case elsewhere
    /// Each of them is full.
    case full
    /// Some of those that share the address are full. The kernel chooses by a hash of the connection's addresses and
    /// ports that only it knows.
    case partlyFull
    /// Each of them has room.
    case room

    var claim: Claim {
      switch self {
      case .elsewhere: .unanswered
      case .full: .listenerIsFull
      case .partlyFull: .oneListenerIsFull
      case .room: .listenerHasRoom
      }
    }
  }

  /// Connection attempts that get no answer.
  fileprivate func connecting() -> [Finding] {
    let groups = gather(synSent, at: remote) { _, socket, _ in
      guard Int(socket.retransmits) >= thresholds.connectTries else { return nil }
      return (AgeBounds.inState(socket), destination(of: socket).rawValue)
    }
    return groups.map(stuck)
  }

  private func stuck(_ group: Group) -> Finding {
    let who = who(group)
    let oldest = sockets[group.oldest]
    var severity = group.since.lower >= thresholds.connect.milliseconds ? Severity.warning : .info
    if mostToOnePeer(group) >= thresholds.connectMany { severity = .critical }
    let destination = Destination(rawValue: group.key.kind) ?? .elsewhere
    let possible = listeners(reachedBy: oldest)
    // The fullest one stands for them.
    let listener = possible.max { sockets[$0].receiveQueue < sockets[$1].receiveQueue }.map { sockets[$0] }
    let overflows = listener.flatMap { census.namespace(of: $0).counters["TcpExt.ListenOverflows"] }
    let queue = listener.map { "\($0.receiveQueue) of \($0.sendQueue)" }
    var finding = Finding(
      .connectStuck, severity, destination.claim, count: group.count, who: who, since: group.since,
      sentence:
        "\(who.name) waits for \(NumberText.noun(group.count, "connection")) \(words(group)): no answer to the SYN.",
      why: reason(group, destination, listeners: possible.count, queue: queue ?? "?"),
      facts: [
        .read(.rows, "SYN-SENT"), .read(.tries, "\(oldest.retransmits)"),
        .read(.age, "\(group.since)", excludes: group.since.lower >= thresholds.connect.milliseconds),
        .read(.acceptQueue, queue),
        .read(.overflows, overflows.map { "\($0)" }, excludes: (destination == .full) == (overflows ?? 0 > 0)),
      ],
      evidence: [
        .init("state", "SYN-SENT"), .init("SYNs sent again", "\(oldest.retransmits)"),
        .init("next try in", NumberText.milliseconds(oldest.expires)), example(group.oldest),
      ],
      sockets: references(group))
    finding.links = links(group)
    return finding
  }

  private func reason(_ group: Group, _ destination: Destination, listeners count: Int, queue: String) -> String {
    let drops =
      "something on the way drops the packets"
      + (group.key.place.isManyPeers ? ": for many peers at once, most likely near this machine" : "")
    switch destination {
    case .elsewhere:
      return group.key.place.isManyPeers
        ? "The destinations are down, their accept queues are full, or \(drops). Closed ports would have answered."
        : "The destination is down, its accept queue is full, or \(drops). A closed port would have answered."
          + elsewhere(sockets[group.oldest])
    case .full:
      return count == 1
        ? "The listener is on this machine and drops the attempts: its queue is full."
        : "The listeners are on this machine and drop the attempts: the queue of each of the \(count) is full."
    case .partlyFull:
      let full = listeners(reachedBy: sockets[group.oldest]).count { isFull(sockets[$0]) }
      return "\(NumberText.number(count)) listeners of this machine share that address, and the queue of "
        + "\(NumberText.number(full)) of them is full (\(queue)): the kernel has chosen a full one for these attempts, "
        + "most likely. The others have room."
    case .room:
      return "A listener of this machine has that address, and room in its queue (\(queue)): a packet filter on this "
        + "machine drops the attempts or their answers, most likely."
    }
  }

  private func destination(of socket: InetSocket) -> Destination {
    let all = listeners(reachedBy: socket)
    if all.isEmpty { return .elsewhere }
    let full = all.count { isFull(sockets[$0]) }
    return full == 0 ? .room : full == all.count ? .full : .partlyFull
  }

  /// A sentence about a listener with the same address in another network namespace, which may be a stranger's.
  private func elsewhere(_ socket: InetSocket) -> String {
    guard !socket.remoteAddress.isLoopback,
      let other = listeners.first(where: {
        sockets[$0].namespace != socket.namespace && sockets[$0].localAddress.isSame(as: socket.remoteAddress)
          && sockets[$0].localPort == socket.remotePort
      })
    else { return "" }
    return " \(who(ofListener: other).name) listens on that address in another network namespace "
      + "(\(census.namespace(of: sockets[other]).name)); whether the attempts are meant for it is unknown."
  }
}
