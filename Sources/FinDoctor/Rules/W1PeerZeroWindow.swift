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
    find: { $0.peerZeroWindows() })
}

extension CensusIndex {
  /// The peer's window is closed, and we have data to send.
  fileprivate func peerZeroWindows() -> [Finding] {
    let held = closedWindow.filter { sockets[multipath.owner(ofPath: $0) ?? $0].inode != 0 }
    let groups = gather(held) { _, socket, _ in
      let since = AgeBounds.peerWindowClosed(socket)
      guard since.lower >= thresholds.window.milliseconds else { return nil }
      // Kind 0: the peer answers the probes. Kind 1: it does not.
      return (since, (socket.info.probes ?? 0) == 0 || socket.timer != .persist ? 0 : 1)
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
        .peerZeroWindow, severity, count: group.count, who: who, since: group.since,
        sentence:
          "\(who.name) cannot send on \(NumberText.noun(group.count, "connection")) \(group.key.place.words): the "
          + "peer does not read. \(NumberText.bytes(queued)) wait in this machine's memory.",
        why: isSilent
          ? "The window is closed and the probes are not answered: the peer's machine, or the path to it, is gone."
          : "The window is closed and the peer's machine answers: its program does not read. " + attention(group),
        evidence: [
          .init("tcpi_snd_wnd", "0"), .init("timer", oldest.timer.description),
          .init("Send-Q", "\(oldest.sendQueue)"), .init("tcpi_probes", "\(oldest.info.probes ?? 0)"),
          .init("tcpi_last_data_sent", NumberText.milliseconds(oldest.info.lastDataSent)),
          .init(
            "tcpi_rwnd_limited", oldest.info.windowLimitedTime.map { NumberText.number($0 / 1000) + " ms" } ?? "unknown"
          ),
          example(group.oldest),
        ],
        share: share)
      finding.links = links(group)
      return finding
    }
  }
}
