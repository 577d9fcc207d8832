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
    find: { $0.connecting() })
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
      let isHere = listener(for: oldest) != nil
      var finding = Finding(
        .connectStuck, severity, count: group.count, who: who, since: group.since,
        sentence:
          "\(who.name) waits for \(NumberText.noun(group.count, "connection")) \(group.key.place.words): no answer "
          + "to the SYN.",
        why: isHere
          ? "The listener is on this machine and drops the attempts: its queue is full."
          : "The destination is down, or something on the way drops the packets. A closed port would have answered.",
        evidence: [
          .init("state", "SYN-SENT"), .init("SYNs sent again", "\(oldest.retransmits)"),
          .init("next try in", NumberText.milliseconds(oldest.expires)), example(group.oldest),
        ])
      finding.links = links(group)
      return finding
    }
  }

  /// The listener on this machine that this attempt is addressed to.
  private func listener(for socket: InetSocket) -> Int? {
    listeners.first {
      sockets[$0].localPort == socket.remotePort
        && (sockets[$0].localBits == socket.remoteBits
          || sockets[$0].localAddress.isUnspecified && socket.remoteAddress.isLoopback
            && sockets[$0].namespace == socket.namespace)
    }
  }
}
