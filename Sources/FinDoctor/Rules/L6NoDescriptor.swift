internal import FinBase

extension FindingID {
  /// Sockets that no descriptor holds.
  public static let noDescriptor = FindingID(code: "L6")
}

extension Rule {
  static let noDescriptor = Rule(
    .noDescriptor, name: "no-fd-holder", summary: "Sockets that no descriptor holds.",
    isLeak: true,
    fix: Remedies(
      "Unregister the file from the ring; receive messages with room for their descriptors, and close those of a "
        + "truncated message (MSG_CTRUNC).",
      withFin: "Descriptors are lent for a scope, and never sent by accident."),
    claims: Claim.kept,
    find: { $0.withoutDescriptor() })
}

extension CensusIndex {
  /// Sockets that one keeper has.
  private struct Kept {
    var sockets: [SocketReference] = []
    var inodes: [UInt32] = []
    /// Their kinds: `listener`, `UDP socket`, `connection`, `Unix socket`, `socket`.
    var nouns: Set<String> = []
    var since: AgeBounds?
    var example: Finding.Evidence?

    mutating func add(_ socket: SocketReference, _ inode: UInt32, _ noun: String) {
      sockets.append(socket)
      inodes.append(inode)
      nouns.insert(noun)
    }
  }

  /// Sockets that no descriptor holds, and that have another holder which could be found.
  fileprivate func withoutDescriptor() -> [Finding] {
    if census.keepers.isEmpty { return [] }
    var kept: [Keeper: Kept] = [:]
    for index in sockets.indices {
      guard let keeper = foundKeeper(of: sockets[index].inode),
        standsForDescriptor(index) || sockets[index].transport == .udp,
        !sockets[index].isConnection || options.passingBefore?.contains(sockets[index].identity) != false
      else { continue }
      var one = kept[keeper] ?? Kept()
      one.add(.inet(index), sockets[index].inode, noun(sockets[index]))
      let since = timeInState(index)
      if since.lower >= one.since?.lower ?? 0 { (one.since, one.example) = (since, example(index)) }
      kept[keeper] = one
    }
    for index in census.unixSockets.indices {
      let inode = census.unixSockets[index].inode
      if let keeper = foundKeeper(of: inode) { kept[keeper, default: Kept()].add(.unix(index), inode, "Unix socket") }
    }
    return kept.map(finding).sorted { ($0.who?.pid ?? 0, $0.sentence) < ($1.who?.pid ?? 0, $1.sentence) }
  }

  private func foundKeeper(of inode: UInt32) -> Keeper? {
    guard let keeper = census.keeper(of: inode), keeper != .unseen else { return nil }
    return keeper
  }

  /// The kind of a socket, in a word or two.
  func noun(_ socket: InetSocket) -> String {
    if socket.transport == .udp { return "UDP socket" }
    return socket.state == .listen ? "listener" : socket.isConnection ? "connection" : "socket"
  }

  private func finding(_ keeper: Keeper, _ kept: Kept) -> Finding {
    let count = kept.inodes.count
    let before = before.first.map { earlier in earlier.census.keepers.values.count { $0 == keeper } }
    let isGrowing = before.map { count > $0 } ?? false
    let isMany = count >= thresholds.noDescriptorMany && (isGrowing || thresholds.noDescriptorMany <= 1)
    let noun = kept.nouns.count == 1 ? kept.nouns.first ?? "socket" : "socket"
    var finding = Finding(
      .noDescriptor, isMany && !keeper.isKernel ? .warning : .info, .kept(by: keeper), count: count,
      who: who(ofKeeper: keeper), since: kept.since,
      sentence: "\(NumberText.noun(count, noun)) \(NumberText.verb(count, "is", "are")) open and in no process's "
        + "descriptor table, but held by \(census.words(keeper)).",
      facts: facts(of: keeper, "inode \(kept.inodes[0])", isConnections: kept.nouns == ["connection"]),
      evidence: [.init("inode", kept.inodes.prefix(8).map { "\($0)" }.joined(separator: ", "))]
        + [.init("descriptors with it", "none in any process")] + [kept.example].compactMap { $0 },
      sockets: kept.sockets)
    finding.fix.code = census.remedy(keeper)
    return finding
  }
}
