extension FindingID {
  /// A listener's accept queue overflowed, or connection attempts were dropped for another reason.
  public static let acceptOverflow = FindingID(code: "A1")
}

extension Rule {
  static let acceptOverflow = Rule(
    .acceptOverflow, name: "accept-overflow",
    summary: "A listener dropped attempts, mostly because its queue was full.",
    fix: Remedies(
      "Accept until EAGAIN each time, do the work in other threads, and listen() with a larger backlog, up to "
        + "somaxconn.",
      in: [
        .python: "server.listen(4096): the default is 128; accept in a loop until BlockingIOError.",
        .node: "server.listen({backlog: 4096}); no work that blocks the event loop.",
        .java: "new ServerSocket(port, 4096): the default is 50.",
      ],
      withFin: "serve accepts until no client waits, separately from the work; its backlog is somaxconn."),
    claims: [.queueIsFull, .queueWasFull, .droppedForAnotherReason, .dropped],
    leadsTo: [.ofAttempts(.connectStuck, rank: 5)],
    watches: \.crowdedListeners,
    find: { $0.acceptOverflows() })
}

extension Claim {
  /// More clients wait than the limit.
  fileprivate static let queueIsFull = Claim("queue is full", needs: [.acceptQueue])

  /// The queue was full, and attempts were dropped.
  fileprivate static let queueWasFull = Claim(
    "queue was full", needs: [.drops, .overflows],
    .rare("the namespace counts fewer full queues than the listener dropped attempts", unless: .overflows),
    .rare("another listener of the namespace may be the one that was full", unless: .soleListener),
    .rare("the drops may be old: --over takes a second snapshot", unless: .secondCensus))

  /// Attempts were dropped, and no queue was full.
  fileprivate static let droppedForAnotherReason = Claim(
    "dropped for another reason", needs: [.drops, .overflows])

  /// Attempts were dropped, and why is not known.
  fileprivate static let dropped = Claim(
    "dropped", needs: [.drops],
    .common("ListenOverflows could not be read, so the reason is unknown", unless: .overflows))
}

extension CensusIndex {
  /// Connection attempts that a listener dropped, most often because its accept queue was full.
  fileprivate func acceptOverflows() -> [Finding] {
    var before: [UInt64: UInt32] = [:]
    for socket in options.earlier?.sockets ?? [] where socket.state == .listen {
      before[socket.cookie] = socket.memory.drops ?? 0
    }
    func drops(_ index: Int) -> Drops {
      let total = Int(sockets[index].memory.drops ?? 0)
      // A listener that the earlier census did not contain has dropped all of them since.
      return Drops(
        total: total, recent: options.earlier.map { _ in max(0, total - Int(before[sockets[index].cookie] ?? 0)) })
    }
    return listeners.compactMap { index -> Finding? in
      let own = drops(index)
      guard own.total > 0 || isFull(sockets[index]) else { return nil }
      let isAlone = !listeners.contains {
        $0 != index && sockets[$0].namespace == sockets[index].namespace && drops($0).counted > 0
      }
      return acceptOverflow(index, own, isAlone: isAlone)
    }
  }

  /// The attempts that a listener dropped: since listen, and between the two censuses if there are two.
  private struct Drops {
    var total: Int
    var recent: Int?

    /// Whether some were dropped between the two censuses.
    var areRecent: Bool { recent ?? 0 > 0 }
    /// The drops that a finding is about: the recent ones if there are any.
    var counted: Int { areRecent ? recent ?? 0 : total }
  }

  /// The growth of a counter of the listener's namespace, over the same time as the drops.
  private func growth(of counter: String, _ listener: InetSocket, recent: Bool) -> Int64? {
    let namespace = census.namespace(of: listener)
    guard let now = namespace.counters[counter] else { return nil }
    guard recent else { return now }
    return options.earlier?.namespaces.first { $0.inode == namespace.inode }?.counters[counter].map { max(0, now - $0) }
  }

