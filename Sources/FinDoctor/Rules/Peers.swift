/// P1 to P4: peers that are gone, or may be, while the program does not notice.
extension CensusIndex {
  /// P1: data is in flight and nothing comes back.
  func unacknowledged() -> [Finding] {
    let groups = gather(unanswered) { _, socket, _ in
      guard socket.timer == .retransmit, Int(socket.retransmits) >= thresholds.unacknowledgedTries,
        let last = socket.info.lastAcknowledgementReceived, UInt64(last) >= thresholds.unacknowledged.milliseconds
      else { return nil }
      return (.unacknowledged(socket), 0)
    }
    return groups.map { group in
      let who = who(group)
      let oldest = sockets[group.oldest]
      var finding = Finding(
        .unacknowledged, mostToOnePeer(group) >= thresholds.unacknowledgedMany ? .critical : .warning,
        count: group.count, who: who, since: group.since,
        sentence:
          "\(who.name) has data on \(NumberText.noun(group.count, "connection")) \(group.key.place.words) that no "
          + "peer acknowledges: the peer or the network path to it is gone.",
        why: "The kernel sends it again, at longer and longer intervals, and gives up after about 15 minutes unless "
          + "configured otherwise. " + attention(group),
        evidence: [
          .init("timer", "on, next try in \(NumberText.milliseconds(oldest.expires))"),
          .init("retransmits", "\(oldest.retransmits)"),
          .init("tcpi_last_ack_recv", NumberText.milliseconds(oldest.info.lastAcknowledgementReceived)),
          .init("Send-Q", "\(oldest.sendQueue)"), example(group.oldest),
        ],
        confidence: .likely("a short outage looks the same until it ends"))
      finding.links = links(group)
      return finding
    }
  }

  /// P2: nothing is in flight, so a lost peer would never be noticed.
  func idle() -> [Finding] {
    let groups = gather(quiet) { index, socket, owner in
      // If no data was ever sent, the last event is the handshake of a subflow.
      guard socket.sendQueue == 0, !socket.remoteAddress.isLoopback,
        let since = AgeBounds.idle(socket)
          ?? multipath.paths(of: index).compactMap({ AgeBounds.idle(sockets[$0]) }).max(by: { $0.lower < $1.lower }),
        since.lower >= thresholds.idle.milliseconds, !isMeant(socket, .idleWithoutKeepalive, owner)
      else { return nil }
      return (since, 0)
    }
    return groups.map { group in
      let who = who(group)
      let oldest = sockets[group.oldest]
      let isBad = group.count >= thresholds.idleMany && group.since.lower >= thresholds.idleLong.milliseconds
      return Finding(
        .idleWithoutKeepalive, isBad ? .warning : .info, count: group.count, who: who, since: group.since,
        sentence: "\(who.name) has \(NumberText.noun(group.count, "idle \(group.key.noun)")) \(group.key.place.words) "
          + "without keepalive: the program would never notice that a peer is gone.",
        why: "No timer runs, so the kernel sends nothing; routers and balancers forget idle connections after minutes.",
        evidence: [
          .init("timer", "off"),
          .init("\(oldest.detailName)_last_data_sent", NumberText.milliseconds(oldest.lastDataSent)),
          .init("\(oldest.detailName)_last_data_recv", NumberText.milliseconds(oldest.lastDataReceived)),
          example(group.oldest),
        ],
        confidence: .likely("a program that sends something from time to time would notice"))
    }
  }

  /// P3: the peer does not answer keepalive probes.
  func keepaliveFailing() -> [Finding] {
    let groups = gather(probing) { _, socket, _ in
      guard max(socket.retransmits, socket.info.probes ?? 0) >= 1 else { return nil }
      return (
        .ticking(atLeast: 0, atMost: socket.info.lastAcknowledgementReceived.map(UInt64.init)), 0
      )
    }
    return groups.map { group in
      let who = who(group)
      let oldest = sockets[group.oldest]
      let probes = max(oldest.retransmits, oldest.info.probes ?? 0)
      var finding = Finding(
        .keepaliveFailing, .warning, count: group.count, who: who, since: group.since,
        sentence:
          "The \(NumberText.verb(group.count, "peer", "peers")) of \(NumberText.noun(group.count, "connection")) "
          + "\(group.key.place.words) of \(who.name) \(NumberText.verb(group.count, "does", "do")) not answer "
          + "keepalive "
          + "probes.",
        why:
          "The next probe goes out in \(NumberText.milliseconds(oldest.expires)). After TCP_KEEPCNT "
          + "of them (9 unless the "
          + "program chose otherwise, \(max(0, 9 - Int(probes))) more) the connection is reset with ETIMEDOUT.",
        evidence: [
          .init("timer", "keepalive"), .init("probes", "\(probes)"),
          .init("tcpi_last_ack_recv", NumberText.milliseconds(oldest.info.lastAcknowledgementReceived)),
          example(group.oldest),
        ],
        confidence: .likely("a path that loses packets looks the same for a moment"))
      finding.links = links(group)
      return finding
    }
  }

  /// P4: connection attempts that get no answer.
  func connecting() -> [Finding] {
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
