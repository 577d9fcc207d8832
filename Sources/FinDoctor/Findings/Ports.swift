/// E1 to E3: the ports that connect chooses from.
extension Examination {
  /// All connections that cannot share a port with each other: from one address to one destination.
  private struct Route: Hashable {
    var namespace: UInt16
    var source: AddressBits
    var destination: AddressBits
    var port: UInt16
    var isIPv6: Bool
  }

  fileprivate struct Budget {
    var connected = 0
    var resting = 0
    var owners: [Int32: Int] = [:]
    var example = 0
    var used: Int { connected + resting }
  }

  /// Whether connect or bind chose the own port.
  private func isChosen(_ index: Int) -> Bool {
    census.namespaces[Int(sockets[index].namespace)].limits.isEphemeral(sockets[index].localPort)
      && !isServerSide(index)
  }

  private func isServerSide(_ index: Int) -> Bool {
    isListening(sockets[index].namespace, sockets[index].localBits, sockets[index].localPort)
  }

  /// E1: how many of the ports are taken, for each destination.
  func ports() -> [Finding] {
    var budgets: [Route: Budget] = [:]
    for index in named where isChosen(index) {
      let route = Route(
        namespace: sockets[index].namespace, source: sockets[index].localBits, destination: sockets[index].remoteBits,
        port: sockets[index].remotePort, isIPv6: sockets[index].isIPv6)
      budgets[route, default: Budget(example: index)].count(
        isResting: sockets[index].state == .timeWait, holder: census.holders.first(of: sockets[index].inode)?.pid)
    }
    var found: [Finding] = []
    for (route, budget) in budgets {
      let limits = census.namespaces[Int(route.namespace)].limits
      guard let capacity = limits.ephemeralPortCount, capacity > 0 else { continue }
      let share = Double(budget.used) / Double(capacity)
      if share >= thresholds.portsWarning { found.append(exhaustion(route, budget, limits, capacity, share)) }
    }
    return found.sorted { ($0.share ?? 0) > ($1.share ?? 0) }
  }

  private func exhaustion(
    _ route: Route, _ budget: Budget, _ limits: KernelLimits, _ capacity: Int, _ share: Double
  ) -> Finding {
    let user = budget.owners.max { ($0.value, $1.key) < ($1.value, $0.key) }
    let who: Who? = user.map { self.who(Owner(pid: $0.key)) }
    let destination = NetworkAddress(route.destination, isIPv6: route.isIPv6).with(port: route.port)
    let source = NetworkAddress(route.source, isIPv6: route.isIPv6)
    var evidence: [Finding.Evidence] = [
      .init("connected", Counted.number(budget.connected)), .init("in TIME-WAIT", Counted.number(budget.resting)),
      .init("ip_local_port_range", limits.ephemeralPorts.map { "\($0.lowerBound) \($0.upperBound)" } ?? "unknown"),
      .init("of these not reserved", Counted.number(capacity)),
    ]
    if let reuse = limits.timeWaitReuse { evidence.append(.init("tcp_tw_reuse", "\(reuse)")) }
    if let who, let user { evidence.append(.init("connections of \(who.name)", Counted.number(user.value))) }
    var finding = Finding(
      .portsExhausted, share >= thresholds.portsCritical ? .critical : .warning, count: budget.used, who: who,
      sentence: "\(Counted.number(budget.used)) of \(Counted.number(capacity)) ports are taken for connections from "
        + "\(source) to \(destination): when none is left, connect fails with EADDRNOTAVAIL.",
      why: budget.resting > budget.connected
        ? "Most of them rest in TIME-WAIT after a close by this side: \(rest(limits, isLoopback: source.isLoopback))."
        : "A port serves one connection for each destination, and connect slows down when half of them are gone.",
      evidence: evidence, share: share)
    finding.links.remotes = [Finding.Endpoint(address: route.destination, port: route.port)]
    return finding
  }

  private func rest(_ limits: KernelLimits, isLoopback: Bool) -> String {
    let isReused = limits.timeWaitReuse == 1 || limits.timeWaitReuse == 2 && isLoopback
    return isReused ? "each may be used again after a second" : "each rests for 60 s"
  }

