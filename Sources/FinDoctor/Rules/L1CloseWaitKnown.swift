internal import FinBase

extension FindingID {
  /// The program has read everything, EOF included, and keeps the descriptor open.
  public static let closeWaitKnown = FindingID(code: "L1")
}

extension Rule {
  static let closeWaitKnown = Rule(
    .closeWaitKnown, name: "close-wait-known",
    summary: "The program read all that its peer sent, and keeps the descriptor open.",
    isLeak: true,
    fix: Remedies(
      "Call close() on every path when the exchange is over, and when recv() returns 0. A recv() that returns the last "
        + "data may take the end of file with it, so that no call returns 0: a pool must look (recv with MSG_DONTWAIT, "
        + "or poll) before it uses a connection again, and in between from time to time.",
      in: [
        .python:
          "with sock: … or contextlib.closing around every connection; recv() == b\"\" means close, and so does the "
          + "end of an answer with Connection: close. asyncio: writer.close(), await writer.wait_closed() in finally; "
          + "requests: with Session() as s: …",
        .node:
          "socket.on('end', () => socket.end()), or no allowHalfOpen: true; destroy() the sockets that a pool drops.",
        .java: "try (Socket s = …) { … }; close the response body of every HTTP call; a pool must test on checkout.",
        .go: "defer conn.Close() right after Accept or Dial; defer resp.Body.Close(), and read the body to its end.",
        .swift: "defer { close } on every path, or withConnection { … }, which closes at its end.",
      ],
      programs: [
        "haproxy":
          "Limit how long one half may stay open: timeout client-fin and timeout server-fin; without them timeout "
          + "client and timeout server apply."
      ],
      withFin:
        "withConnection and serve close at the end of their scope; each receive has a deadline; a leak report names "
        + "the line.",
      inFin:
        "When receive has returned nil, close(_:) the connection that was opened there: withConnection and serve do "
        + "so automatically. If the program still answers, declare(.halfClosed, for:)."),
    claims: [.keptAfterClose, .keptAfterFinish, .answersAfterFinish],
    leadsTo: [.inProcess(.oldGeneration), .asLargePart(of: .descriptorLimit)],
    intent: AllowedIntent(
      declared: { phase, _ in phase == .peerFinished ? .halfClosed : [] }, waits: AllowedIntent.output),
    watches: { index in index.closeWait.filter(index.hasReadAll) },
    find: { $0.keptAfterEOF() })
}

extension Claim {
  /// The peers have closed, and the program has read all and keeps the connections.
  fileprivate static let keptAfterClose = Claim(
    "kept after the peer closed", needs: [.rows, .receiveQueue],
    .rare("a peer may have finished sending only, and wait for the answer", unless: .otherEnd),
    .rare("the program may be about to close them", unless: .age))

  /// The peers have finished sending, and the program has read all and keeps the connections.
  fileprivate static let keptAfterFinish = Claim(
    "kept after the peer finished", needs: [.rows, .receiveQueue],
    .rare("a peer may have finished sending only, and wait for the answer", unless: .otherEnd),
    .rare("the program may still work on its answer"))

  /// The program still answers peers that have finished.
  fileprivate static let answersAfterFinish = Claim(
    "answers after the peer finished", needs: [.rows, .receiveQueue, .age],
    .rare("the program may have sent the last bytes just before it forgot the connection"))
}

extension CensusIndex {
  fileprivate func keptAfterEOF() -> [Finding] { closeWaits(.closeWaitKnown, hasReadAll: true).map(kept) }

  private func kept(_ all: CloseWaitGroup) -> Finding {
    let (group, reason) = (all.group, all.reason)
    let who = who(group)
    let (count, name) = (group.count, who.name)
    let isReplying = reason == .replying
    var severity = severity(group, all.growth)
    // The program may not have read EOF yet, a connection that idles in a pool for a short time is not a fault, and
    // neither is an answer that takes a while.
    if reason == .kept || all.end == .held, severity == .warning, isShort(group) { severity = .info }
    let connections = "\(NumberText.noun(count, group.key.noun)) \(words(group))"
    let why =
      switch reason {
      case .replying: "The peer has only finished sending, which is allowed."
      case .kept:
        "All data was read. For MPTCP the kernel does not show whether the end of file was read. " + attention(group)
      default:
        "Recv-Q is 0: everything was read, the end of file too. A recv returned 0, or it took the end of file together "
          + "with the last data; then only another look tells the program. " + attention(group)
      }
    var finding = Finding(
      .closeWaitKnown, isReplying ? .info : severity,
      isReplying ? .answersAfterFinish : all.end == .closed ? .keptAfterClose : .keptAfterFinish,
      count: count, who: who, since: group.since,
      sentence: isReplying
        ? "\(name) still sends on \(connections) whose \(NumberText.verb(count, "peer has", "peers have")) finished."
        : "\(name) keeps \(connections) open \(all.peers)"
          + (all.end == .held
            ? ": a half-close, which TCP allows."
            : reason == .kept ? "." : ": it read all that was sent, and did not close."),
      why: why, facts: closeWaitFacts(all), evidence: closeWaitEvidence(group, all.growth),
      sockets: references(group), share: isReplying ? nil : share(count, of: group.key.owner))
    finding.links = links(group)
    return finding
  }
}
