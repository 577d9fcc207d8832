extension FindingID {
  /// Unix sockets: a full queue, a peer that has closed, data that is not read.
  public static let unix = FindingID(code: "U1")
}

extension Rule {
  static let unix = Rule(
    .unix, name: "unix", summary: "Unix sockets: a full queue, a peer that has closed, data that is not read.",
    fix: Remedies(
      "Accept, read, and close after the end of file, as with TCP.",
      withFin: "The same verbs and the same promises as for TCP."),
    claims: [.unixQueueFull, .unixUnread, .unixPeerGone],
    find: { $0.unix() })
}

extension Claim {
  /// More clients wait than the listener's limit.
  fileprivate static let unixQueueFull = Claim("queue full", needs: [.unixRows])

  /// A program leaves data unread until the sender can hardly send more.
  fileprivate static let unixUnread = Claim(
    "unread", needs: [.unixRows], .rare("a program may pause a peer on purpose"))

  /// The other end has closed.
  fileprivate static let unixPeerGone = Claim(
    "peer gone", needs: [.unixRows], .rare("one end of a pair may be kept on purpose"))
}

extension CensusIndex {
  /// The Unix sockets of one program that share a problem.
  fileprivate func unix() -> [Finding] {
    var places: [UInt32: Int] = [:]
    let all = census.unixSockets
    for index in all.indices where isFullSender(all[index]) { places[all[index].peer ?? 0] = index }
    var gone: [Int32: [Int]] = [:]
    var found: [Finding] = []
    for index in all.indices {
      if all[index].state == .listen {
        if all[index].receiveQueue > all[index].sendQueue { found.append(fullQueue(index)) }
      } else if all[index].hasLostItsPeer, options.passingBefore?.contains(all[index].cookie) != false,
        let pid = census.holders.first(of: all[index].inode)?.pid
      {
        gone[pid, default: []].append(index)
      }
      if let sender = places[all[index].inode], all[index].inode != 0 { found.append(unreadUnix(index, from: sender)) }
    }
    return found + gone.sorted { $0.key < $1.key }.map(lostPeers)
  }

  /// Whether a socket's send buffer is nearly full. Sent data is charged to the sender until the receiver reads it.
  private func isFullSender(_ socket: UnixSocket) -> Bool {
    guard let held = socket.memory.sending, let limit = socket.memory.sendLimit, limit > 0, socket.peer ?? 0 != 0 else {
      return false
    }
    return Double(held) > Double(limit) * thresholds.unixUnreadShare
  }

  private func who(ofUnix index: Int) -> ProcessOwner {
    let socket = census.unixSockets[index]
    let holders = census.holders[socket.inode]
    guard let pid = holders.first?.pid else { return ProcessOwner(user: socket.user) }
    return who(OwnerKey(pid: pid), descriptors: holders.filter { $0.pid == pid }.map(\.descriptor).sorted())
  }

  private func nameOfUnix(_ index: Int) -> String { census.name(of: census.unixSockets[index]) ?? "without a name" }

  private func fullQueue(_ index: Int) -> Finding {
    let socket = census.unixSockets[index]
    let who = who(ofUnix: index)
    return Finding(
      .unix, .warning, .unixQueueFull, count: Int(socket.receiveQueue), who: who,
      sentence: "The queue of the Unix listener \(nameOfUnix(index)) of \(who.name) is full: "
        + "\(socket.receiveQueue) waiting, limit \(socket.sendQueue).",
      why: "connect blocks, or fails with EAGAIN, until the program accepts.",
      facts: [.read(.unixRows, "\(socket.receiveQueue) waiting, limit \(socket.sendQueue)")],
      evidence: [
        .init("waiting", "\(socket.receiveQueue), limit \(socket.sendQueue)"), .init("inode", "\(socket.inode)"),
      ],
      sockets: [.unix(index)], share: 1)
  }

  private func unreadUnix(_ index: Int, from sender: Int) -> Finding {
    let socket = census.unixSockets[index]
    let other = census.unixSockets[sender]
    let (who, from) = (who(ofUnix: index), self.who(ofUnix: sender))
    return Finding(
      .unix, .warning, .unixUnread, count: 1, who: who,
      sentence:
        "\(who.name) does not read from a Unix socket: \(NumberText.bytes(UInt64(socket.receiveQueue))) wait, and "
        + "\(from.name) can hardly send more.",
      facts: [.read(.unixRows, "\(socket.receiveQueue) bytes unread")],
      evidence: [
        .init("Recv-Q", "\(socket.receiveQueue)"), .init("sender's memory", "\(other.memory.sending ?? 0)"),
        .init("sender's SO_SNDBUF", "\(other.memory.sendLimit ?? 0)"), .init("inode", "\(socket.inode)"),
      ],
      sockets: [.unix(index)])
  }

  private func lostPeers(_ pid: Int32, _ members: [Int]) -> Finding {
    let descriptors = members.flatMap { index in
      census.holders[census.unixSockets[index].inode].filter { $0.pid == pid }.map(\.descriptor)
    }
    let who = who(OwnerKey(pid: pid), descriptors: descriptors.sorted())
    return Finding(
      .unix, members.count >= thresholds.unixGoneMany ? .warning : .info, .unixPeerGone,
      count: members.count, who: who,
      sentence: "\(who.name) keeps \(NumberText.noun(members.count, "Unix socket")) open whose "
        + "\(NumberText.verb(members.count, "peer has", "peers have")) gone.",
      why: "A read returns the end of file, after the data that is left. The program does not read, or does not close "
        + "afterwards.",
      facts: [.read(.unixRows, "peer gone, shut down in both directions")],
      evidence: [
        .init("peer", "0: gone"), .init("shutdown", "3: both directions"),
        .init("inode", "\(census.unixSockets[members[0]].inode)"),
      ],
      sockets: members.map { .unix($0) },
      share: share(members.count, of: OwnerKey(pid: pid)))
  }
}
