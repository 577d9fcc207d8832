internal import FinBase

extension FindingID {
  /// The program does not read.
  public static let unread = FindingID(code: "W2")
}

extension Rule {
  static let unread = Rule(
    .unread, name: "we-do-not-read", summary: "The program does not read what the peer sends.",
    fix: Remedies(
      "Read, or close. An object that is dropped without close() keeps its peer waiting.",
      withFin: "A connection that is dropped is closed; receive has a deadline.",
      inFin:
        "Receive from the connection that was opened there, or close(_:) it; for an intended pause, "
        + "declare(.readPaused, for:)."),
    claims: [.leavesUnread],
    leadsTo: [.withSamePeers(.closeWaitUnseen), .atOtherEnd(.peerZeroWindow, rank: 1), .atOtherEnd(.orphans, rank: 2)],
    intent: AllowedIntent(
      declared: { phase, _ in phase == .connected || phase == .sendFinished ? .readPaused : [] },
      waits: AllowedIntent.output),
    watches: \.full,
    find: { $0.unread() })
}

extension Claim {
  /// The program leaves data unread until the peer may send no more.
  fileprivate static let leavesUnread = Claim(
    "leaves data unread", needs: [.rows, .receiveQueue, .age], .rare("a program may pause a peer on purpose"))
}

extension CensusIndex {
  /// Unread data fills our receive buffer until the peer may send no more.
  fileprivate func unread() -> [Finding] {
    let groups = gather(full) { _, socket, owner in
      guard let received = socket.lastDataReceived else { return nil }
      let since = AgeBounds.ticking(atLeast: UInt64(received), atMost: nil)
      guard since.lower >= thresholds.window.milliseconds, !isMeant(socket, .unread, owner) else { return nil }
      return (since, 0)
    }
    return groups.map { group in
      let who = who(group)
      let oldest = sockets[group.oldest]
      let bytes = group.members.reduce(UInt64(0)) { $0 + UInt64(sockets[$1].receiveQueue) }
      var severity = group.since.lower >= thresholds.windowLong.milliseconds ? Severity.warning : .info
      // The peer has given up waiting for an answer, and its request was never read.
      if group.members.contains(where: { sockets[$0].state == .closeWait }) { severity = .critical }
      let window =
        ([oldest] + multipath.paths(of: group.oldest).map { sockets[$0] }).compactMap(\.info.receiveWindow).min()
      let isClosed = window == 0
      var finding = Finding(
        .unread, severity, .leavesUnread, count: group.count, who: who, since: group.since,
        sentence: "\(who.name) does not read from \(NumberText.noun(group.count, group.key.noun)) "
          + "\(words(group)): \(NumberText.bytes(bytes)) "
          + "\(group.key.isMultipath ? "of memory " : "")wait, and "
          + (isClosed ? "the window is closed." : "the buffer is nearly full."),
        why: attention(group),
        facts: [
          .read(.rows, oldest.state.description), .read(.receiveQueue, "\(oldest.receiveQueue)"),
          .read(.age, "\(group.since)"), watched(group.oldest),
        ],
        evidence: [
          .init("tcpi_rcv_wnd", window.map { "\($0)" } ?? "unknown"),
          .init("Recv-Q", "\(oldest.receiveQueue)"),
          .init("SO_RCVBUF", oldest.memory.receiveLimit.map { "\($0)" } ?? "unknown"),
          .init("\(oldest.detailName)_last_data_recv", NumberText.milliseconds(oldest.lastDataReceived)),
          example(group.oldest),
        ],
        sockets: references(group))
      finding.links = links(group)
      return finding
    }
  }
}
