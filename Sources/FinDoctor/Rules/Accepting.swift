/// A1 to A4: clients that a listener keeps waiting or turns away.
extension CensusIndex {
  private func words(_ listener: InetSocket) -> String {
    "the listener on \(listener.localAddress.with(port: listener.localPort))"
  }

  private func links(to listener: InetSocket) -> Finding.Links {
    var links = Finding.Links()
    links.listeners = [Finding.Endpoint(address: listener.localBits, port: listener.localPort)]
    return links
  }

  private func who(ofListener index: Int) -> Who {
    let owner = owner(of: sockets[index])
    let descriptors = census.holders[sockets[index].inode].filter { $0.pid == owner.pid }.map(\.descriptor)
    let others = Set(census.holders[sockets[index].inode].map(\.pid)).subtracting([owner.pid])
    return who(owner, descriptors: descriptors.sorted(), others: others.sorted())
  }

  /// A sentence about who accepts on a listener: a thread blocked in accept, an epoll loop, or neither.
  private func acceptor(_ index: Int) -> String {
    switch watch(sockets[index], owner(of: sockets[index])) {
    case .unknown: "The epoll sets and threads that may accept could not be read."
    case .unattended:
      "No epoll set has the listener, and no thread waits in accept: the program does something else."
    case .blocked(let thread, let call): "Thread \(thread) is in \(call)."
    case .epoll(let descriptor, _):
      "An epoll set (descriptor \(descriptor)) watches the listener, but its event loop does not get to it."
    }
  }

  /// A1: connection attempts that a listener dropped because its accept queue was full.
  func acceptOverflows() -> [Finding] {
    var before: [UInt64: UInt32] = [:]
    for socket in options.earlier?.sockets ?? [] where socket.state == .listen {
      before[socket.cookie] = socket.memory.drops ?? 0
    }
    return listeners.compactMap { (index) -> Finding? in
      let listener = sockets[index]
      let drops = listener.memory.drops ?? 0
      let isFull = listener.receiveQueue > listener.sendQueue && listener.sendQueue > 0
      let recent = before[listener.cookie].map { drops > $0 ? drops - $0 : 0 }
      guard drops > 0 || isFull else { return nil }
      let severity: Severity = isFull ? .critical : (recent ?? 0) > 0 ? .warning : .info
      let who = who(ofListener: index)
      // Without drops, the finding is about the clients that wait.
      let dropped = Int(recent ?? drops)
      let isAboutDrops = dropped > 0 || !isFull
      var evidence: [Finding.Evidence] = [
        .init("waiting", "\(listener.receiveQueue), limit \(listener.sendQueue)"),
        .init("dropped since listen", NumberText.number(drops)),
      ]
      if let recent { evidence.append(.init("dropped between the two snapshots", NumberText.number(recent))) }
      if let most = limits(of: listener).listenBacklog { evidence.append(.init("somaxconn", "\(most)")) }
      evidence.append(.init("the count is of", isAboutDrops ? "dropped attempts" : "waiting clients"))
      var finding = Finding(
        .acceptOverflow, severity, count: isAboutDrops ? dropped : Int(listener.receiveQueue), who: who,
        sentence: "The queue of \(words(listener)) of \(who.name) "
          + (isFull
            ? "is full (\(listener.receiveQueue) waiting, limit \(listener.sendQueue))"
            : "has been full: \(NumberText.noun(dropped, "attempt was", "attempts were")) dropped")
          + (isFull && drops > 0
            ? ", and \(NumberText.noun(Int(drops), "attempt was", "attempts were")) dropped." : "."),
        why: "The client gets no answer to a dropped SYN, and tries again after 1 s, then 3 s. "
          + (isFull ? acceptor(index) : "The queue is not full now."),
        evidence: evidence,
        confidence: severity == .info
          ? .likely("the drops may be old: --over takes a second snapshot") : .certain,
        share: isFull ? 1 : nil)
      finding.links = links(to: listener)
      return finding
    }
  }

  /// A2: established connections that the program does not accept.
  func acceptStalls() -> [Finding] {
    var waiting: [Int: [Int]] = [:]
    for index in inQueue {
      guard let listener = listener(accepting: sockets[index]) else { continue }
      waiting[listener, default: []].append(index)
    }
    return waiting.sorted(by: { $0.key < $1.key }).compactMap { (listener: Int, members: [Int]) -> Finding? in
      var since = AgeBounds(atLeast: 0, atMost: 0)
      for index in members {
        let one = timeInState(index)
        since.lower = max(since.lower, one.lower)
        since.upper = max(since.upper, one.upper)
      }
      guard since.lower >= thresholds.accept.milliseconds else { return nil }
      let gone = members.count { sockets[$0].state == .closeWait }
      let socket = sockets[listener]
      let who = who(ofListener: listener)
      var finding = Finding(
        .acceptStalled, since.lower >= thresholds.acceptLong.milliseconds ? .critical : .warning,
        count: members.count, who: who, since: since,
        sentence:
          "\(NumberText.noun(members.count, "client waits", "clients wait")) in the queue of \(words(socket)) of "
          + "\(who.name) to be accepted"
          + (gone > 0 ? "; \(gone) of them \(NumberText.verb(gone, "has", "have")) given up." : "."),
        why: acceptor(listener),
        evidence: [
          .init("waiting", "\(socket.receiveQueue), limit \(socket.sendQueue)"),
          .init("inode", "0: not accepted"), .init("in CLOSE-WAIT", "\(gone)"), example(members[0]),
        ],
        share: socket.sendQueue > 0 ? min(1, Double(socket.receiveQueue) / Double(socket.sendQueue)) : nil)
      finding.links = links(to: socket)
      return finding
    }
  }

