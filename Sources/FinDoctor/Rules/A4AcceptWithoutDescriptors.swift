extension FindingID {
  /// A listener's program has no descriptor left for accept.
  public static let acceptWithoutDescriptors = FindingID(code: "A4")
}

extension Rule {
  static let acceptWithoutDescriptors = Rule(
    .acceptWithoutDescriptors, name: "listener-at-emfile",
    summary: "A listener's program has no descriptor left for accept.",
    fix: Remedies(
      "Keep a descriptor in reserve: close it, accept, close the client, open it again. Stop watching the listener "
        + "until a descriptor is free. Fix the leak.",
      withFin: "serve has a limit of connections and a descriptor in reserve, and pauses accept when none is left."),
    leadsTo: [
      .atListener(.acceptStalled, rank: 7),
      .atListener(.acceptOverflow, rank: 7),
      .ofAttempts(.connectStuck, rank: 7),
    ],
    watches: \.crowdedListeners,
    find: { $0.acceptsWithoutDescriptors() })
}

extension CensusIndex {
  /// Clients wait, and the program has no descriptor left to accept them with.
  fileprivate func acceptsWithoutDescriptors() -> [Finding] {
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
