extension FindingID {
  /// A listener's accept queue overflowed.
  public static let acceptOverflow = FindingID(code: "A1")
}

extension Rule {
  static let acceptOverflow = Rule(
    .acceptOverflow, name: "accept-overflow", summary: "A listener's accept queue overflowed.",
    fix: Remedies(
      "Accept until EAGAIN each time, do the work in other threads, and listen() with a larger backlog, up to "
        + "somaxconn.",
      in: [
        .python: "server.listen(4096): the default is 128; accept in a loop until BlockingIOError.",
        .node: "server.listen({backlog: 4096}); no work that blocks the event loop.",
        .java: "new ServerSocket(port, 4096): the default is 50.",
      ],
      withFin: "serve accepts until no client waits, separately from the work; its backlog is somaxconn."),
    leadsTo: [.ofAttempts(.connectStuck, rank: 5)],
    watches: \.crowdedListeners,
    find: { $0.acceptOverflows() })
}

extension CensusIndex {
  /// Connection attempts that a listener dropped because its accept queue was full.
  fileprivate func acceptOverflows() -> [Finding] {
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
}
