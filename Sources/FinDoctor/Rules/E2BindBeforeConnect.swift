extension FindingID {
  /// Ports are taken by bind before connect, for every destination at once.
  public static let bindBeforeConnect = FindingID(code: "E2")
}

extension Rule {
  static let bindBeforeConnect = Rule(
    .bindBeforeConnect, name: "bind-before-connect",
    summary: "Ports are taken by bind before connect, for every destination at once.",
    concernsMachine: true,
    fix: Remedies(
      "Set IP_BIND_ADDRESS_NO_PORT before bind(address, 0): connect then chooses the port.",
      in: [
        .python: "sock.setsockopt(IPPROTO_IP, 24, 1) (IP_BIND_ADDRESS_NO_PORT) before sock.bind((address, 0))."
      ],
      withFin: "An address is bound without a port: connect chooses the port."),
    claims: [.portsWereBound],
    leadsTo: [.inProcess(.portsExhausted)],
    find: { $0.boundBeforeConnect() })
}

extension Claim {
  /// Ports were chosen by bind.
  fileprivate static let portsWereBound = Claim(
    "ports were bound", needs: [.rows, .portRange],
    .rare("the kernel does not record what chose a port; this is inferred from the port numbers"))
}

extension CensusIndex {
  /// Ports that were taken by bind instead of connect, and therefore for every destination at once.
  fileprivate func boundBeforeConnect() -> [Finding] {
    var found: [Finding] = []
    for source in boundSources() {
      let all = source.count
      guard let capacity = census.namespaces[Int(source.key.namespace)].limits.ephemeralPortCount, capacity > 0 else {
        continue
      }
      let share = Double(all) / Double(capacity)
      let who = who(source.key.owner)
      let address = NetworkAddress(source.key.address, isIPv6: source.key.isIPv6)
      found.append(
        Finding(
          .bindBeforeConnect, share > thresholds.boundShare ? .warning : .info, .portsWereBound, count: all, who: who,
          sentence:
            "\(who.name) binds \(address) before it connects: \(NumberText.number(all)) ports are taken for every "
            + "destination, and for every program.",
          why: "bind with port 0 takes a port exclusively; connect alone shares it between destinations. "
            + "\(NumberText.percent(share)) of the ports are taken that way.",
          facts: [
            .read(.rows, "\(source.odd) odd ports and \(source.even) even ones"), .read(.portRange, "\(capacity)"),
          ],
          evidence: [
            .init("odd and even ports", "\(source.odd) and \(source.even): bind gives odd ones, connect even ones"),
            .init("SOCKOPT bit 8", "0: without IP_BIND_ADDRESS_NO_PORT"),
            .init("bound and not connected", "\(source.unconnected)"),
            .init("destinations", "\(source.destinations.count)"), example(source.members[0]),
          ],
          share: share))
    }
    return found.sorted { ($0.share ?? 0) > ($1.share ?? 0) }
  }
}