  /// The listener in whose accept queue a connection waits: the one on its address, or else one on every address.
  func listener(accepting socket: InetSocket) -> Int? {
    guard isServerSide(socket) else { return nil }
    let all = listeners.filter {
      sockets[$0].namespace == socket.namespace && sockets[$0].localPort == socket.localPort
    }
    return all.first { sockets[$0].localBits == socket.localBits && sockets[$0].isIPv6 == socket.isIPv6 }
      ?? all.first { sockets[$0].localAddress.isUnspecified && sockets[$0].isIPv6 == socket.isIPv6 }
      ?? all.first { sockets[$0].localAddress.isUnspecified }
  }

  /// A3: handshakes that the listener has answered and the peer has not finished.
  func synBacklogs() -> [Finding] {
    var members: [PortOfNamespace: [Int]] = [:]
    for index in handshaking {
      let port = PortOfNamespace(namespace: sockets[index].namespace, port: sockets[index].localPort)
      members[port, default: []].append(index)
    }
    let cookies = increase(of: "TcpExt.TCPReqQFullDoCookies") + increase(of: "TcpExt.TCPReqQFullDrop")
    return members.sorted { $0.key.port < $1.key.port }.compactMap { synBacklog($0.key, $0.value, cookies: cookies) }
  }

  private func synBacklog(_ port: PortOfNamespace, _ all: [Int], cookies: Int64) -> Finding? {
    let repeated = all.count { sockets[$0].retransmits > 0 }
    let listener = listeners.first { sockets[$0].namespace == port.namespace && sockets[$0].localPort == port.port }
    let limit = listener.map { Int(sockets[$0].sendQueue) } ?? limits(of: sockets[all[0]]).synBacklog
    let share = limit.map { Double(all.count) / Double(max($0, 1)) }
    // A retransmitted SYN-ACK tells a handshake that is stuck from one that is under way.
    guard repeated > 0, share ?? 0 > thresholds.synBacklog || cookies > 0 else { return nil }
    let who: Who? = listener.map { self.who(ofListener: $0) }
    let oldest = all.max { sockets[$0].retransmits < sockets[$1].retransmits } ?? all[0]
    var finding = Finding(
      .synBacklog, .warning, count: all.count, who: who, since: timeInState(oldest),
      sentence: "The peers have not finished \(NumberText.noun(all.count, "handshake")) on local port \(port.port)"
        + (who.map { " of \($0.name)" } ?? "") + (limit.map { "; the limit is \($0)." } ?? "."),
      why: "Either a sender floods the listener with SYNs, or our answers do not reach the peers.",
      evidence: [
        .init("state", "SYN-RECEIVED"), .init("answers sent again", "to \(repeated) of \(all.count)"),
        .init("TCPReqQFull", cookies > 0 ? "growing by \(cookies)" : "not growing"), example(oldest),
      ],
      confidence: .likely("a port scan looks the same"), share: share.map { min($0, 1) })
    if let listener { finding.links = links(to: sockets[listener]) }
    return finding
  }

  /// A4: clients wait, and the program has no descriptor left to accept them with.
  func acceptsWithoutDescriptors() -> [Finding] {
    var found: [Finding] = []
    for index in listeners where sockets[index].receiveQueue > 0 {
      let owner = owner(of: sockets[index])
      guard let count = census.holders.process(owner.pid)?.descriptorCount.map({ Double($0) }),
        let limit = descriptorLimit(of: owner.pid), limit > 0, count >= limit
      else { continue }
      let socket = sockets[index]
      let who = who(ofListener: index)
      var finding = Finding(
        .acceptWithoutDescriptors, .critical, count: Int(socket.receiveQueue), who: who,
        sentence: "\(who.name) has no descriptor left, so that \(words(socket)) cannot accept: "
          + "\(NumberText.noun(Int(socket.receiveQueue), "client waits", "clients wait")).",
        why: "accept fails with EMFILE, and the client stays in the queue: an epoll loop then spins at full speed. "
          + acceptor(index),
        evidence: [
          .init("descriptors", "\(NumberText.number(Int(count))) of \(NumberText.number(Int(limit)))"),
          .init("waiting", "\(socket.receiveQueue), limit \(socket.sendQueue)"),
        ],
        share: 1)
      finding.links = links(to: socket)
      found.append(finding)
    }
    return found
  }
}
