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
    claims: [.noDescriptorLeft],
    leadsTo: [
      .atListener(.acceptStalled, rank: 7),
      .atListener(.acceptOverflow, rank: 7),
      .ofAttempts(.connectStuck, rank: 7),
    ],
    watches: \.crowdedListeners,
    find: { $0.acceptsWithoutDescriptors() })
}

extension Claim {
  /// A program has no descriptor left to accept with.
  fileprivate static let noDescriptorLeft = Claim(
    "no descriptor left", needs: [.descriptors, .acceptQueue],
    .rare("another process that holds the listener may accept", unless: .soleHolder),
    .rare("a limit that was lowered later leaves lower numbers free", unless: .descriptors))
}

extension CensusIndex {
  /// Clients wait, and the program has no descriptor left to accept them with.
  fileprivate func acceptsWithoutDescriptors() -> [Finding] {
    crowdedListeners.compactMap { index -> Finding? in
      let pids = Set(census.holders[sockets[index].inode].map(\.pid)).sorted()
      let spent = pids.filter { pid in descriptorUse(of: pid).map { $0.count >= $0.limit } ?? false }
      guard let pid = spent.first, let use = descriptorUse(of: pid) else { return nil }
      let socket = sockets[index]
      let who = who(ofListener: index, OwnerKey(pid: pid))
      let descriptors = "\(NumberText.number(use.count)) of \(NumberText.number(use.limit))"
      var finding = Finding(
        .acceptWithoutDescriptors, .critical, .noDescriptorLeft, count: Int(socket.receiveQueue), who: who,
        sentence: "\(who.name) has no descriptor left, so that it cannot accept from \(words(socket)): "
          + "\(NumberText.noun(Int(socket.receiveQueue), "client waits", "clients wait")).",
        why: "accept fails with EMFILE, and the client stays in the queue: an event loop then spins at full speed. "
          + acceptor(index),
        facts: [
          .read(.descriptors, descriptors, excludes: use.count == use.limit),
          .read(.acceptQueue, words(forQueueOf: socket)),
          .holds(.soleHolder, "no other holder has a descriptor left", spent.count == pids.count),
        ],
        evidence: [.init("descriptors", descriptors), .init("waiting", words(forQueueOf: socket))],
        sockets: [.inet(index)], share: 1)
      finding.links = links(to: index)
      return finding
    }
  }
}
