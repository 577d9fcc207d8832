/// L1 to L4: descriptors that a program keeps and does not need.
extension Examination {
  /// Why a connection is still in CLOSE-WAIT, as far as can be seen from outside.
  private enum Reason: UInt8 {
    case known = 1
    case replying, forgotten, masked, watched, blocked, unseen
  }

  private func reason(_ socket: InetSocket, _ owner: Owner) -> Reason {
    let watch = watch(socket, owner)
    if socket.receiveQueue == 0 { return isReplying(socket) ? .replying : .known }
    switch watch {
    case .unknown: return .unseen
    case .nobody: return .forgotten
    case .blocked: return .blocked
    case .epoll(_, let mask): return mask & 0x2001 == 0 ? .masked : .watched
    }
  }

  /// The peer has only finished asking, and the answer is on its way.
  private func isReplying(_ socket: InetSocket) -> Bool {
    // Where nothing was ever sent, the time of the handshake stands there.
    guard let sent = socket.info.lastDataSent, let received = socket.info.lastDataReceived, socket.info.bytesSent != 0
    else { return false }
    return sent < received && UInt64(sent) < thresholds.activity.milliseconds
  }

  /// L1 and L2: the peer has finished, and the program keeps its end.
  func closeWaits() -> [Finding] {
    closeWaitGroups().map { group in
      let isKnown = group.key.kind <= Reason.replying.rawValue
      return isKnown ? known(group) : unseen(group)
    }
  }

  private func closeWaitGroups() -> [Group] {
    gather(closeWait) { socket, owner in
      // Its own FIN is out: then the kernel ends it.
      guard socket.hasFinishedSending != true else { return nil }
      let since = Since.inState(socket)
      guard since.lower >= thresholds.closeWait.milliseconds,
        !isMeant(socket, socket.receiveQueue == 0 ? .closeWaitKnown : .closeWaitUnseen, owner)
      else { return nil }
      return (since, reason(socket, owner).rawValue)
    }
  }

  private func known(_ group: Group) -> Finding {
    let who = who(group)
    let (count, name) = (group.count, who.name)
    let isReplying = group.key.kind == Reason.replying.rawValue
    var finding = Finding(
      .closeWaitKnown, isReplying ? .info : severity(group), count: count, who: who, since: group.since,
      sentence: isReplying
        ? "\(name) still sends on \(Counted.noun(count, "connection")) \(group.key.place.words) whose "
          + "\(Counted.verb(count, "peer has", "peers have")) finished."
        : "\(name) keeps \(Counted.noun(count, "connection")) \(group.key.place.words) open that "
          + "\(Counted.verb(count, "its peer", "their peers")) closed: it read the end of file, and did not close.",
      why: isReplying
        ? "The peer has only said that it will send no more; that is allowed."
        : "Recv-Q is 0: the end of file was read, so the program knows. " + attention(group),
      evidence: closeWaitEvidence(group),
      confidence: isReplying
        ? .likely("the last bytes may have been sent just before the program forgot it") : .certain,
      share: isReplying ? nil : share(count, of: group.key.owner))
    finding.links = links(group)
    return finding
  }

  private func unseen(_ group: Group) -> Finding {
    let who = who(group)
    let count = group.count
    let oldest = sockets[group.oldest]
    let hasData = group.members.contains { sockets[$0].receiveQueue > 1 }
    var severity = severity(group)
    // A connection that rests in a pool for a short time is nobody's fault.
    if !hasData, severity == .warning, group.since.lower < thresholds.closeWaitLong.milliseconds { severity = .info }
    if group.members.contains(where: isFull) { severity = .critical }
    var finding = Finding(
      .closeWaitUnseen, severity, count: count, who: who, since: group.since,
      sentence: "\(who.name) has \(Counted.noun(count, "connection")) \(group.key.place.words) that "
        + "\(Counted.verb(count, "its peer", "their peers")) closed, and has not read the end of file"
        + (hasData ? " or the data before it." : "."),
      why: (hasData
        ? "Recv-Q is above 1: data lies there unread as well. " : "Recv-Q is 1: only the end of file is unread. ")
        + attention(group),
      evidence: closeWaitEvidence(group),
      confidence: group.key.kind == Reason.unseen.rawValue
        ? .possible("its epoll sets and threads could not be read, so why is not known")
        : .certain,
      share: share(count, of: group.key.owner))
    finding.links = links(group)
    if hasData { finding.evidence.append(.init("unread", Counted.bytes(UInt64(oldest.receiveQueue - 1)))) }
    return finding
  }

  private func severity(_ group: Group) -> Severity {
    if let share = share(group.count, of: group.key.owner), share > thresholds.leakShare { return .critical }
    if group.count >= thresholds.closeWaitMany, Growth(countsBefore(group), group.count).isSteady { return .critical }
    return group.count >= thresholds.closeWaitMany || group.since.lower >= thresholds.closeWaitLong.milliseconds
      ? .warning : .info
  }

  /// How many of the same group the earlier pictures have, none of them younger than what is counted now.
  private func countsBefore(_ group: Group) -> [Int] {
    let wasKnown = group.key.kind <= Reason.replying.rawValue
    return options.before.map { earlier in
      earlier.sockets.count { socket in
        socket.transport == .tcp && socket.state == .closeWait && socket.inode != 0
          && socket.hasFinishedSending != true && (socket.receiveQueue == 0) == wasKnown
          && Since.inState(socket).lower >= thresholds.closeWait.milliseconds
          && earlier.holders.first(of: socket.inode)?.pid ?? 0 == group.key.owner.pid
          && (group.key.place.isPeer ? remote(of: socket) : local(of: socket)) == group.key.place
      }
    }
  }

