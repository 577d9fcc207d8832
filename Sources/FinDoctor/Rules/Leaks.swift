/// L1, L2 and L4: descriptors that a program keeps and does not need.
extension CensusIndex {
  /// The reason why a connection is still in CLOSE-WAIT, as far as it shows from outside.
  private enum Reason: UInt8 {
    case known = 1
    case replying, kept, forgotten, masked, watched, blocked, unseen

    /// Whether all received data was read.
    var hasReadAll: Bool { rawValue <= Self.kept.rawValue }
  }

  private func reason(_ socket: InetSocket, _ owner: OwnerKey) -> Reason {
    let watch = watch(socket, owner)
    if socket.receiveQueue == 0 {
      if isReplying(socket) { return .replying }
      // MPTCP's queue counts data only, so it does not show whether EOF was read.
      return socket.transport == .mptcp ? .kept : .known
    }
    switch watch {
    case .unknown: return .unseen
    case .unattended: return .forgotten
    case .blocked: return .blocked
    case .epoll(_, let mask): return mask & 0x2001 == 0 ? .masked : .watched
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

  /// L1 and L2: the peer has closed, and the program keeps its end open.
  func closeWaits() -> [Finding] {
    let groups = closeWaitGroups()
    if groups.isEmpty { return [] }
    let before = options.before.map { CensusIndex($0, options) }
    return groups.compactMap { group in
      guard let reason = Reason(rawValue: group.key.kind) else { return nil }
      let growth = Growth(before.map { $0.count(like: group, hasReadAll: reason.hasReadAll) }, group.count)
      return reason.hasReadAll ? known(group, reason, growth) : unseen(group, reason, growth)
    }
  }

  private func closeWaitGroups() -> [Group] {
    gather(closeWait) { index, socket, owner in
      // The program has already sent its FIN, so the kernel ends the connection.
      guard socket.hasFinishedSending != true else { return nil }
      let since = timeInState(index)
      guard since.lower >= thresholds.closeWait.milliseconds,
        !isMeant(socket, socket.receiveQueue == 0 ? .closeWaitKnown : .closeWaitUnseen, owner)
      else { return nil }
      return (since, reason(socket, owner).rawValue)
    }
  }

  private func known(_ group: Group, _ reason: Reason, _ growth: Growth) -> Finding {
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

  private func unseen(_ group: Group, _ reason: Reason, _ growth: Growth) -> Finding {
    let who = who(group)
    let count = group.count
    let oldest = sockets[group.oldest]
    let hasData = group.members.contains { sockets[$0].receiveQueue > 1 }
    var severity = severity(group, growth)
    // A connection that idles in a pool for a short time is not a fault.
    if !hasData, severity == .warning, isShort(group) { severity = .info }
    if group.members.contains(where: isFull) { severity = .critical }
    var finding = Finding(
      .closeWaitUnseen, severity, count: count, who: who, since: group.since,
      sentence: "\(who.name) has \(NumberText.noun(count, group.key.noun)) \(group.key.place.words) that "
        + "\(NumberText.verb(count, "its peer", "their peers")) closed, and has not read the end of file"
        + (hasData ? " or the data before it." : "."),
      why: (hasData
        ? "Recv-Q is above \(group.key.isMultipath ? 0 : 1): data is unread too. "
        : "Recv-Q is 1: only the end of file is unread. ")
        + attention(group),
      evidence: closeWaitEvidence(group, growth),
      confidence: reason == .unseen
        ? .possible("its epoll sets and threads could not be read, so the cause is unknown")
        : .certain,
      share: share(count, of: group.key.owner))
    finding.links = links(group)
    if hasData, !group.key.isMultipath {
      finding.evidence.append(
        .init("unread", NumberText.bytes(UInt64(oldest.receiveQueue - min(oldest.receiveQueue, 1)))))
    }
    return finding
  }

  private func isShort(_ group: Group) -> Bool { group.since.lower < thresholds.closeWaitLong.milliseconds }

  private func severity(_ group: Group, _ growth: Growth) -> Severity {
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
        && (socket.receiveQueue == 0) == hasReadAll && timeInState(index).lower >= thresholds.closeWait.milliseconds
        && census.holders.first(of: socket.inode)?.pid ?? 0 == group.key.owner.pid
        && (group.key.place.isPeer ? remote(of: socket) : local(of: socket)) == group.key.place
    }
  }

  private func closeWaitEvidence(_ group: Group, _ growth: Growth) -> [Finding.Evidence] {
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

  /// L4: processes that are close to their limit of descriptors.
  func descriptorLimits() -> [Finding] {
    var socketCounts: [Int32: Int] = [:]
    var found: [Finding] = []
    for process in census.holders.processes {
      guard let count = process.descriptorCount.map(Int.init), let limit = descriptorLimit(of: process.pid), limit > 0
      else { continue }
      let share = Double(count) / limit
      let forecast = forecast(process.pid, count, limit)
      let isSoon = forecast.map { $0.left < thresholds.descriptorSoon } ?? false
      guard share >= thresholds.descriptorWarning || isSoon else { continue }
      if socketCounts.isEmpty { for holder in census.holders.entries { socketCounts[holder.pid, default: 0] += 1 } }
      let who = who(OwnerKey(pid: process.pid))
      var evidence: [Finding.Evidence] = [
        .init("descriptors", "\(NumberText.number(count)) of \(NumberText.number(Int(limit)))")
      ]
      // Every user may read the number of descriptors; what they are may be unreadable.
      let sockets = process.isReadable ? NumberText.number(socketCounts[process.pid] ?? 0) : "unknown"
      evidence.append(.init("sockets among them", sockets))
      var why: String?
      if let forecast {
        let left = AgeBounds(atLeast: forecast.left.milliseconds, atMost: forecast.left.milliseconds)
        evidence.append(.init("growth", "\(NumberText.number(forecast.more)) in \(forecast.time)"))
        why = "At this rate the limit is reached in \(left)."
      }
      found.append(
        Finding(
          .descriptorLimit, share >= thresholds.descriptorCritical || isSoon ? .critical : .warning, count: count,
          who: who,
          sentence: "\(who.name) has \(NumberText.number(count)) of \(NumberText.number(Int(limit))) descriptors open "
            + "(\(NumberText.percent(share))): at the limit, accept, socket and open fail with EMFILE.",
          why: why, evidence: evidence, share: share))
    }
    return found
  }

  /// The time until the limit is reached, extrapolated from two censuses.
  private func forecast(_ pid: Int32, _ count: Int, _ limit: Double) -> (more: Int, time: AgeBounds, left: Duration)? {
    guard let earlier = options.earlier, let before = earlier.holders.process(pid)?.descriptorCount.map(Int.init),
      count > before, census.when.monotonic > earlier.when.monotonic
    else { return nil }
    let passed = Double(census.when.monotonic - earlier.when.monotonic) / 1e9
    let left = max(0, limit - Double(count)) * passed / Double(count - before)
    let time = UInt64(passed * 1000)
    return (count - before, AgeBounds(atLeast: time, atMost: time), .milliseconds(Int64(min(left, 1e9) * 1000)))
  }
}
