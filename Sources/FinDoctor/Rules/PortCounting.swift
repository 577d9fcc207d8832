/// A set of ports, one bit each.
struct PortSet {
  private var words = ContiguousArray<UInt64>(repeating: 0, count: 1024)
  private(set) var count = 0

  func contains(_ port: UInt16) -> Bool { words[Int(port >> 6)] & 1 << UInt64(port & 63) != 0 }

  /// Inserts a port and returns whether it is new.
  @discardableResult
  mutating func insert(_ port: UInt16) -> Bool {
    if contains(port) { return false }
    words[Int(port >> 6)] |= 1 << UInt64(port & 63)
    count += 1
    return true
  }
}

/// The owners of ports: one count, shared by the budgets and by E1 to E3.
extension CensusIndex {
  /// Whether connect or bind probably chose the local port: it is ephemeral, and no listener is on it.
  func isChosen(_ index: Int) -> Bool {
    census.namespaces[Int(sockets[index].namespace)].limits.isEphemeral(sockets[index].localPort)
      && !isServerSide(index)
  }

  func isServerSide(_ index: Int) -> Bool {
    isListening(sockets[index].namespace, sockets[index].localBits, sockets[index].localPort)
  }

  /// Ports of one source address that were probably taken by bind instead of connect.
  struct BoundSource {
    struct Key: Hashable {
      var namespace: UInt16
      var address: AddressBits
      var isIPv6: Bool
      var owner: OwnerKey
    }

    var key: Key
    var ports = PortSet()
    var odd = 0
    var even = 0
    var unconnected = 0
    var destinations: Set<Finding.Endpoint> = []
    /// Indices in the census.
    var members: [Int] = []
    var count: Int { odd + even }
  }

  /// Sources whose ports were bound before connect, judged by the port numbers.
  ///
  /// The kernel does not record whether bind or connect chose a port. But Linux gives odd ports (counted from the
  /// lowest) to bind and even ones to connect, as long as there are any. An end that was accepted has the port of a
  /// listener, which may be closed by now: it did not connect.
  func boundSources() -> [BoundSource] {
    if let sources = portCounts.boundSources { return sources }
    var sources: [BoundSource.Key: BoundSource] = [:]
    var lowest: [UInt16: UInt16] = [:]
    for (place, namespace) in census.namespaces.enumerated() {
      lowest[UInt16(place)] = namespace.limits.ephemeralPorts?.lowerBound
    }
    // A row is large: it is not copied for the many that are passed over.
    for index in named + synSent + bound where isChosen(index) && sockets[index].mayBeBoundBeforeConnect {
      guard let lowest = lowest[sockets[index].namespace] else { continue }
      let key = BoundSource.Key(
        namespace: sockets[index].namespace, address: sockets[index].localBits, isIPv6: sockets[index].isIPv6,
        owner: owner(of: sockets[index]))
      sources[key, default: BoundSource(key: key)].count(sockets[index], at: index, lowest: lowest)
    }
    // One port in ten may be even, because bind takes even ones when the odd ones run out.
    let found = sources.values.filter { $0.count >= thresholds.boundMany && $0.even * 9 <= $0.odd }
    portCounts.boundSources = found
    return found
  }

  /// The ports of a namespace that bind took, so that no connect gets them.
  fileprivate struct Claims {
    var certain = PortSet()
    /// All of them, including the certain ones.
    var all = PortSet()
    /// The number of ports bound and not connected, by address.
    var unconnected: [NetworkAddress: Int] = [:]
    var owners: [Int32: Int] = [:]

    mutating func insert(_ port: UInt16, isCertain: Bool, _ pid: Int32) {
      if isCertain { certain.insert(port) }
      if all.insert(port) { owners[pid, default: 0] += 1 }
    }
  }

  private func claims() -> [UInt16: Claims] {
    var claims: [UInt16: Claims] = [:]
    for index in bound + listeners {
      let (namespace, port) = (sockets[index].namespace, sockets[index].localPort)
      guard census.namespaces[Int(namespace)].limits.isEphemeral(port) else { continue }
      claims[namespace, default: Claims()].insert(port, isCertain: true, pid(of: index))
      if sockets[index].state == .bound {
        claims[namespace, default: Claims()].unconnected[plain(sockets[index].localAddress), default: 0] += 1
      }
    }
    for source in boundSources() {
      for index in source.members {
        claims[source.key.namespace, default: Claims()]
          .insert(sockets[index].localPort, isCertain: false, pid(of: index))
      }
    }
    return claims
  }

  private func pid(of index: Int) -> Int32 { census.holders.first(of: sockets[index].inode)?.pid ?? 0 }

  /// The address with IPv4-mapped IPv6 as IPv4, and with an interface only for link-local addresses.
  private func plain(_ address: NetworkAddress) -> NetworkAddress {
    if let v4 = address.asIPv4 { return NetworkAddress(AddressBits(low: UInt64(v4)), isIPv6: false) }
    return NetworkAddress(address.bits, isIPv6: true, interface: address.isLinkLocal ? address.interface : 0)
  }