  private func closeWaitEvidence(_ group: Group) -> [Finding.Evidence] {
    let oldest = sockets[group.oldest]
    var all: [Finding.Evidence] = [
      .init("state", "CLOSE-WAIT"), .init("Recv-Q", "\(oldest.receiveQueue)"),
      .init("tcpi_last_ack_recv", Counted.milliseconds(oldest.info.lastAcknowledgementReceived)),
      .init("tcpi_last_data_recv", Counted.milliseconds(oldest.info.lastDataReceived)),
      .init("tcpi_last_data_sent", Counted.milliseconds(oldest.info.lastDataSent)),
    ]
    all += Growth(countsBefore(group), group.count).evidence
    all.append(example(group.oldest))
    return all
  }

  /// L3: descriptors of sockets that no table lists any more, or yet.
  func detached() -> [Finding] {
    var byProcess: [Int32: [DetachedSocket]] = [:]
    for socket in census.detached where socket.transport == .tcp { byProcess[socket.pid, default: []].append(socket) }
    return byProcess.sorted { $0.key < $1.key }.map { pid, all in
      let who = who(Owner(pid: pid), descriptors: all.map(\.descriptor).sorted())
      let growth = Growth(
        options.before.map { $0.detached.count { $0.pid == pid && $0.transport == .tcp } }, all.count)
      let share = share(all.count, of: Owner(pid: pid))
      var severity = all.count >= thresholds.detachedMany ? Severity.warning : .info
      if (share ?? 0) > thresholds.leakShare || growth.isSteady && severity == .warning { severity = .critical }
      var evidence: [Finding.Evidence] = [
        .init("system.sockprotoname", all.contains { !$0.isIPv6 } ? "TCP" : "TCPv6"),
        .init("in a table", "none, twice"),
      ]
      evidence += growth.evidence
      return Finding(
        .detached, severity, count: all.count, who: who,
        sentence: "\(who.name) holds \(Counted.noun(all.count, "descriptor")) of TCP sockets that no table lists: "
          + "\(Counted.verb(all.count, "it was", "they were")) reset, refused or timed out and not closed, or never "
          + "connected.",
        why:
          "The connection has ended, or never began; the descriptor stays until the program closes it. ss and netstat "
          + "do not show these.",
        evidence: evidence,
        confidence: census.blindness.hidesSockets
          ? .possible("not all network namespaces were read; these sockets may be in one of those")
          : .likely("a program that makes a socket and lets it wait before it connects looks the same"),
        share: share)
    }
  }

  /// L4: how near each process is to its limit of descriptors.
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
      let who = who(Owner(pid: process.pid))
      var evidence: [Finding.Evidence] = [
        .init("descriptors", "\(Counted.number(count)) of \(Counted.number(Int(limit)))")
      ]
      // How many there are may be read by everybody, what they are may not.
      let sockets = process.isReadable ? Counted.number(socketCounts[process.pid] ?? 0) : "unknown"
      evidence.append(.init("of them sockets", sockets))
      var why: String?
      if let forecast {
        let left = Since(atLeast: forecast.left.milliseconds, atMost: forecast.left.milliseconds)
        evidence.append(.init("growth", "\(Counted.number(forecast.more)) in \(forecast.time)"))
        why = "At this rate the limit is reached in \(left)."
      }
      found.append(
        Finding(
          .descriptorLimit, share >= thresholds.descriptorCritical || isSoon ? .critical : .warning, count: count,
          who: who,
          sentence: "\(who.name) has \(Counted.number(count)) of \(Counted.number(Int(limit))) descriptors open "
            + "(\(Counted.percent(share))): beyond that accept, socket and open fail with EMFILE.",
          why: why, evidence: evidence, share: share))
    }
    return found
  }

  /// When the limit will be reached, from two looks.
  private func forecast(_ pid: Int32, _ count: Int, _ limit: Double) -> (more: Int, time: Since, left: Duration)? {
    guard let earlier = options.earlier, let before = earlier.holders.process(pid)?.descriptorCount.map(Int.init),
      count > before, census.when.monotonic > earlier.when.monotonic
    else { return nil }
    let passed = Double(census.when.monotonic - earlier.when.monotonic) / 1e9
    let left = max(0, limit - Double(count)) * passed / Double(count - before)
    let time = UInt64(passed * 1000)
    return (count - before, Since(atLeast: time, atMost: time), .milliseconds(Int64(min(left, 1e9) * 1000)))
  }
}

/// How many there were at each look.
private struct Growth {
  private let before: [Int]
  private let now: Int

  init(_ before: [Int], _ now: Int) {
    self.before = before
    self.now = now
  }

  /// Whether there were some at first, and more at each look than at the one before.
  var isSteady: Bool {
    before.first ?? 0 > 0 && zip(before, before.dropFirst() + [now]).allSatisfy { $0 < $1 }
  }

  var evidence: [Finding.Evidence] {
    if before.isEmpty { return [] }
    return [
      .init(
        before.count == 1 ? "in the earlier look" : "in the earlier looks",
        before.map { "\($0)" }.joined(separator: ", "))
    ]
  }
}
