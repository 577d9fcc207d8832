extension FindingID {
  /// Few local ports are left for a destination.
  public static let portsExhausted = FindingID(code: "E1")
}

extension Rule {
  static let portsExhausted = Rule(
    .portsExhausted, name: "ports-exhausted", summary: "Few local ports are left for a destination.",
    concernsMachine: true,
    runsAside: true,
    fix: Remedies(
      "Keep connections and reuse them (a pool, keep-alive). If that is not enough, use more source or destination "
        + "addresses; then tcp_tw_reuse=1; last, a wider ip_local_port_range.",
      withFin: "fin lab port-exhaustion shows how ports run out and become free again."),
    claims: [.fewPortsLeft],
    find: { $0.exhaustedPorts() })
}

extension Claim {
  /// Most ports for one destination are taken.
  fileprivate static let fewPortsLeft = Claim(
    "few ports left", needs: [.rows, .portRange],
    .rare("rows may be missing, because the tables changed while they were read", unless: .wholeTables))
}

extension CensusIndex {
  /// The share of ephemeral ports that is taken, for each destination.
  fileprivate func exhaustedPorts() -> [Finding] {
    var isBlamed: Set<UInt16> = []
    return portBudgets().filter { budget in
      guard !budget.route.isAnyOther, budget.share >= thresholds.portsWarning else { return false }
      // Ports taken by bind are missing for every destination, so one destination is enough to report them.
      guard Double(budget.bound) >= thresholds.portsWarning * Double(budget.capacity) else { return true }
      return isBlamed.insert(budget.route.namespace).inserted
    }.map { exhaustion($0) }
  }

  private func exhaustion(_ budget: PortBudget) -> Finding {
    let route = budget.route
    let limits = census.namespaces[Int(route.namespace)].limits
    let user = budget.users.first { $0.pid != 0 }
    let who: ProcessOwner? = user.map { self.who(OwnerKey(pid: $0.pid)) }
    let capacity = budget.capacity
    var evidence: [Finding.Evidence] = [
      .init("connected", NumberText.number(budget.connected)), .init("in TIME-WAIT", NumberText.number(budget.resting)),
      .init("bound, for every destination", NumberText.number(budget.bound)),
      .init("ip_local_port_range", limits.ephemeralPorts.map { "\($0.lowerBound) \($0.upperBound)" } ?? "unknown"),
      .init("of these not reserved", NumberText.number(capacity)),
    ]
    if let reuse = limits.timeWaitReuse { evidence.append(.init("tcp_tw_reuse", "\(reuse)")) }
    if let who, let user { evidence.append(.init("connections of \(who.name)", NumberText.number(user.ports))) }
    var finding = Finding(
      .portsExhausted, budget.share >= thresholds.portsCritical ? .critical : .warning, .fewPortsLeft,
      count: capacity - budget.free, who: who,
      sentence: "\(NumberText.number(capacity - budget.free)) of \(NumberText.number(capacity)) ports are taken for "
        + "connections from \(route.source) to \(route.destination.with(port: route.port)): when none is left, "
        + "connect fails with EADDRNOTAVAIL.",
      why: budget.resting > budget.connected + budget.bound
        ? "Most of them are in TIME-WAIT after a close by this side: "
          + "\(rest(limits, isLoopback: route.source.isLoopback))."
        : budget.bound > budget.connected + budget.resting
          ? "Most of them were taken by bind, for every destination at once."
          : "A port serves one connection for each destination, and connect slows down when half of them are taken.",
      facts: [
        .read(.rows, NumberText.number(capacity - budget.free)),
        .read(.portRange, limits.ephemeralPorts.map { "\($0.lowerBound) \($0.upperBound)" }),
        .holds(.wholeTables, "read without a change", hasWholeTables),
      ],
      evidence: evidence, share: budget.share)
    finding.links.remotes = [
      budget.example.map { sockets[$0].remoteEndpoint }
        ?? Finding.Endpoint(address: route.destination.bits, port: route.port, namespace: route.namespace)
    ]
    return finding
  }

  private func rest(_ limits: KernelLimits, isLoopback: Bool) -> String {
    let isReused = limits.timeWaitReuse == 1 || limits.timeWaitReuse == 2 && isLoopback
    return isReused ? "each can be used again after a second" : "each stays there for 60 s"
  }
}