  func route(_ index: Int) -> PortBudget.Route {
    let socket = sockets[index]
    return PortBudget.Route(
      namespace: socket.namespace, source: plain(socket.localAddress), destination: plain(socket.remoteAddress),
      port: socket.remotePort)
  }

  /// The connections of one route.
  fileprivate struct Tally {
    var members: [Int] = []
    var resting = 0
    /// Those of them that no row has: a history counted them.
    var unlisted = 0
    var claimed = 0
    var claimedForSure = 0
    var owners: [Int32: Int] = [:]
  }

  private func tallies(_ claims: [UInt16: Claims]) -> [PortBudget.Route: Tally] {
    var tallies: [PortBudget.Route: Tally] = [:]
    for index in named + synSent where isChosen(index) {
      let claims = claims[sockets[index].namespace]
      let port = sockets[index].localPort
      let owner = sockets[index].state == .timeWait ? nil : pid(of: index)
      tallies[route(index), default: Tally()].count(
        index, isResting: sockets[index].state == .timeWait, isClaimed: claims?.all.contains(port) == true,
        isClaimedForSure: claims?.certain.contains(port) == true, owner)
    }
    for rest in census.recordedRests where rest.localPort == 0 {
      let route = PortBudget.Route(
        namespace: rest.namespace, source: rest.local, destination: rest.remote, port: rest.remotePort)
      tallies[route, default: Tally()].count(rest)
    }
    return tallies
  }

  /// The budget of every route, the fullest first.
  func portBudgets(since earlier: Census? = nil) -> [PortBudget] {
    if earlier == nil, let budgets = portCounts.budgets { return budgets }
    let claims = claims()
    let tallies = tallies(claims)
    var budgets: [PortBudget] = []
    for (route, tally) in tallies {
      let limits = census.namespaces[Int(route.namespace)].limits
      guard let capacity = limits.ephemeralPortCount, capacity > 0 else { continue }
      budgets.append(budget(route, tally, limits, capacity, claims[route.namespace]))
    }
    for (namespace, claims) in claims {
      let limits = census.namespaces[Int(namespace)].limits
      guard let capacity = limits.ephemeralPortCount, capacity > 0 else { continue }
      let any = NetworkAddress(AddressBits(), isIPv6: false)
      let route = PortBudget.Route(namespace: namespace, source: any, destination: any, port: 0)
      var other = budget(route, Tally(), limits, capacity, claims)
      other.boundHere = claims.unconnected.values.reduce(0, +)
      budgets.append(other)
    }
    if let earlier { addPace(to: &budgets, tallies, since: earlier) }
    budgets.sort { left, right in
      if left.share != right.share { return left.share > right.share }
      if left.connected + left.resting != right.connected + right.resting {
        return left.connected + left.resting > right.connected + right.resting
      }
      let (one, other) = (left.route, right.route)
      if one.namespace != other.namespace { return one.namespace < other.namespace }
      if one.port != other.port { return one.port < other.port }
      // By value and not by text: with many destinations, printing them for each comparison took half of the time.
      return one.destination == other.destination
        ? one.source.isBefore(other.source) : one.destination.isBefore(other.destination)
    }
    if earlier == nil { portCounts.budgets = budgets }
    return budgets
  }

  private func budget(
    _ route: PortBudget.Route, _ tally: Tally, _ limits: KernelLimits, _ capacity: Int, _ claims: Claims?
  ) -> PortBudget {
    var budget = PortBudget(route, capacity: capacity)
    budget.connected = tally.members.count + tally.unlisted - tally.resting
    budget.resting = tally.resting
    budget.example = tally.members.first
    budget.users = users(tally.owners)
    if let claims {
      budget.bound = claims.all.count - tally.claimed
      budget.boundProbably = budget.bound - (claims.certain.count - tally.claimedForSure)
      budget.boundHere = claims.unconnected[route.source] ?? 0
      budget.binders = users(claims.owners)
    }
    let isLocal = route.source.isLoopback || route.destination.isLoopback
    budget.reusesTimeWait = limits.timeWaitReuse == 1 || limits.timeWaitReuse == 2 && isLocal
    if budget.reusesTimeWait {
      let delay = limits.timeWaitReuseDelay ?? .seconds(1)
      budget.restBeforeReuse = max(delay.inSeconds, 0.001)
      budget.reusable = tally.members.count {
        sockets[$0].state == .timeWait && UInt64(sockets[$0].expires) + delay.milliseconds <= 60_000
      }
    }
    return budget
  }

  private func users(_ owners: [Int32: Int]) -> [PortBudget.User] {
    owners.map { PortBudget.User(pid: $0.key, ports: $0.value) }
      .sorted { ($1.ports, $0.pid) < ($0.ports, $1.pid) }
  }

