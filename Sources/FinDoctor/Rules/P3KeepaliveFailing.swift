extension FindingID {
  /// The peer does not answer keepalive probes.
  public static let keepaliveFailing = FindingID(code: "P3")
}

extension Rule {
  static let keepaliveFailing = Rule(
    .keepaliveFailing, name: "keepalive-failing", summary: "The peer does not answer keepalive probes.",
    fix: Remedies(
      "Nothing in the code: its next call will get ETIMEDOUT. Check the network path and the peer.",
      withFin: "The error is .timedOut, and the connection is closed after it."),
    find: { $0.keepaliveFailing() })
}

extension CensusIndex {
  /// The peer does not answer keepalive probes.
  fileprivate func keepaliveFailing() -> [Finding] {
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
}
