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
    claims: [.unanswered, .listenerIsFull, .listenerHasRoom],
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

  /// The destination is a listener of this machine with room in its queue.
  fileprivate static let listenerHasRoom = Claim(
    "listener has room", needs: [.rows, .tries, .acceptQueue],
    .rare("the queue may have been full when the attempts arrived", unless: .overflows),
    .rare("a missing way back to the client looks the same"))
}

extension CensusIndex {
  /// Connection attempts that get no answer.
  fileprivate func connecting() -> [Finding] {
    let groups = gather(synSent, at: remote) { _, socket, _ in
      guard Int(socket.retransmits) >= thresholds.connectTries else { return nil }
      return (AgeBounds.inState(socket), 0)
    }
    return groups.map { group in
      let who = who(group)
      let oldest = sockets[group.oldest]
      var severity = group.since.lower >= thresholds.connect.milliseconds ? Severity.warning : .info
      if group.count >= thresholds.connectMany { severity = .critical }
      let listener = listener(for: oldest).map { sockets[$0] }
      let isFull = listener.map(isFull) ?? false
      let overflows = listener.flatMap { census.namespace(of: $0).counters["TcpExt.ListenOverflows"] }
      let queue = listener.map { "\($0.receiveQueue) of \($0.sendQueue)" }
      var finding = Finding(
        .connectStuck, severity, listener == nil ? .unanswered : isFull ? .listenerIsFull : .listenerHasRoom,
        count: group.count, who: who, since: group.since,
        sentence:
          "\(who.name) waits for \(NumberText.noun(group.count, "connection")) \(words(group)): no answer "
          + "to the SYN.",
        why: listener == nil
          ? "The destination is down, its accept queue is full, or something on the way drops the packets. A closed "
            + "port would have answered." + elsewhere(oldest)
          : isFull
            ? "The listener is on this machine and drops the attempts: its queue is full."
            : "A listener of this machine has that address, and room in its queue (\(queue ?? "?")): a packet filter "
              + "on this machine drops the attempts or their answers, most likely.",
        facts: [
          .read(.rows, "SYN-SENT"), .read(.tries, "\(oldest.retransmits)"),
          .read(.age, "\(group.since)", excludes: group.since.lower >= thresholds.connect.milliseconds),
          .read(.acceptQueue, queue),
          .read(.overflows, overflows.map { "\($0)" }, excludes: isFull == (overflows ?? 0 > 0)),
        ],
        evidence: [
          .init("state", "SYN-SENT"), .init("SYNs sent again", "\(oldest.retransmits)"),
          .init("next try in", NumberText.milliseconds(oldest.expires)), example(group.oldest),
        ],
        sockets: references(group))
      finding.links = links(group)
      return finding
    }
  }

  /// The listener in the same network namespace that this attempt is addressed to. A connection to an address of the
  /// own machine has that address at both ends.
  private func listener(for socket: InetSocket) -> Int? {
    listeners.first { isAddressed(socket, to: $0) && sockets[$0].namespace == socket.namespace }
  }

  private func isAddressed(_ socket: InetSocket, to listener: Int) -> Bool {
    sockets[listener].localPort == socket.remotePort
      && (sockets[listener].localBits == socket.remoteBits
        || sockets[listener].localAddress.isUnspecified
          && (socket.remoteAddress.isLoopback || socket.remoteBits == socket.localBits))
  }

  /// A sentence about a listener with the same address in another network namespace, which may be a stranger's.
  private func elsewhere(_ socket: InetSocket) -> String {
    guard !socket.remoteAddress.isLoopback,
      let other = listeners.first(where: {
        sockets[$0].namespace != socket.namespace && sockets[$0].localBits == socket.remoteBits
          && sockets[$0].localPort == socket.remotePort
      })
    else { return "" }
    return " \(who(ofListener: other).name) listens on that address in another network namespace "
      + "(\(census.namespace(of: sockets[other]).name)); whether the attempts are meant for it is unknown."
  }
}
