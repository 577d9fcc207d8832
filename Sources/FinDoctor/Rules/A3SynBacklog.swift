extension FindingID {
  /// Unfinished handshakes pile up.
  public static let synBacklog = FindingID(code: "A3")
}

extension Rule {
  static let synBacklog = Rule(
    .synBacklog, name: "syn-backlog", summary: "Unfinished handshakes pile up.",
    fix: Remedies(
      "Check the network path back to the peers; against a flood, use tcp_syncookies and a packet filter.",
      withFin: "Nothing: this happens below any library."),
    claims: [.handshakesUnfinished],
    find: { $0.synBacklogs() })
}

extension Claim {
  /// Peers have not finished many handshakes.
  fileprivate static let handshakesUnfinished = Claim(
    "handshakes unfinished", needs: [.rows, .tries], .rare("a port scan looks the same"))
}

extension CensusIndex {
  /// Handshakes that the listener has answered and the peer has not finished.
  fileprivate func synBacklogs() -> [Finding] {
    var members: [PortOfNamespace: [Int]] = [:]
    for index in handshaking {
      let port = PortOfNamespace(namespace: sockets[index].namespace, port: sockets[index].localPort)
      members[port, default: []].append(index)
    }
    let cookies = increase(of: "TcpExt.TCPReqQFullDoCookies") + increase(of: "TcpExt.TCPReqQFullDrop")
    return members.sorted { $0.key.port < $1.key.port }.compactMap { synBacklog($0.key, $0.value, cookies: cookies) }
  }

  private func synBacklog(_ port: PortOfNamespace, _ all: [Int], cookies: Int64) -> Finding? {
    let repeated = all.count { sockets[$0].retransmits > 0 }
    let listener = listeners(accepting: sockets[all[0]]).first
    let limit = listener.map { Int(sockets[$0].sendQueue) } ?? limits(of: sockets[all[0]]).synBacklog
    let share = limit.map { Double(all.count) / Double(max($0, 1)) }
    // A retransmitted SYN-ACK tells a handshake that is stuck from one that is under way.
    guard repeated > 0, share ?? 0 > thresholds.synBacklog || cookies > 0 else { return nil }
    let who: ProcessOwner? = listener.map { self.who(ofListener: $0) }
    let oldest = all.max { sockets[$0].retransmits < sockets[$1].retransmits } ?? all[0]
    var finding = Finding(
      .synBacklog, .warning, .handshakesUnfinished, count: all.count, who: who, since: timeInState(oldest),
      sentence: "The peers have not finished \(NumberText.noun(all.count, "handshake")) on local port \(port.port)"
        + (who.map { " of \($0.name)" } ?? "") + (limit.map { "; the limit is \($0)." } ?? "."),
      why: "Either a sender floods the listener with SYNs, or our answers do not reach the peers.",
      facts: [.read(.rows, "SYN-RECEIVED"), .read(.tries, "answers sent again to \(repeated) of \(all.count)")],
      evidence: [
        .init("state", "SYN-RECEIVED"), .init("answers sent again", "to \(repeated) of \(all.count)"),
        .init("TCPReqQFull", cookies > 0 ? "growing by \(cookies)" : "not growing"), example(oldest),
      ],
      sockets: (listener.map { [.inet($0)] } ?? []) + all.map { .inet($0) }, share: share.map { min($0, 1) })
    if let listener { finding.links = links(to: listener) }
    return finding
  }
}
