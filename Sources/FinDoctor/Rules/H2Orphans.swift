extension FindingID {
  /// Closed connections whose last bytes the peer does not take.
  public static let orphans = FindingID(code: "H2")
}

extension Rule {
  static let orphans = Rule(
    .orphans, name: "orphans", summary: "Closed connections whose last bytes the peer does not take.",
    fix: Remedies(
      "Drain with a deadline before close, then reset. The peer must read. Do not begin by raising tcp_max_orphans.",
      withFin: "close(.confirmed) waits for the acknowledgement within a deadline, and the report names the bytes lost."
    ),
    find: { $0.orphanedConnections() })
}

extension CensusIndex {
  /// Closed connections with bytes that the peer does not take. The kernel keeps them, up to a limit for the
  /// whole machine.
  fileprivate func orphanedConnections() -> [Finding] {
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
}
