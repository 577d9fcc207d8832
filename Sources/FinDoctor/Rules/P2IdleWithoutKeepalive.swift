internal import FinBase

extension FindingID {
  /// Idle connections without keepalive, so that a lost peer is never detected.
  public static let idleWithoutKeepalive = FindingID(code: "P2")
}

extension Rule {
  static let idleWithoutKeepalive = Rule(
    .idleWithoutKeepalive, name: "idle-no-keepalive",
    summary: "Idle connections without keepalive, so that a lost peer is never detected.",
    fix: Remedies(
      "Set SO_KEEPALIVE with TCP_KEEPIDLE 60, TCP_KEEPINTVL 10, TCP_KEEPCNT 6; or use a ping of the protocol, or an "
        + "idle limit in the server.",
      in: [
        .python: "sock.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1) and TCP_KEEPIDLE 60, TCP_KEEPINTVL 10, TCP_KEEPCNT 6.",
        .node: "socket.setKeepAlive(true, 60_000), or server.keepAliveTimeout.",
        .go: "net.Dialer{KeepAliveConfig: …}; http.Server{IdleTimeout: …}.",
        .java: "setOption(SO_KEEPALIVE, true) and ExtendedSocketOptions.TCP_KEEPIDLE.",
      ],
      withFin: "receive(within:) ends an idle connection; serve has a limit for idle ones.",
      inFin:
        "set(.keepAlive, to:), or receive(within:) and close(_:) a connection that stays quiet; if it is quiet by "
        + "design, declare(.idle, for:)."),
    claims: [.idleWithoutProbe],
    intent: AllowedIntent(
      declared: { phase, _ in phase == .connected ? [.idle, .pooled] : [] }, waits: { [$0.input, $0.output] }),
    find: { $0.idle() })
}

extension Claim {
  /// Nothing is in flight, and nothing would be.
  fileprivate static let idleWithoutProbe = Claim(
    "idle without a probe", needs: [.rows, .age],
    .rare("a program that sends something from time to time would notice"))
}

extension CensusIndex {
  /// Nothing is in flight, so a lost peer would never be noticed.
  fileprivate func idle() -> [Finding] {
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
        .idleWithoutKeepalive, isBad ? .warning : .info, .idleWithoutProbe, count: group.count, who: who,
        since: group.since,
        sentence: "\(who.name) has \(NumberText.noun(group.count, "idle \(group.key.noun)")) \(words(group)) "
          + "without keepalive: a program that only waits never notices that a peer is gone.",
        why: "No timer runs, so the kernel sends nothing; routers and balancers forget idle connections after minutes.",
        facts: [.read(.rows, "ESTABLISHED, timer off"), .read(.age, "\(group.since)")],
        evidence: [
          .init("timer", "off"),
          .init("\(oldest.detailName)_last_data_sent", NumberText.milliseconds(oldest.lastDataSent)),
          .init("\(oldest.detailName)_last_data_recv", NumberText.milliseconds(oldest.lastDataReceived)),
          example(group.oldest),
        ],
        sockets: references(group))
    }
  }
}
