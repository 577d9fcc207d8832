/// E1 to E3: the ephemeral ports, from which connect chooses.
extension CensusIndex {
  var findingsAboutPorts: [Finding] { ports() + boundBeforeConnect() }

  /// E1: the share of ephemeral ports that is taken, for each destination.
  private func ports() -> [Finding] {
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
    let who: Who? = user.map { self.who(OwnerKey(pid: $0.pid)) }
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
      .portsExhausted, budget.share >= thresholds.portsCritical ? .critical : .warning,
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
      evidence: evidence, share: budget.share)
    finding.links.remotes = [Finding.Endpoint(address: sockets[budget.example].remoteBits, port: route.port)]
    return finding
  }

  private func rest(_ limits: KernelLimits, isLoopback: Bool) -> String {
    let isReused = limits.timeWaitReuse == 1 || limits.timeWaitReuse == 2 && isLoopback
    return isReused ? "each can be used again after a second" : "each stays there for 60 s"
  }

  /// E2: ports that were taken by bind instead of connect, and therefore for every destination at once.
  private func boundBeforeConnect() -> [Finding] {
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
          .bindBeforeConnect, share > thresholds.boundShare ? .warning : .info, count: all, who: who,
          sentence:
            "\(who.name) binds \(address) before it connects: \(NumberText.number(all)) ports are taken for every "
            + "destination, and for every program.",
          why: "bind with port 0 takes a port exclusively; connect alone shares it between destinations. "
            + "\(NumberText.percent(share)) of the ports are taken that way.",
          evidence: [
            .init("odd and even ports", "\(source.odd) and \(source.even): bind gives odd ones, connect even ones"),
            .init("SOCKOPT bit 8", "0: without IP_BIND_ADDRESS_NO_PORT"),
            .init("bound and not connected", "\(source.unconnected)"),
            .init("destinations", "\(source.destinations.count)"), example(source.members[0]),
          ],
          confidence: .likely("the kernel does not record what chose a port; this is inferred from the port numbers"),
          share: share))
    }
    return found.sorted { ($0.share ?? 0) > ($1.share ?? 0) }
  }

  /// E3: ports in TIME-WAIT, by destination where this side connected, and by local port where it serves.
  func timeWaits() -> [Finding] {
    struct Key: Hashable {
      var namespace: UInt16
      var place: Place
    }
    var counts: [Key: Int] = [:]
    for index in resting {
      let socket = sockets[index]
      let place =
        isServerSide(index) || !isChosen(index)
        ? local(of: socket)
        : remote(of: socket)
      counts[Key(namespace: socket.namespace, place: place), default: 0] += 1
    }
    let hasOverflowed = increase(of: "TcpExt.TCPTimeWaitOverflow") > 0
    var found: [Finding] = []
    for (key, count) in counts {
      let limits = census.namespaces[Int(key.namespace)].limits
      guard let capacity = limits.ephemeralPortCount, capacity > 0 else { continue }
      let share = Double(count) / Double(capacity)
      guard share >= thresholds.timeWait else { continue }
      let table = limits.timeWaitEntries.map { Double(count) / Double(max($0, 1)) }
      var severity = Severity.info
      if key.place.isPeer, share >= thresholds.timeWaitWarning { severity = .warning }
      if hasOverflowed { severity = .critical }
      let rate = Double(count) / 60
      let rateText = rate < 1 ? "less than one" : "about \(NumberText.number(Int(rate)))"
      found.append(
        Finding(
          .timeWaitChurn, severity, count: count,
          sentence: key.place.isPeer
            ? "\(NumberText.number(count)) connections \(key.place.words) are in TIME-WAIT: this "
              + "side opened and closed "
              + "\(rateText) a second."
            : "\(NumberText.number(count)) connections \(key.place.words) are in TIME-WAIT: this side was the first to "
              + "close \(rateText) a second.",
          why: key.place.isPeer
            ? "The side that closes first keeps the port for 60 s; these are \(NumberText.percent(share)) of the ports "
              + "for that destination."
            : "On the server's side each takes about 300 bytes and no port, which is harmless.",
          evidence: [
            .init("TIME-WAIT", NumberText.number(count)), .init("ports to choose from", NumberText.number(capacity)),
            .init("tcp_max_tw_buckets", limits.timeWaitEntries.map { NumberText.number($0) } ?? "unknown"),
            .init("TCPTimeWaitOverflow", hasOverflowed ? "growing" : "not growing"),
          ],
          share: key.place.isPeer ? max(share, table ?? 0) : table))
    }
    return found.sorted { $0.count > $1.count }
  }
}
