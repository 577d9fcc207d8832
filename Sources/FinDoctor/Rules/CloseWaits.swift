/// Connections that the peer has closed and the program keeps open, for L1 and L2.
extension CensusIndex {
  /// The reason why a connection is still in CLOSE-WAIT, as far as it shows from outside.
  enum CloseWaitReason: UInt8 {
    case known = 1
    case replying, kept, forgotten, masked, watched, blocked, unseen

    /// Whether all received data was read.
    var hasReadAll: Bool { rawValue <= Self.kept.rawValue }
  }

  /// A group of L1 or L2, with the reason and the condition of the other end that its members share.
  struct CloseWaitGroup {
    var group: Group
    var reason: CloseWaitReason
    var end: OtherEnd
    var growth: Growth

    /// The peers and their last act, as far as it is known: a FIN alone tells that a peer sends nothing more, and not
    /// that it reads nothing more.
    var peers: String {
      let count = group.count
      return end == .closed
        ? "that \(NumberText.verb(count, "its peer", "their peers")) closed"
        : "whose \(NumberText.verb(count, "peer has", "peers have")) finished sending"
          + (end == .held ? " and still \(NumberText.verb(count, "receives", "receive"))" : "")
    }
  }

  /// Whether all that was received has been read, for TCP with the end of file.
  func hasReadAll(_ index: Int) -> Bool { census.sockets[index].receiveQueue == 0 }

  private func reason(_ index: Int, _ socket: InetSocket) -> CloseWaitReason {
    if hasReadAll(index) {
      if isReplying(socket) { return .replying }
      // MPTCP's queue counts data only, so it does not show whether EOF was read.
      return socket.transport == .mptcp ? .kept : .known
    }
    switch watchers(of: socket.inode).first?.way ?? .unknown {
    case .unknown: return .unseen
    case .unattended: return .forgotten
    case .blocked: return .blocked
    case .epoll(_, let mask): return mask & 0x2001 == 0 ? .masked : .watched
    case .ring: return .unseen
    }
  }

  /// Whether the program is still sending its answer to a peer that has only finished its request.
  private func isReplying(_ socket: InetSocket) -> Bool {
    // If no data was ever sent, `lastDataSent` is the time of the handshake.
    guard let sent = socket.lastDataSent, let received = socket.lastDataReceived, socket.bytesSent != 0 else {
      return false
    }
    return sent < received && UInt64(sent) < thresholds.activity.milliseconds
  }

  /// The connections that the peer has closed: those that were read to the end (L1), or the others (L2).
  func closeWaits(_ id: FindingID, hasReadAll: Bool) -> [CloseWaitGroup] {
    let groups = gather(closeWait) { index, socket, owner in
      // The program has already sent its FIN, so the kernel ends the connection.
      guard self.hasReadAll(index) == hasReadAll, socket.hasFinishedSending != true else { return nil }
      let since = timeInState(index)
      guard since.lower >= thresholds.closeWait.milliseconds, !isMeant(socket, id, owner) else { return nil }
      return (since, reason(index, socket).rawValue | condition(ofOtherEndOf: index).rawValue << 4)
    }
    return groups.compactMap { group in
      guard let reason = CloseWaitReason(rawValue: group.key.kind & 0xf),
        let end = OtherEnd(rawValue: group.key.kind >> 4)
      else { return nil }
      let growth = Growth(before.map { $0.count(like: group, hasReadAll: hasReadAll) }, group.count)
      return CloseWaitGroup(group: group, reason: reason, end: end, growth: growth)
    }
  }

  func isShort(_ group: Group) -> Bool { group.since.lower < thresholds.closeWaitLong.milliseconds }

  func severity(_ group: Group, _ growth: Growth) -> Severity {
    if let share = share(group.count, of: group.key.owner), share > thresholds.leakShare { return .critical }
    if group.count >= thresholds.closeWaitMany, growth.isSteady { return .critical }
    return group.count >= thresholds.closeWaitMany || group.since.lower >= thresholds.closeWaitLong.milliseconds
      ? .warning : .info
  }

  /// Counts the sockets of this census that would belong to `group`, a group of a later census. They must have the same
  /// minimum age as the members there.
  private func count(like group: Group, hasReadAll: Bool) -> Int {
    closeWait.count { index in
      let socket = sockets[index]
      return (socket.transport == .mptcp) == group.key.isMultipath && socket.hasFinishedSending != true
        && self.hasReadAll(index) == hasReadAll && timeInState(index).lower >= thresholds.closeWait.milliseconds
        && census.holders.first(of: socket.inode)?.pid ?? 0 == group.key.owner.pid
        && isAt(group.key.place, socket)
    }
  }

  /// The facts of L1 and L2.
  func closeWaitFacts(_ all: CloseWaitGroup) -> [Finding.Reading] {
    let oldest = sockets[all.group.oldest]
    return [
      .read(.rows, "CLOSE-WAIT"), .read(.receiveQueue, "\(oldest.receiveQueue)"),
      .read(.otherEnd, words(forOtherEndOf: all.group.oldest), excludes: all.end == .closed),
      .read(.age, "\(all.group.since)", excludes: all.group.since.lower >= thresholds.activity.milliseconds),
      watched(all.group.oldest),
    ]
  }

  func closeWaitEvidence(_ group: Group, _ growth: Growth) -> [Finding.Evidence] {
    let oldest = sockets[group.oldest]
    var all: [Finding.Evidence] = [
      .init("state", "CLOSE-WAIT"), .init("Recv-Q", "\(oldest.receiveQueue)"),
      .init("\(oldest.detailName)_last_ack_recv", NumberText.milliseconds(oldest.lastAcknowledgementReceived)),
      .init("\(oldest.detailName)_last_data_recv", NumberText.milliseconds(oldest.lastDataReceived)),
      .init("\(oldest.detailName)_last_data_sent", NumberText.milliseconds(oldest.lastDataSent)),
    ]
    if group.key.isMultipath { all.append(.init("subflows", "\(multipath.paths(of: group.oldest).count)")) }
    all += growth.evidence
    all.append(example(group.oldest))
    return all
  }
}
