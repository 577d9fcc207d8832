extension FindingID {
  /// Clients wait in a listener's accept queue.
  public static let acceptStalled = FindingID(code: "A2")
}

extension Rule {
  static let acceptStalled = Rule(
    .acceptStalled, name: "accept-stalled", summary: "Clients wait in a listener's accept queue.",
    fix: Remedies(
      "Accept first and work later: the thread that accepts must do nothing that can block.",
      withFin: "serve accepts until no client waits, separately from the work; its backlog is somaxconn."),
    claims: [.clientsWait],
    leadsTo: [.atListener(.acceptOverflow, rank: 6), .ofAttempts(.connectStuck, rank: 6)],
    watches: \.crowdedListeners,
    find: { $0.acceptStalls() })
}

extension Claim {
  /// Clients wait, and no program accepts them.
  fileprivate static let clientsWait = Claim(
    "clients wait", needs: [.rows, .acceptQueue, .age],
    .rare("the kernel does not show in which queue of a group a client waits", unless: .soleListener),
    .rare("a process that accepts may not have been read", unless: .watchers))
}

extension CensusIndex {
  /// Established connections that the program does not accept.
  fileprivate func acceptStalls() -> [Finding] {
    waitingClients().flatMap { group, clients -> [Finding] in
      var since = AgeBounds(atLeast: 0, atMost: 0)
      for index in clients {
        let one = timeInState(index)
        since.lower = max(since.lower, one.lower)
        since.upper = max(since.upper, one.upper)
      }
      guard since.lower >= thresholds.accept.milliseconds else { return [] }
      // The listeners of one address share its clients; the length of its queue says which of them keeps them waiting.
      let crowded = group.filter { sockets[$0].receiveQueue > 0 }
      let isSole = crowded.count == 1 || group.count == 1
      return (crowded.isEmpty ? [group[0]] : crowded).map { acceptStall($0, clients, since, isSole: isSole) }
    }
  }

  private func acceptStall(_ listener: Int, _ clients: [Int], _ since: AgeBounds, isSole: Bool) -> Finding {
    let socket = sockets[listener]
    let gone = clients.count { sockets[$0].state == .closeWait }
    let count = isSole ? clients.count : Int(socket.receiveQueue)
    let who = who(ofListener: listener)
    var finding = Finding(
      .acceptStalled, since.lower >= thresholds.acceptLong.milliseconds ? .critical : .warning, .clientsWait,
      count: count, who: who, since: since,
      sentence:
        "\(NumberText.noun(count, "client waits", "clients wait")) in the queue of \(words(socket)) of "
        + "\(who.name) to be accepted"
        + (gone > 0
          ? "; \(gone) of \(isSole ? "them" : "these clients") \(NumberText.verb(gone, "has", "have")) given up."
          : "."),
      why: acceptor(listener),
      facts: [
        .read(.rows, "no inode: not accepted"), .read(.acceptQueue, words(forQueueOf: socket)),
        .read(.age, "\(since)"), .holds(.soleListener, "no other listener has clients in its queue", isSole),
        watched(listener),
      ],
      evidence: [
        .init("waiting", words(forQueueOf: socket)), .init("inode", "0: not accepted"),
        .init("in CLOSE-WAIT", "\(gone)"), example(clients[0]),
      ],
      sockets: [.inet(listener)] + clients.map { .inet($0) },
      share: socket.sendQueue > 0 ? min(1, Double(socket.receiveQueue) / Double(socket.sendQueue)) : nil)
    finding.links = links(to: listener)
    return finding
  }
}