  /// E2: ports that were taken by bind and not by connect, and so for every destination at once.
  ///
  /// The kernel does not keep who chose a port. But Linux gives odd ports (counted from the lowest) to bind and even ones
  /// to connect, as long as there are any.
  func boundBeforeConnect() -> [Finding] {
    struct Source: Hashable {
      var namespace: UInt16
      var address: AddressBits
      var isIPv6: Bool
      var owner: Owner
    }
    struct Chosen {
      var odd = 0
      var even = 0
      var unconnected = 0
      var destinations: Set<Finding.Endpoint> = []
      var example = 0
    }
    var sources: [Source: Chosen] = [:]
    for index in named + bound {
      let socket = sockets[index]
      guard isChosen(index), socket.state != .timeWait, socket.bindsAddressOnly == false,
        !socket.localAddress.isUnspecified, let lowest = limits(of: socket).ephemeralPorts?.lowerBound
      else { continue }
      let source = Source(
        namespace: socket.namespace, address: socket.localBits, isIPv6: socket.isIPv6, owner: owner(of: socket))
      var chosen = sources[source] ?? Chosen(example: index)
      if (socket.localPort - lowest) % 2 == 1 { chosen.odd += 1 } else { chosen.even += 1 }
      if socket.state == .bound {
        chosen.unconnected += 1
      } else if chosen.destinations.count < 1000 {
        chosen.destinations.insert(Finding.Endpoint(address: socket.remoteBits, port: socket.remotePort))
      }
      sources[source] = chosen
    }
    var found: [Finding] = []
    for (source, chosen) in sources {
      let all = chosen.odd + chosen.even
      // One in ten may be even: when the odd ones are gone, bind takes those.
      guard all >= thresholds.boundMany, chosen.even * 9 <= chosen.odd,
        let capacity = census.namespaces[Int(source.namespace)].limits.ephemeralPortCount, capacity > 0
      else { continue }
      let share = Double(all) / Double(capacity)
      let who = who(source.owner)
      let address = NetworkAddress(source.address, isIPv6: source.isIPv6)
      found.append(
        Finding(
          .bindBeforeConnect, share > thresholds.boundShare ? .warning : .info, count: all, who: who,
          sentence: "\(who.name) binds \(address) before it connects: \(Counted.number(all)) ports are taken for every "
            + "destination, and for everybody.",
          why: "bind with port 0 takes a port for good; connect alone shares it between destinations. "
            + "\(Counted.percent(share)) of the ports are gone that way.",
          evidence: [
            .init("odd and even ports", "\(chosen.odd) and \(chosen.even): bind gives odd ones, connect even ones"),
            .init("SOCKOPT bit 8", "0: without IP_BIND_ADDRESS_NO_PORT"),
            .init("bound and not connected", "\(chosen.unconnected)"),
            .init("destinations", "\(chosen.destinations.count)"), example(chosen.example),
          ],
          confidence: .likely("the kernel does not keep who chose a port; this is read from which ports they are"),
          share: share))
    }
    return found.sorted { ($0.share ?? 0) > ($1.share ?? 0) }
  }

  /// E3: ports that rest in TIME-WAIT, by destination where we connected, and by our own port where we serve.
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
      let rateText = rate < 1 ? "less than one" : "about \(Counted.number(Int(rate)))"
      found.append(
        Finding(
          .timeWaitChurn, severity, count: count,
          sentence: key.place.isPeer
            ? "\(Counted.number(count)) connections \(key.place.words) rest in TIME-WAIT: \(rateText) a second "
              + "\(rate < 2 ? "was" : "were") opened and closed by this side."
            : "\(Counted.number(count)) connections \(key.place.words) rest in TIME-WAIT: \(rateText) a second "
              + "\(rate < 2 ? "was" : "were") closed by this side first.",
          why: key.place.isPeer
            ? "Who closes first keeps the port for 60 s; these are \(Counted.percent(share)) of the ports for that "
              + "destination."
            : "On the server's side this takes about 300 bytes each and no port: harmless.",
          evidence: [
            .init("TIME-WAIT", Counted.number(count)), .init("ports to choose from", Counted.number(capacity)),
            .init("tcp_max_tw_buckets", limits.timeWaitEntries.map { Counted.number($0) } ?? "unknown"),
            .init("TCPTimeWaitOverflow", hasOverflowed ? "growing" : "not growing"),
          ],
          share: key.place.isPeer ? max(share, table ?? 0) : table))
    }
    return found.sorted { $0.count > $1.count }
  }
}

extension Examination.Budget {
  fileprivate mutating func count(isResting: Bool, holder: Int32?) {
    if isResting { resting += 1 } else { connected += 1 }
    if let holder { owners[holder, default: 0] += 1 }
  }
}
