internal import FinBase

extension FindingID {
  /// The peer has closed, and the program has not read EOF.
  public static let closeWaitUnseen = FindingID(code: "L2")
}

extension Rule {
  static let closeWaitUnseen = Rule(
    .closeWaitUnseen, name: "close-wait-unseen",
    summary: "The peer has closed, and the program has not read the end of file.",
    isLeak: true,
    fix: Remedies(
      "Watch idle connections too: EPOLLIN or EPOLLRDHUP in the epoll mask, or a read that is pending; close when "
        + "recv() returns 0. A pool must look at a connection (recv with MSG_DONTWAIT, or poll) before handing it out. "
        + "A thread that works for long needs a deadline.",
      in: [
        .python:
          "Read from idle connections too (select, asyncio streams), with a timeout on every call that can wait; a "
          + "pool must check for readability before it hands one out.",
        .node: "A paused socket gets no events: resume() it, or socket.setTimeout(ms, () => destroy()).",
        .java:
          "Selector interest must have OP_READ while idle; a pool needs a validation or an idle limit below the "
          + "server's.",
        .go:
          "net/http: defer resp.Body.Close(), and read the body to its end; until then its connection is not read. "
          + "Else keep a goroutine in Read for each connection; set MaxIdleConns and IdleConnTimeout.",
      ],
      withFin:
        "withConnection and serve close at the end of their scope; each receive has a deadline; a leak report names "
        + "the line.",
      inFin:
        "Receive from the connection that was opened there, or close(_:) it. In a pool that checks a connection "
        + "before it hands it out, declare(.pooled, for:); for an intended pause, declare(.readPaused, for:)."),
    claims: [.endUnread],
    leadsTo: [.inProcess(.oldGeneration), .asLargePart(of: .descriptorLimit), .atOtherEnd(.peerZeroWindow, rank: 1)],
    intent: AllowedIntent(
      declared: { phase, socket in
        switch phase {
        // A pooled connection is not read, so an unread EOF is expected there; unread data is not.
        case .connected: socket.receiveQueue == 1 ? [.readPaused, .pooled] : .readPaused
        case .sendFinished: .readPaused
        default: []
        }
      }, waits: AllowedIntent.output),
    watches: { index in index.closeWait.filter { !index.hasReadAll($0) } },
    find: { $0.unseenEOF() })
}

extension Claim {
  /// The program has not read the end of file.
  fileprivate static let endUnread = Claim(
    "end of file unread", needs: [.rows, .receiveQueue],
    .rare("the program may be about to read it", unless: .age),
    .common("its epoll sets and threads could not be read, so the cause is unknown", unless: .watchers))
}

extension CensusIndex {
  fileprivate func unseenEOF() -> [Finding] { closeWaits(.closeWaitUnseen, hasReadAll: false).map(unseen) }

  private func unseen(_ all: CloseWaitGroup) -> Finding {
    let (group, growth) = (all.group, all.growth)
    let who = who(group)
    let count = group.count
    let oldest = sockets[group.oldest]
    let hasData = group.members.contains { sockets[$0].receiveQueue > 1 }
    var severity = severity(group, growth)
    // A connection that idles in a pool for a short time is not a fault.
    if !hasData, severity == .warning, isShort(group) { severity = .info }
    if group.members.contains(where: isFull) { severity = .critical }
    var finding = Finding(
      .closeWaitUnseen, severity, .endUnread, count: count, who: who, since: group.since,
      sentence: "\(who.name) has \(NumberText.noun(count, group.key.noun)) \(words(group)) \(all.peers), "
        + "and has not read the end of file"
        + (hasData ? " or the data before it." : "."),
      why: (hasData
        ? "Recv-Q is above \(group.key.isMultipath ? 0 : 1): data is unread too. "
        : "Recv-Q is 1: only the end of file is unread. ")
        + attention(group),
      facts: closeWaitFacts(all), evidence: closeWaitEvidence(group, growth), sockets: references(group),
      share: share(count, of: group.key.owner))
    finding.links = links(group)
    if hasData, !group.key.isMultipath {
      finding.evidence.append(
        .init("unread", NumberText.bytes(UInt64(oldest.receiveQueue - min(oldest.receiveQueue, 1)))))
    }
    return finding
  }
}
