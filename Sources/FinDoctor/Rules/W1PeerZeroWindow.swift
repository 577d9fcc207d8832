extension FindingID {
  /// The peer does not read.
  public static let peerZeroWindow = FindingID(code: "W1")
}

extension Rule {
  static let peerZeroWindow = Rule(
    .peerZeroWindow, name: "peer-zero-window", summary: "The peer does not read what the program sends.",
    fix: Remedies(
      "Give every send a deadline (SO_SNDTIMEO, or a timer), limit the queue for each peer, drop slow peers. "
        + "TCP_USER_TIMEOUT ends such a connection.",
      in: [
        .python: "sock.settimeout(seconds); asyncio: await wait_for(writer.drain(), seconds), then abort().",
        .node: "Stop when write() returns false, wait for 'drain' with a limit, then destroy().",
        .go: "conn.SetWriteDeadline(…) before every Write.",
        .java: "A write that can wait needs a watchdog that closes the channel; setSoTimeout is for reads only.",
      ],
      withFin: "send(within:) gives up in time, and the close that follows has a time limit."),
    claims: [.windowClosed, .windowClosedAndSilent],
    watches: { index in index.closedWindow.filter(index.hasClosedWindowForLong) },
    find: { $0.peerZeroWindows() })
}

extension Claim {
  /// The peer's window is closed, and the peer's kernel answers.
  fileprivate static let windowClosed = Claim(
    "window closed", needs: [.rows, .window, .age],
    .rare("the peer's kernel may not answer", unless: .window),
    .rare("the peer's machine may lack memory, or something on the way may hold the data up", unless: .otherEnd))

  /// The peer's window is closed, and the probes have no answer.
  fileprivate static let windowClosedAndSilent = Claim(
    "window closed, no answer", needs: [.rows, .window, .age],
    .rare("an answer may be on its way, and a short outage looks the same until it ends"))
}

extension CensusIndex {
  /// The peer's window is closed, and we have data to send.
  fileprivate func peerZeroWindows() -> [Finding] {
    let held = closedWindow.filter { sockets[multipath.owner(ofPath: $0) ?? $0].inode != 0 }
    let groups = gather(held) { index, socket, _ in
      let since = AgeBounds.peerWindowClosed(socket)
      guard hasClosedWindowForLong(index) else { return nil }
      // Kind 0: the peer answers the probes. Kind 1: it does not; a single probe may be on its way.
      return (since, (socket.info.probes ?? 0) <= 1 || socket.timer != .persist ? 0 : 1)
    }
    // The third value of `tcp_mem`, the machine's limit above which TCP refuses memory.
    let memory = census.namespaces.lazy.compactMap { $0.limits.memoryPages.dropFirst(2).first }.first
    return groups.map { group in
      let who = who(group)
      let queued = group.members.reduce(UInt64(0)) { $0 + UInt64(sockets[$1].memory.queued ?? sockets[$1].sendQueue) }
      let share = memory.map { Double(queued) / (Double(max($0, 1)) * 4096) }
      var severity = group.since.lower >= thresholds.windowLong.milliseconds ? Severity.warning : .info
      if mostToOnePeer(group) >= thresholds.windowMany || share ?? 0 > thresholds.windowMemory { severity = .critical }
      let isSilent = group.key.kind == 1
      let oldest = sockets[group.oldest]
      var finding = Finding(
        .peerZeroWindow, severity, isSilent ? .windowClosedAndSilent : .windowClosed, count: group.count, who: who,
        since: group.since,
        sentence:
          "\(who.name) cannot send on \(NumberText.noun(group.count, "connection")) \(words(group)): the "
          + (isSilent ? "peer's window was closed, and the peer no longer answers. " : "peer does not read. ")
          + "\(NumberText.bytes(queued)) wait in this machine's memory.",
        why: isSilent
          ? "The window is closed and the probes are not answered: the peer's machine, or the path to it, is gone. "
            + attention(group, due: .room)
          : "The window is closed and the peer's machine answers: its program does not read. "
            + attention(group, due: .room),
        facts: [
          .read(.rows, "Send-Q \(oldest.sendQueue), timer \(oldest.timer)"),
          .read(
            .window, "0, \(NumberText.noun(Int(oldest.info.probes ?? 0), "probe")) unanswered",
            excludes: answeredWindow(group.oldest).excludes),
          .read(.age, "\(group.since)"), unreadAtOtherEnd(group.oldest),
        ],
        evidence: [
          .init("tcpi_snd_wnd", "0"), .init("timer", oldest.timer.description),
          .init("Send-Q", "\(oldest.sendQueue)"), .init("tcpi_probes", "\(oldest.info.probes ?? 0)"),
          .init("tcpi_last_data_sent", NumberText.milliseconds(oldest.info.lastDataSent)),
          .init(
            "tcpi_rwnd_limited", oldest.info.windowLimitedTime.map { NumberText.number($0 / 1000) + " ms" } ?? "unknown"
          ),
          example(group.oldest),
        ],
        sockets: references(group),
        share: share)
      finding.links = links(group)
      return finding
    }
  }

  /// Whether the peer's window has been closed for long.
  fileprivate func hasClosedWindowForLong(_ index: Int) -> Bool {
    AgeBounds.peerWindowClosed(sockets[index]).lower >= thresholds.window.milliseconds
  }

  /// The reading that the peer's kernel answers the probes of its closed window.
  func answeredWindow(_ index: Int) -> Finding.Reading {
    .holds(
      .window, "closed, and probes are answered",
      sockets[index].info.sendWindow == 0 && sockets[index].timer == .persist && (sockets[index].info.probes ?? 1) == 0)
  }

  /// The reading that the other end is on this machine, with data that its program has not read.
  private func unreadAtOtherEnd(_ index: Int) -> Finding.Reading {
    let unread = otherEnd(of: index).map { sockets[$0].receiveQueue } ?? 0
    return .read(.otherEnd, words(forOtherEndOf: index), excludes: unread > 0)
  }
}