  /// Compares with an earlier census by cookie, which a socket keeps when it enters TIME-WAIT.
  private func addPace(to budgets: inout [PortBudget], _ tallies: [PortBudget.Route: Tally], since earlier: Census) {
    let before = CensusIndex(earlier, options)
    var wasResting: [UInt64: Bool] = [:]
    for index in before.named + before.synSent {
      wasResting[before.sockets[index].cookie] = before.sockets[index].state == .timeWait
    }
    let places = Dictionary(
      earlier.namespaces.enumerated().map { ($1.inode, UInt16($0)) }, uniquingKeysWith: { first, _ in first })
    let takenBefore = Dictionary(
      before.portBudgets().map { ($0.route, (held: $0.connected, all: $0.capacity - $0.free)) },
      uniquingKeysWith: { first, _ in first })
    let interval = Duration.nanoseconds(
      Int64(clamping: census.when.monotonic - min(census.when.monotonic, earlier.when.monotonic)))
    let opened = budgets.map { budget in
      tallies[budget.route]?.members.count { wasResting[sockets[$0].cookie] == nil } ?? 0
    }
    var openedByAll: [UInt16: Int] = [:]
    for (budget, count) in zip(budgets, opened) { openedByAll[budget.route.namespace, default: 0] += count }
    for index in budgets.indices {
      let budget = budgets[index]
      let members = tallies[budget.route]?.members ?? []
      let namespace = census.namespaces[Int(budget.route.namespace)]
      var old = budget.route
      guard let place = places[namespace.inode] else { continue }
      old.namespace = place
      let taken = takenBefore[old]
      let others = (openedByAll[budget.route.namespace] ?? 0) - opened[index]
      // The connections that have entered TIME-WAIT since. A connection that reused its port has another cookie.
      let rested = members.count { sockets[$0].state == .timeWait && wasResting[sockets[$0].cookie] != true }
      var pace = PortBudget.Pace(
        interval: interval, opened: opened[index],
        growth: budget.capacity - budget.free - (taken?.all ?? budget.bound))
      if let now = namespace.counters["Tcp.ActiveOpens"],
        let then = earlier.namespaces[Int(place)].counters["Tcp.ActiveOpens"], now >= then
      {
        // The counter is read before the table, so a connection opened in between is in the table and not in the count.
        pace.openedAtMost = max(opened[index], Int(now - then) - others)
      }
      pace.exhaustion = exhaustion(budget, members, interval, held: budget.connected - (taken?.held ?? 0), rested)
      budgets[index].pace = pace
    }
  }

  private func exhaustion(
    _ budget: PortBudget, _ members: [Int], _ interval: Duration, held: Int, _ rested: Int
  ) -> AgeBounds? {
    let seconds = interval.inSeconds
    guard seconds > 0, held > 0 || rested > 0 else { return budget.free == 0 ? AgeBounds(atLeast: 0, atMost: 0) : nil }
    let rest = budget.reusesTimeWait ? budget.restBeforeReuse : 60
    let returning = members.filter { sockets[$0].state == .timeWait }
      .map { max(0, Double(sockets[$0].expires) / 1000 - (60 - rest)) }.sorted()
    func forecast(_ more: Int) -> Double? {
      PortForecast(
        taken: budget.connected + budget.resting, limit: budget.capacity - budget.bound,
        held: Double(held == 0 ? 0 : held + more) / seconds,
        rested: Double(rested == 0 ? 0 : max(0, rested + more)) / seconds, rest: rest, returning: returning
      ).exhaustion
    }
    guard forecast(0) != nil, let earliest = forecast(1) else { return nil }
    func milliseconds(_ seconds: Double) -> UInt64 { UInt64(min(max(seconds, 0) * 1000, 1e15)) }
    return AgeBounds(atLeast: milliseconds(earliest), atMost: forecast(-1).map(milliseconds))
  }
}

extension InetSocket {
  /// Whether bind may have chosen the local port; of a socket without details, and in TIME-WAIT, it is not known.
  fileprivate var mayBeBoundBeforeConnect: Bool {
    state != .timeWait && bindsAddressOnly == false && !localAddress.isUnspecified && wasAccepted != true
  }
}

extension CensusIndex.BoundSource {
  fileprivate mutating func count(_ socket: InetSocket, at index: Int, lowest: UInt16) {
    members.append(index)
    if socket.state == .bound {
      unconnected += 1
    } else if destinations.count < 1000 {
      destinations.insert(socket.remoteEndpoint)
    }
    // The connections that a listener accepted share its port, also after the listener is closed.
    guard ports.insert(socket.localPort) else { return }
    if (socket.localPort - lowest) % 2 == 1 { odd += 1 } else { even += 1 }
  }
}

extension CensusIndex.Tally {
  fileprivate mutating func count(_ rest: RestingCount) {
    resting += rest.count
    unlisted += rest.count
    // A row in TIME-WAIT has no owner. A history knows it, where a look saw the connection open.
    if rest.pid != 0 { owners[rest.pid, default: 0] += rest.count }
  }

  fileprivate mutating func count(
    _ index: Int, isResting: Bool, isClaimed: Bool, isClaimedForSure: Bool, _ owner: Int32?
  ) {
    members.append(index)
    if isResting { resting += 1 }
    if isClaimed { claimed += 1 }
    if isClaimedForSure { claimedForSure += 1 }
    if let owner { owners[owner, default: 0] += 1 }
  }
}
