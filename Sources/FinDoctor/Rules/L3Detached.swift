extension FindingID {
  /// Descriptors of sockets that no kernel table lists.
  public static let detached = FindingID(code: "L3")
}

extension Rule {
  static let detached = Rule(
    .detached, name: "detached", summary: "Descriptors of sockets that no kernel table lists.",
    isLeak: true,
    fix: Remedies(
      "close() also after an error: ECONNRESET, ETIMEDOUT and ECONNREFUSED leave the descriptor open. Close it, "
        + "too, when something fails between socket() and connect().",
      in: [
        .python: "sock.close() in except and finally: after ConnectionResetError the descriptor is still open.",
        .go: "Close the conn after an error of Read or Write; close the body when Do gave a response and an error.",
        .java: "close() the Socket when connect or read throws: try-with-resources does.",
        .node: "socket.destroy() in the 'error' handler of handles that were taken over.",
      ],
      withFin: "A Socket that throws is closed with its owner; use after close does not compile.",
      inFin: "The connection opened there has failed: close(_:) it after the error, or drop its owner."),
    claims: [.detachedWithoutConnection],
    leadsTo: [.asLargePart(of: .descriptorLimit)],
    find: { $0.detachedDescriptors() })
}

extension Claim {
  /// Descriptors whose sockets are in no table.
  fileprivate static let detachedWithoutConnection = Claim(
    "no connection", needs: [.holders],
    .common("these sockets may be in a network namespace that was not read", unless: .allNamespaces),
    .rare("a program that creates a socket long before it connects looks the same"))
}

extension CensusIndex {
  /// A process and a protocol.
  private struct DetachedKey: Hashable {
    var pid: Int32
    var isMultipath: Bool
  }

  private struct Lost {
    var descriptor: Int32
    var isIPv6: Bool
    var reference: SocketReference
  }

  /// Descriptors whose socket no kernel table lists, or whose MPTCP connection is over (MPTCP's table keeps those).
  fileprivate func detachedDescriptors() -> [Finding] {
    let mine = lostDescriptors()
    if mine.isEmpty { return [] }
    let before = before.map { $0.lostDescriptors() }
    return mine.sorted { ($0.key.pid, $0.key.isMultipath ? 1 : 0) < ($1.key.pid, $1.key.isMultipath ? 1 : 0) }.map {
      key, all in
      detached(key, all, Growth(before.map { $0[key]?.count ?? 0 }, all.count))
    }
  }

  private func lostDescriptors() -> [DetachedKey: [Lost]] {
    var all: [DetachedKey: [Lost]] = [:]
    for (place, socket) in census.detached.enumerated() where socket.transport != .udp {
      all[DetachedKey(pid: socket.pid, isMultipath: socket.transport == .mptcp), default: []].append(
        Lost(descriptor: socket.descriptor, isIPv6: socket.isIPv6, reference: .detached(place)))
    }
    for index in over {
      guard let holder = census.holders.first(of: sockets[index].inode) else { continue }
      all[DetachedKey(pid: holder.pid, isMultipath: true), default: []].append(
        Lost(descriptor: holder.descriptor, isIPv6: sockets[index].isIPv6, reference: .inet(index)))
    }
    return all
  }

  private func detached(_ key: DetachedKey, _ all: [Lost], _ growth: Growth) -> Finding {
    let who = who(OwnerKey(pid: key.pid), descriptors: all.map(\.descriptor).sorted())
    let share = share(all.count, of: OwnerKey(pid: key.pid))
    var severity = all.count >= thresholds.detachedMany ? Severity.warning : .info
    if (share ?? 0) > thresholds.leakShare || growth.isSteady && severity == .warning { severity = .critical }
    let name = key.isMultipath ? "MPTCP" : "TCP"
    var evidence: [Finding.Evidence] = [
      .init("system.sockprotoname", all.contains { !$0.isIPv6 } ? name : name + "v6"),
      key.isMultipath
        ? .init("connection", "none: in no kernel table, checked twice, or in state 7")
        : .init("kernel tables with it", "none, checked twice"),
    ]
    evidence += growth.evidence
    return Finding(
      .detached, severity, .detachedWithoutConnection, count: all.count, who: who,
      sentence: "\(who.name) holds \(NumberText.noun(all.count, "descriptor")) of \(name) sockets that "
        + (key.isMultipath ? "have no connection: " : "no kernel table lists: ")
        + "\(NumberText.verb(all.count, "it was", "they were")) reset, refused or timed out and not closed, or never "
        + "connected.",
      why: "The connection has ended, or never began; the descriptor stays until the program closes it."
        + (key.isMultipath ? "" : " ss and netstat do not show these."),
      facts: [
        .read(.holders, NumberText.noun(all.count, "descriptor")),
        .holds(.allNamespaces, "read", !census.gaps.hidesSockets),
      ],
      evidence: evidence, sockets: all.map(\.reference), share: share)
  }
}
