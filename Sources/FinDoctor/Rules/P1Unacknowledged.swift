extension FindingID {
  /// The peer acknowledges nothing.
  public static let unacknowledged = FindingID(code: "P1")
}

extension Rule {
  static let unacknowledged = Rule(
    .unacknowledged, name: "unacknowledged", summary: "The peer acknowledges nothing.",
    fix: Remedies(
      "Set TCP_USER_TIMEOUT to your deadline: by default the kernel gives up after about 15 minutes. Or use a "
        + "timeout in the protocol.",
      in: [
        .python: "sock.setsockopt(IPPROTO_TCP, TCP_USER_TIMEOUT, milliseconds).",
        .go: "conn.SetWriteDeadline and SetReadDeadline; TCP_USER_TIMEOUT through net.Dialer.Control.",
      ],
      withFin: "send and close have deadlines, and a close that is not confirmed says so in its report."),
    claims: [.noAcknowledgement],
    watches: { index in index.unanswered.filter(index.isUnacknowledgedForLong) },
    find: { $0.unacknowledged() })
}

extension Claim {
  /// Data was sent several times, and nothing came back.
  fileprivate static let noAcknowledgement = Claim(
    "no acknowledgement", needs: [.rows, .tries, .age], .rare("a short outage looks the same until it ends"))
}

extension CensusIndex {
  /// Data is in flight and nothing comes back.
  fileprivate func unacknowledged() -> [Finding] {
    let groups = gather(unanswered) { index, socket, _ in
      isUnacknowledgedForLong(index) ? (.unacknowledged(socket), 0) : nil
    }
    return groups.map { group in
      let who = who(group)
      let oldest = sockets[group.oldest]
      var finding = Finding(
        .unacknowledged, mostToOnePeer(group) >= thresholds.unacknowledgedMany ? .critical : .warning,
        .noAcknowledgement, count: group.count, who: who, since: group.since,
        sentence:
          "\(who.name) has data on \(NumberText.noun(group.count, "connection")) \(words(group)) that no "
          + "peer acknowledges: the peer, or the network path to it, does not answer.",
        why: "The kernel sends it again, at longer and longer intervals, and gives up after about 15 minutes unless "
          + "configured otherwise. " + attention(group, due: .peer),
        facts: [
          .read(.rows, "Send-Q \(oldest.sendQueue), timer on"), .read(.tries, "\(oldest.retransmits)"),
          .read(.age, "\(group.since)"),
        ],
        evidence: [
          .init("timer", "on, next try in \(NumberText.milliseconds(oldest.expires))"),
          .init("retransmits", "\(oldest.retransmits)"),
          .init("tcpi_last_ack_recv", NumberText.milliseconds(oldest.info.lastAcknowledgementReceived)),
          .init("Send-Q", "\(oldest.sendQueue)"), example(group.oldest),
        ],
        sockets: references(group))
      finding.links = links(group)
      return finding
    }
  }

  /// Whether data was sent again several times, and nothing has come back for long.
  fileprivate func isUnacknowledgedForLong(_ index: Int) -> Bool {
    guard sockets[index].timer == .retransmit, Int(sockets[index].retransmits) >= thresholds.unacknowledgedTries,
      let last = sockets[index].info.lastAcknowledgementReceived
    else { return false }
    return UInt64(last) >= thresholds.unacknowledged.milliseconds
  }
}
