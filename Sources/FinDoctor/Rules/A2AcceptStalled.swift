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
    leadsTo: [.atListener(.acceptOverflow, rank: 6), .ofAttempts(.connectStuck, rank: 6)],
    watches: \.crowdedListeners,
    find: { $0.acceptStalls() })
}

extension CensusIndex {
  /// Established connections that the program does not accept.
  fileprivate func acceptStalls() -> [Finding] {
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
}