  /// The sentences about attempts that were dropped while no accept queue was full: the counters that grew.
  private func otherReasons(_ listener: InetSocket, _ drops: Drops, _ counter: String) -> String {
    let full = growth(of: "TcpExt.TCPReqQFullDrop", listener, recent: drops.areRecent) ?? 0
    let all = growth(of: "TcpExt.ListenDrops", listener, recent: drops.areRecent).map {
      "; ListenDrops \(drops.areRecent ? "grew by" : "is") \(NumberText.number($0))"
    }
    return "\(counter), so that no accept queue was full\(all ?? ""). "
      + (full > 0
        ? "\(NumberText.number(full)) \(full == 1 ? "was" : "were") dropped because the queue of unfinished handshakes "
          + "was full (TCPReqQFullDrop): a flood of SYNs, or peers that our answers do not reach (A3)."
        : "An address without a way back, a packet filter, a flood of SYNs (A3) or too little memory makes the kernel "
          + "drop attempts too.")
  }

  private func acceptOverflow(_ index: Int, _ drops: Drops, isAlone: Bool) -> Finding {
    let listener = sockets[index]
    let isFull = isFull(listener)
    let overflows = growth(of: "TcpExt.ListenOverflows", listener, recent: drops.areRecent)
    let claim: Claim =
      isFull
      ? .queueIsFull : overflows.map { $0 > 0 ? .queueWasFull : .droppedForAnotherReason } ?? .dropped
    let severity: Severity = isFull ? .critical : drops.areRecent && overflows != 0 ? .warning : .info
    let who = who(ofListener: index)
    // Without drops, the finding is about the clients that wait. Old drops are not about a queue that is full now.
    let isAboutDrops = !isFull || (drops.recent ?? drops.total) > 0
    let attempts = "\(NumberText.noun(drops.counted, "attempt was", "attempts were")) dropped"
    let name = "\(words(listener)) of \(who.name)"
    let counter =
      overflows.map {
        "ListenOverflows \(drops.areRecent ? "grew by" : "is") \(NumberText.number($0)) in this namespace"
      }
      ?? "ListenOverflows could not be read"
    let (sentence, why): (String, String) =
      if isFull {
        (
          "The queue of \(name) is full (\(listener.receiveQueue) waiting, limit \(listener.sendQueue))"
            + (drops.total > 0
              ? ", and \(NumberText.noun(drops.total, "attempt was", "attempts were")) dropped." : "."),
          "The client gets no answer to a dropped SYN, and tries again after 1 s, then 3 s. " + acceptor(index)
        )
      } else if let overflows, overflows > 0 {
        (
          "The queue of \(name) has been full: \(attempts).",
          "The client gets no answer to a dropped SYN, and tries again after 1 s, then 3 s. \(counter). The queue is "
            + "not full now."
        )
      } else if overflows != nil {
        ("At \(name), \(attempts), and not because its queue was full.", otherReasons(listener, drops, counter))
      } else {
        ("At \(name), \(attempts).", "\(counter), so that the reason is not known.")
      }
    var evidence: [Finding.Evidence] = [
      .init("waiting", words(forQueueOf: listener)), .init("dropped since listen", NumberText.number(drops.total)),
    ]
    if let recent = drops.recent {
      evidence.append(.init("dropped between the two snapshots", NumberText.number(recent)))
    }
    if let overflows { evidence.append(.init("ListenOverflows", NumberText.number(overflows))) }
    if let most = limits(of: listener).listenBacklog { evidence.append(.init("somaxconn", "\(most)")) }
    evidence.append(.init("the count is of", isAboutDrops ? "dropped attempts" : "waiting clients"))
    var finding = Finding(
      .acceptOverflow, severity, claim,
      count: isAboutDrops ? drops.recent ?? drops.total : Int(listener.receiveQueue), who: who,
      sentence: sentence, why: why,
      facts: [
        .read(.acceptQueue, words(forQueueOf: listener)), .read(.drops, NumberText.number(drops.counted)),
        .read(.overflows, overflows.map { NumberText.number($0) }, excludes: overflows ?? 0 >= drops.counted),
        .holds(.soleListener, "no other listener dropped any", isAlone),
        .holds(.secondCensus, "the drops are new", drops.areRecent),
      ],
      evidence: evidence, sockets: [.inet(index)], share: isFull ? 1 : nil)
    finding.links = links(to: index)
    return finding
  }
}
