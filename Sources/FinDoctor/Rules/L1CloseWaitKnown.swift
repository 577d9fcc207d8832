internal import FinBase

extension FindingID {
  /// The program read EOF and keeps the descriptor open.
  public static let closeWaitKnown = FindingID(code: "L1")
}

extension Rule {
  static let closeWaitKnown = Rule(
    .closeWaitKnown, name: "close-wait-known",
    summary: "The program read the end of file and keeps the descriptor open.",
    isLeak: true,
    fix: Remedies(
      "Call close() after recv() has returned 0, on every path. In a pool, drop a connection that returns the end "
        + "of file.",
      in: [
        .python:
          "with sock: … or contextlib.closing around every connection: recv() == b\"\" means close. asyncio: "
          + "writer.close() and await writer.wait_closed() in finally.",
        .node:
          "socket.on('end', () => socket.end()), or no allowHalfOpen: true; destroy() the sockets that a pool drops.",
        .java: "try (Socket s = …) { … }; close the response body of every HTTP call; a pool must test on checkout.",
        .go: "defer conn.Close() right after Accept or Dial; defer resp.Body.Close(), and read the body to its end.",
        .swift: "defer { close } on every path, or withConnection { … }, which closes at its end.",
      ],
      withFin:
        "withConnection and serve close at the end of their scope; each receive has a deadline; a leak report names "
        + "the line.",
      inFin:
        "When receive has returned nil, close(_:) the connection that was opened there: withConnection and serve do "
        + "so automatically. If the program still answers, declare(.halfClosed, for:)."),
    leadsTo: [.asLargePart(of: .descriptorLimit)],
    intent: AllowedIntent(
      declared: { phase, _ in phase == .peerFinished ? .halfClosed : [] }, waits: AllowedIntent.output),
    watches: { index in index.closeWait.filter(index.hasReadAll) },
    find: { $0.keptAfterEOF() })
}

extension CensusIndex {
  fileprivate func keptAfterEOF() -> [Finding] {
    closeWaits(.closeWaitKnown, hasReadAll: true).map { known($0.group, $0.reason, $0.growth) }
  }

  private func known(_ group: Group, _ reason: CloseWaitReason, _ growth: Growth) -> Finding {
    let who = who(group)
    let (count, name) = (group.count, who.name)
    let isReplying = reason == .replying
    var severity = severity(group, growth)
    // The program may not have read EOF yet, and a connection that idles in a pool for a short time is not a fault.
    if reason == .kept, severity == .warning, isShort(group) { severity = .info }
    let what =
      "\(name) keeps \(NumberText.noun(count, group.key.noun)) \(group.key.place.words) open that "
      + "\(NumberText.verb(count, "its peer", "their peers")) closed"
    let why =
      switch reason {
      case .replying: "The peer has only finished sending, which is allowed."
      case .kept:
        "All data was read. For MPTCP the kernel does not show whether the end of file was read. " + attention(group)
      default: "Recv-Q is 0: the end of file was read, so the program knows. " + attention(group)
      }
    var finding = Finding(
      .closeWaitKnown, isReplying ? .info : severity, count: count, who: who, since: group.since,
      sentence: isReplying
        ? "\(name) still sends on \(NumberText.noun(count, group.key.noun)) \(group.key.place.words) whose "
          + "\(NumberText.verb(count, "peer has", "peers have")) finished."
        : what + (reason == .kept ? "." : ": it read the end of file, and did not close."),
      why: why, evidence: closeWaitEvidence(group, growth),
      confidence: isReplying
        ? .likely("the program may have sent the last bytes just before it forgot the connection") : .certain,
      share: isReplying ? nil : share(count, of: group.key.owner))
    finding.links = links(group)
    return finding
  }
}
