extension FindingID {
  /// The peer does not answer keepalive probes.
  public static let keepaliveFailing = FindingID(code: "P3")
}

extension Rule {
  static let keepaliveFailing = Rule(
    .keepaliveFailing, name: "keepalive-failing", summary: "The peer does not answer keepalive probes.",
    fix: Remedies(
      "Nothing in the code: its next call will get ETIMEDOUT. Check the network path and the peer.",
      withFin: "The next call throws .lost, and so does every later one: close(_:) it, as serve does."),
    claims: [.probesUnanswered, .probeUnanswered],
    find: { $0.keepaliveFailing() })
}

extension Claim {
  /// Several probes have no answer.
  fileprivate static let probesUnanswered = Claim(
    "probes unanswered", needs: [.tries], .rare("a path that loses packets looks the same for a moment"))

  /// One probe has no answer yet.
  fileprivate static let probeUnanswered = Claim(
    "one probe unanswered", needs: [.tries], .common("the answer may be on its way"))
}

extension CensusIndex {
  /// The peer does not answer keepalive probes.
  fileprivate func keepaliveFailing() -> [Finding] {
    let groups = gather(probing) { _, socket, _ in
      let probes = max(socket.retransmits, socket.info.probes ?? 0)
      guard probes >= 1 else { return nil }
      return (
        .ticking(atLeast: 0, atMost: socket.info.lastAcknowledgementReceived.map(UInt64.init)), probes > 1 ? 1 : 0
      )
    }
    return groups.map { group in
      let who = who(group)
      let oldest = sockets[group.oldest]
      let probes = Int(max(oldest.retransmits, oldest.info.probes ?? 0))
      // A probe that is answered counts until its answer has arrived.
      let isSingle = group.key.kind == 0
      var finding = Finding(
        .keepaliveFailing, isSingle ? .info : .warning, isSingle ? .probeUnanswered : .probesUnanswered,
        count: group.count, who: who, since: group.since,
        sentence:
          "The \(NumberText.verb(group.count, "peer", "peers")) of \(NumberText.noun(group.count, "connection")) "
          + "\(words(group)) of \(who.name) "
          + (isSingle
            ? "\(NumberText.verb(group.count, "has", "have")) not answered the last keepalive probe yet."
            : "\(NumberText.verb(group.count, "does", "do")) not answer keepalive probes."),
        why: "The next probe goes out in \(NumberText.milliseconds(oldest.expires)). "
          + (probes > Self.usualProbes
            ? "That more than \(Self.usualProbes) have no answer means that the program has set TCP_USER_TIMEOUT or a "
              + "larger TCP_KEEPCNT, or the system tcp_keepalive_probes. "
            : "The kernel gives up with ETIMEDOUT after TCP_KEEPCNT probes (\(Self.usualProbes) unless the program or "
              + "the system chose otherwise). ")
          + "Where the program has set TCP_USER_TIMEOUT, that time decides, and not the number of probes.",
        facts: [.read(.tries, "\(probes)")],
        evidence: [
          .init("timer", "keepalive"), .init("probes", "\(probes)"),
          .init("tcpi_last_ack_recv", NumberText.milliseconds(oldest.info.lastAcknowledgementReceived)),
          example(group.oldest),
        ],
        sockets: references(group))
      finding.links = links(group)
      return finding
    }
  }

  /// Linux's default of `tcp_keepalive_probes`.
  private static let usualProbes = 9
}
