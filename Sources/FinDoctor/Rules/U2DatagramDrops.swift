extension FindingID {
  /// A UDP socket drops datagrams.
  public static let datagramDrops = FindingID(code: "U2")
}

extension Rule {
  static let datagramDrops = Rule(
    .datagramDrops, name: "datagram-drops", summary: "A UDP socket drops datagrams that arrive.",
    fix: Remedies(
      "Read until EAGAIN each time (recvmmsg), and do the work in another thread. Set SO_RCVBUF for bursts; above "
        + "net.core.rmem_max it takes a higher rmem_max, or SO_RCVBUFFORCE. Close a socket that is not read.",
      in: [
        .python: "Read in a loop until BlockingIOError; sock.setsockopt(SOL_SOCKET, SO_RCVBUF, bytes) for bursts.",
        .node: "dgram.createSocket({type: 'udp4', recvBufferSize: bytes}), and no work that blocks the event loop.",
        .go: "Read in a goroutine that does nothing else; conn.SetReadBuffer(bytes) for bursts.",
      ],
      withFin: "set(.receiveBuffer, to:) raises the buffer; receive in a task that does nothing else."),
    claims: [.dropsAtFullBuffer, .dropped],
    watches: \.droppedDatagrams,
    find: { $0.datagramDrops() })
}

extension Claim {
  private static let others = "datagrams with a wrong checksum, or that a filter of the socket refuses, are counted too"

  /// A socket drops what arrives because its buffer is full.
  fileprivate static let dropsAtFullBuffer = Claim(
    "drops at a full buffer", needs: [.rows, .datagrams],
    .rare("the drops may be old: --over counts new ones", unless: .secondCensus), .rare(others, unless: .counters))

  /// A socket has dropped datagrams, and its buffer has room now.
  fileprivate static let dropped = Claim(
    "dropped", needs: [.rows, .datagrams],
    .rare("the drops may be old: --over counts new ones", unless: .secondCensus), .rare(others))
}

extension CensusIndex {
  /// UDP sockets that dropped datagrams, by program and port: those that drop now, apart from those that once did.
  fileprivate func datagramDrops() -> [Finding] {
    var before: [UInt64: UInt32] = [:]
    for socket in options.earlier?.sockets ?? [] where socket.transport == .udp {
      before[socket.cookie] = socket.memory.drops ?? 0
    }
    /// The number of drops between the two censuses; nil without an earlier one. A new socket had none before.
    func recent(_ socket: InetSocket) -> UInt32? {
      guard options.earlier != nil else { return nil }
      return (socket.memory.drops ?? 0) &- (before[socket.cookie] ?? 0)
    }
    let groups = gather(droppedDatagrams, at: local) { _, socket, _ in
      (.unknown, kind: recent(socket) ?? 0 > 0 || isReceiveBufferFull(socket) ? 1 : 0)
    }
    return groups.map { group in
      let drops = group.members.reduce(0) { $0 + Int(sockets[$1].memory.drops ?? 0) }
      let lately = options.earlier == nil ? nil : group.members.reduce(0) { $0 + Int(recent(sockets[$1]) ?? 0) }
      return datagramDrops(group, drops: drops, recent: lately)
    }
  }

  /// Whether there is hardly room for another datagram.
  private func isReceiveBufferFull(_ socket: InetSocket) -> Bool {
    guard let held = socket.memory.received, let limit = socket.memory.receiveLimit, limit > 0 else { return false }
    return Double(held) > Double(limit) * thresholds.unreadShare
  }

  private func datagramDrops(_ group: Group, drops: Int, recent: Int?) -> Finding {
    let who = who(group)
    let worst = group.members.max { sockets[$0].memory.received ?? 0 < sockets[$1].memory.received ?? 0 }
    let socket = sockets[worst ?? group.oldest]
    let isFull = isReceiveBufferFull(socket)
    let limit = NumberText.number(socket.memory.receiveLimit ?? 0)
    let held = "\(NumberText.number(socket.memory.received ?? 0)) of \(limit)"
    let count = recent.flatMap { $0 > 0 ? $0 : nil } ?? drops
    let when = recent ?? 0 > 0 ? " \(rate(recent ?? 0))" : ""
    let overflows = recent == nil ? nil : increase(of: "Udp.RcvbufErrors", in: socket.namespace)
    var evidence: [Finding.Evidence] = [
      .init("dropped since the socket was opened", NumberText.number(drops)),
      .init("receive buffer", "\(held) bytes (SO_RCVBUF counts memory, twice what a program asked for)"),
    ]
    if let most = limits(of: socket).receiveBuffer { evidence.append(.init("rmem_max", "\(NumberText.number(most))")) }
    if let recent { evidence.append(.init("dropped between the two snapshots", NumberText.number(recent))) }
    if let overflows {
      evidence.append(.init("Udp RcvbufErrors", overflows > 0 ? "growing by \(overflows)" : "not growing"))
    }
    evidence.append(
      .init("sockets", "\(group.count), the fullest on \(socket.localAddress.with(port: socket.localPort))"))
    let reader = attention(to: socket.inode, .input, "the socket").joined(separator: " ")
    return Finding(
      .datagramDrops, group.key.kind == 1 ? .warning : .info, isFull ? .dropsAtFullBuffer : .dropped, count: count,
      who: who,
      sentence: "\(NumberText.noun(count, "datagram")) for \(who.name) on local port \(socket.localPort) "
        + "\(NumberText.verb(count, "was", "were")) dropped\(when)"
        + (isFull ? ": the receive buffer is full (\(held) bytes)." : "; the receive buffer has room now."),
      why: isFull
        ? "Datagrams that arrive while the buffer is full are lost, and no error reports it. " + reader
        : "Datagrams arrived faster than they were read, for a while. No error reports the loss.",
      facts: [
        .read(.rows, "UDP, port \(socket.localPort)"),
        .read(.datagrams, "\(NumberText.number(drops)) dropped, \(held) bytes in the buffer"),
        .read(
          .secondCensus, recent.map { "\(NumberText.number($0)) dropped in between" },
          excludes: isFull ? recent ?? 0 > 0 : true),
        .read(
          .counters, overflows.map { "Udp RcvbufErrors \($0 > 0 ? "+\($0)" : "unchanged")" },
          excludes: recent ?? 0 > 0 && overflows ?? 0 > 0),
      ],
      evidence: evidence, sockets: references(group))
  }

  /// `in 3.0 s, 40 a second`
  private func rate(_ count: Int) -> String {
    let time = census.when.monotonic - min(census.when.monotonic, options.earlier?.when.monotonic ?? 0)
    let milliseconds = max(time / 1_000_000, 1)
    let perSecond = UInt64(count) * 1000 / milliseconds
    return "in \(AgeBounds(atLeast: milliseconds, atMost: milliseconds))"
      + (perSecond > 0 ? ", \(NumberText.number(perSecond)) a second" : "")
  }
}
