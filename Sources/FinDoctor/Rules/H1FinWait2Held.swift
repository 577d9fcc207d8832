internal import FinBase

extension FindingID {
  /// The program has finished sending, and waits for the peer without a limit.
  public static let finWait2Held = FindingID(code: "H1")
}

extension Rule {
  static let finWait2Held = Rule(
    .finWait2Held, name: "fin-wait2-held",
    summary: "The program has finished sending, and its peer has not, without a limit.",
    fix: Remedies(
      "After shutdown(SHUT_WR) read with a deadline, then close(): a closed socket leaves FIN-WAIT-2 after 60 s. "
        + "TCP_USER_TIMEOUT does not help here.",
      in: [
        .python: "sock.settimeout(seconds) before the recv() that follows shutdown, and close() in finally.",
        .go: "conn.SetReadDeadline(…) after CloseWrite(), and Close() in a defer.",
      ],
      programs: [
        "haproxy":
          "Limit how long one half may stay open: timeout client-fin and timeout server-fin; without them timeout "
          + "client and timeout server apply."
      ],
      withFin:
        "finishSending() returns a ReceivingConnection: each receive has a deadline, and close has a time limit.",
      inFin:
        "After finishSending(), receive with within:, then close(_:). If the answer may take long, "
        + "declare(.halfClosed, for:)."),
    claims: [.waitsForThePeer],
    intent: AllowedIntent(
      declared: { phase, _ in phase == .sendFinished ? .halfClosed : [] },
      waits: { $0.phase == .sendFinished || $0.phase.isClosing ? [$0.input] : [] }),
    watches: { index in index.finishedSending.filter(index.isHeldForLong) },
    find: { $0.finWait2() })
}

extension Claim {
  /// The program has finished sending, and its peers have not.
  fileprivate static let waitsForThePeer = Claim(
    "waits for the peer", needs: [.rows, .age],
    .rare("a timer of the program, which the kernel does not show, may end it", unless: .ledger))
}

extension CensusIndex {
  /// Shut down for sending, and waiting for the peer without a limit. The kernel limits FIN-WAIT-2 only once no
  /// descriptor is open.
  fileprivate func finWait2() -> [Finding] {
    let groups = gather(finishedSending) { index, socket, owner in
      let since = timeInState(index)
      guard isHeldForLong(index), !isMeant(socket, .finWait2Held, owner) else { return nil }
      return (since, 0)
    }
    return groups.map { group in
      let who = who(group)
      let oldest = sockets[group.oldest]
      let isBad =
        group.count >= thresholds.finWait2Many || group.since.lower >= thresholds.finWait2Long.milliseconds
      var finding = Finding(
        .finWait2Held, isBad ? .warning : .info, .waitsForThePeer, count: group.count, who: who, since: group.since,
        sentence: "\(who.name) has finished sending on \(NumberText.noun(group.count, group.key.noun)) "
          + "\(words(group)) whose \(NumberText.verb(group.count, "peer has", "peers have")) not finished: "
          + "the kernel sets no time limit.",
        why: "After shutdown the descriptor stays open, and while it is open the kernel has no time limit. "
          + attention(group),
        facts: [
          .read(.rows, "FIN-WAIT-2, timer off"), .read(.age, "\(group.since)"), ledger(group),
          .read(.otherEnd, words(forOtherEndOf: group.oldest), excludes: false),
        ],
        evidence: [
          .init("state", "FIN-WAIT-2"), .init("timer", "off"),
          .init("\(oldest.detailName)_last_ack_recv", NumberText.milliseconds(oldest.lastAcknowledgementReceived)),
          .init("\(oldest.detailName)_last_data_recv", NumberText.milliseconds(oldest.lastDataReceived)),
          example(group.oldest),
        ],
        sockets: references(group),
        share: share(group.count, of: group.key.owner))
      finding.links = links(group)
      return finding
    }
  }

  /// Whether a connection has been half closed for long, with no timer that would end it.
  fileprivate func isHeldForLong(_ index: Int) -> Bool {
    sockets[index].timer == .off && timeInState(index).lower >= thresholds.finWait2.milliseconds
  }
}
