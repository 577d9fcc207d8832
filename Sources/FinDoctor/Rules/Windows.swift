/// W1 and W2: data does not move because one side does not read.
extension CensusIndex {
  /// W1: the peer's window is closed, and we have data to send.
  func peerZeroWindows() -> [Finding] {
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

  func mostToOnePeer(_ group: Group) -> Int {
    var counts: [AddressBits: Int] = [:]
    for index in group.members { counts[sockets[index].remoteBits, default: 0] += 1 }
    return counts.values.max() ?? 0
  }

  /// W2: unread data fills our receive buffer until the peer may send no more.
  func unread() -> [Finding] {
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
        .unread, severity, count: group.count, who: who, since: group.since,
        sentence: "\(who.name) does not read from \(NumberText.noun(group.count, group.key.noun)) "
          + "\(group.key.place.words): \(NumberText.bytes(bytes)) "
          + "\(group.key.isMultipath ? "of memory " : "")wait, and "
          + (isClosed ? "the window is closed." : "the buffer is nearly full."),
        why: attention(group),
        evidence: [
          .init("tcpi_rcv_wnd", window.map { "\($0)" } ?? "unknown"),
          .init("Recv-Q", "\(oldest.receiveQueue)"),
          .init("SO_RCVBUF", oldest.memory.receiveLimit.map { "\($0)" } ?? "unknown"),
          .init("\(oldest.detailName)_last_data_recv", NumberText.milliseconds(oldest.lastDataReceived)),
          example(group.oldest),
        ],
        confidence: .likely("a program may pause a peer on purpose"))
      finding.links = links(group)
      return finding
    }
  }
}
