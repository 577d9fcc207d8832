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
    claims: [.notTaken, .leftToDeliver],
    find: { $0.orphanedConnections() })
}

extension Claim {
  /// The peers of closed connections do not take the last bytes, or do not acknowledge the end.
  fileprivate static let notTaken = Claim(
    "not taken", needs: [.rows], .rare("a short outage looks the same until it ends", unless: .window))
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
      let isClosed = sockets[group.oldest].info.sendWindow == 0
      var severity = Severity.info
      if let share, share > thresholds.orphansWarning { severity = .warning }
      if isAborting || share ?? 0 > thresholds.orphansCritical { severity = .critical }
      var finding = Finding(
        .orphans, severity, .notTaken, count: group.count, who: who, since: group.since,
        sentence: "\(NumberText.noun(group.count, "closed connection")) \(words(group)) of \(who.name) still "
          + "\(NumberText.verb(group.count, "has", "have")) "
          + (bytes > 0 ? "\(NumberText.bytes(bytes)) that " : "an end that ")
          + "\(NumberText.verb(group.count, "its peer does", "their peers do")) not "
          + (bytes > 0 ? "take." : "acknowledge."),
        why: isClosed
          ? "The peer's window is closed: it does not read. The program has closed the connection and is not informed."
          : "The peer does not acknowledge. The program has closed the connection and is not informed.",
        facts: [
          .read(.rows, "\(sockets[group.oldest].state), Send-Q \(sockets[group.oldest].sendQueue), no descriptor"),
          answeredWindow(group.oldest),
        ],
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
        sockets: references(group),
        share: share)
      finding.links = links(group)
      return finding
    }
  }

  /// The bytes that the peer has not taken; the end counts as one more in the queue. For an MPTCP subflow they are all
  /// that the connection holds, because each subflow is given only a little of it.
  private func unsent(_ index: Int) -> UInt32 {
    let queue = sockets[index].sendQueue - min(1, sockets[index].sendQueue)
    guard let owner = multipath.owner(ofPath: index), let queued = sockets[owner].memory.queued else { return queue }
    return max(queue, queued)
  }
}
