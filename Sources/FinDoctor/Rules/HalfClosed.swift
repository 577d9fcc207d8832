/// H1 and H2: our side has finished, and the connection does not end.
extension CensusIndex {
  /// H1: shut down for sending, and waiting for the peer without a limit. The kernel limits FIN-WAIT-2 only once no
  /// descriptor is open.
  func finWait2() -> [Finding] {
    let groups = gather(finishedSending) { index, socket, owner in
      let since = timeInState(index)
      guard socket.timer == .off, since.lower >= thresholds.finWait2.milliseconds,
        !isMeant(socket, .finWait2Held, owner)
      else { return nil }
      return (since, 0)
    }
    return groups.map { group in
      let who = who(group)
      let oldest = sockets[group.oldest]
      let isBad =
        group.count >= thresholds.finWait2Many || group.since.lower >= thresholds.finWait2Long.milliseconds
      var finding = Finding(
        .finWait2Held, isBad ? .warning : .info, count: group.count, who: who, since: group.since,
        sentence: "\(who.name) has finished sending on \(NumberText.noun(group.count, group.key.noun)) "
          + "\(group.key.place.words) and waits for \(NumberText.verb(group.count, "its peer", "their peers")) "
          + "to finish, "
          + "without a time limit.",
        why: "After shutdown the descriptor stays open, and while it is open the kernel has no time limit. "
          + attention(group),
        evidence: [
          .init("state", "FIN-WAIT-2"), .init("timer", "off"),
          .init("\(oldest.detailName)_last_ack_recv", NumberText.milliseconds(oldest.lastAcknowledgementReceived)),
          .init("\(oldest.detailName)_last_data_recv", NumberText.milliseconds(oldest.lastDataReceived)),
          example(group.oldest),
        ],
        share: share(group.count, of: group.key.owner))
      finding.links = links(group)
      return finding
    }
  }

  /// H2: closed connections with bytes that the peer does not take. The kernel keeps them, up to a limit for the whole
  /// machine.
  func orphans() -> [Finding] {
    let groups = gather(orphaned) { _, socket, _ in
      let isStuck =
        socket.timer == .persist || socket.retransmits > 0 || (socket.info.retransmits ?? 0) > 0
        || socket.info.sendWindow == 0
      guard socket.sendQueue > 0, isStuck else { return nil }
      return (AgeBounds.stuck(socket), 0)
    }
    if groups.isEmpty { return [] }
    // Both the limit and the count are the machine's, so any namespace's reading will do.
    let limit = census.namespaces.lazy.compactMap(\.limits.orphans).first
    let now = census.namespaces.lazy.compactMap { $0.counters["sockstat.TCP.orphan"] }.first
    let share = now.flatMap { now in limit.map { Double(now) / Double(max($0, 1)) } }
    let isAborting = increase(of: "TcpExt.TCPAbortOnMemory") > 0
    return groups.map { group in
      let who = who(group)
      let bytes = group.members.reduce(UInt64(0)) { $0 + UInt64(unsent($1)) }
      var severity = Severity.info
      if let share, share > thresholds.orphansWarning { severity = .warning }
      if isAborting || share ?? 0 > thresholds.orphansCritical { severity = .critical }
      var finding = Finding(
        .orphans, severity, count: group.count, who: who, since: group.since,
        sentence: "\(NumberText.noun(group.count, "closed connection")) \(group.key.place.words) of \(who.name) still "
          + "\(NumberText.verb(group.count, "has", "have")) \(NumberText.bytes(bytes)) that "
          + "\(NumberText.verb(group.count, "its peer does", "their peers do")) not take.",
        why: sockets[group.oldest].info.sendWindow == 0
          ? "The peer's window is closed: it does not read. The program has closed the connection and is not informed."
          : "The peer does not acknowledge. The program has closed the connection and is not informed.",
        evidence: [
          .init("state", sockets[group.oldest].state.description), .init("inode", "0: no descriptor is left"),
          .init("Send-Q", "\(sockets[group.oldest].sendQueue)"),
          .init("timer", sockets[group.oldest].timer.description),
          .init(
            "orphans on the machine",
            "\(now.map { NumberText.number($0) } ?? "unknown") of "
              + "\(limit.map { NumberText.number($0) } ?? "unknown")"),
          example(group.oldest),
        ],
        share: share)
      finding.links = links(group)
      return finding
    }
  }

  /// The bytes that the peer has not taken. For an MPTCP subflow it is all that the connection holds, because each
  /// subflow is given only a little of it.
  private func unsent(_ index: Int) -> UInt32 {
    let queue = sockets[index].sendQueue
    guard let owner = multipath.owner(ofPath: index), let queued = sockets[owner].memory.queued else { return queue }
    return max(queue, queued)
  }

  /// The growth of a counter between the two censuses, summed over all namespaces; 0 without an earlier census.
  func increase(of counter: String) -> Int64 {
    guard let earlier = options.earlier else { return 0 }
    return census.namespaces.reduce(0) { sum, namespace in
      guard let new = namespace.counters[counter],
        let old = earlier.namespaces.first(where: { $0.inode == namespace.inode })?.counters[counter]
      else { return sum }
      return sum + max(0, new - old)
    }
  }
}
