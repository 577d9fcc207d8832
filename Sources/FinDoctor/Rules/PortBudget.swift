/// The local ports available to connections from one address to one destination: the number taken and by what, the
/// number left, and the time until they run out.
///
/// A port serves one connection for each destination, so each destination has a budget of its own. A port that `bind`
/// took, before a connect or for a listener, serves no other connection at all, and is missing from every budget.
package struct PortBudget: Sendable {
  /// A source and a destination.
  package struct Route: Hashable, Sendable {
    /// An index in ``Census/namespaces``.
    package var namespace: UInt16
    /// The local address. IPv4 traffic of an IPv6 socket counts as IPv4.
    package var source: NetworkAddress
    /// The remote address.
    package var destination: NetworkAddress
    /// The remote port; 0 when the route stands for every destination without a connection, from any source.
    package var port: UInt16

    /// Whether the route stands for every destination without a connection.
    package var isAnyOther: Bool { port == 0 }
  }

  /// A process and the number of its ports.
  package struct User: Hashable, Sendable {
    /// The process; 0 for processes that could not be read or have ended.
    package var pid: Int32
    /// The number of ports.
    package var ports: Int

    /// Creates an entry.
    /// - Parameters:
    ///   - pid: The process, or 0.
    ///   - ports: The number of ports.
    package init(pid: Int32, ports: Int) {
      self.pid = pid
      self.ports = ports
    }
  }

  /// The source and the destination.
  package var route: Route
  /// The number of ports whose connection is in SYN-SENT or a later state other than TIME-WAIT.
  package var connected = 0
  /// The number of ports in TIME-WAIT.
  package var resting = 0
  /// The number of ports in TIME-WAIT that connect may take all the same, because they are old enough for
  /// `tcp_tw_reuse`; needs timestamps on both sides.
  package var reusable = 0
  /// The number of ports that `bind` took in this namespace, for a listener, before a connect, or without either. No
  /// connect gets them. Ports that have a connection of this route are not counted again.
  package var bound = 0
  /// The number of them that are bound to the address of this route and not connected.
  package var boundHere = 0
  /// The number of ``bound`` ports that are only probably so: the kernel does not record whether bind or connect chose
  /// the port of a connection.
  package var boundProbably = 0
  /// The number of ports to choose from: `ip_local_port_range` without the reserved ones.
  package var capacity: Int
  /// The processes that have connections of this route, the one with the most first.
  package var users: [User] = []
  /// The processes that have bound ports in this namespace, the one with the most first.
  package var binders: [User] = []
  /// The changes between the two censuses; nil without an earlier one.
  package var pace: Pace?
  /// The index of one of its connections in the census; nil where no row has one.
  var example: Int?
  /// Whether the kernel reuses ports in TIME-WAIT.
  var reusesTimeWait = false
  /// The time in TIME-WAIT before that, in seconds.
  var restBeforeReuse = 1.0

  init(_ route: Route, capacity: Int) {
    self.route = route
    self.capacity = capacity
  }

  /// The number of free ports, not including ``reusable``.
  package var free: Int { max(0, capacity - connected - resting - bound) }
  /// The taken part of the ports, from 0 to 1.
  package var share: Double { capacity > 0 ? min(1, Double(capacity - free) / Double(capacity)) : 1 }
  /// The connections per second, over the last minute, that this side opened and closed first. There may have been
  /// more: a connection that the other side closes first leaves nothing here, nor does a port that was reused.
  package var closedPerSecond: Double { Double(resting) / 60 }
  /// The rate, per second, at which this side can open connections and close them first without running out of ports.
  /// Each port is in TIME-WAIT for 60 s, or for a second where the kernel may reuse it.
  package var sustainedPerSecond: Double {
    Double(max(0, capacity - connected - bound)) / (reusesTimeWait ? restBeforeReuse : 60)
  }
  /// The changes between two censuses.
  package struct Pace: Hashable, Sendable {
    /// The time between the censuses.
    package var interval: Duration
    /// The number of connections, open or in TIME-WAIT, that the earlier census did not contain. There may have been
    /// more, which left no trace.
    package var opened: Int
    /// An upper bound of the number of connections opened, from the namespace's count of all connects; nil where that
    /// is unknown.
    package var openedAtMost: Int?
    /// The increase in the number of ports taken.
    package var growth: Int
    /// The time until the ports run out at this rate; nil when they do not.
    ///
    /// Ports in TIME-WAIT come back when their time is over. The bounds allow for one connection more or less in
    /// the interval.
    package var exhaustion: AgeBounds?

    /// The connections opened per second, at least.
    package var openedPerSecond: Double { Double(opened) / max(interval.inSeconds, 0.001) }
    /// The connections opened per second, at most.
    package var openedPerSecondAtMost: Double? { openedAtMost.map { Double($0) / max(interval.inSeconds, 0.001) } }
  }

  /// The findings whose remedies help here, the most helpful first; `Fix(_:in:)` gives their texts.
  /// - Parameter thresholds: The shares from which a remedy applies.
  package func remedies(_ thresholds: Thresholds = Thresholds()) -> [FindingID] {
    guard capacity > 0 else { return [] }
    var all: [FindingID] = []
    if Double(bound) / Double(capacity) > thresholds.boundShare { all.append(.bindBeforeConnect) }
    if Double(resting) / Double(capacity) >= thresholds.timeWaitWarning { all.append(.timeWaitChurn) }
    if share >= thresholds.portsWarning { all.append(.portsExhausted) }
    return all
  }

  /// Returns the budget of every route that has a connection, the fullest first, and, where ports are bound, one for
  /// all other destinations. Uses only the censuses; reads nothing from the kernel.
  /// - Parameters:
  ///   - census: The census.
  ///   - earlier: An earlier census, for ``pace``.
  package static func all(in census: Census, since earlier: Census? = nil) -> [PortBudget] {
    CensusIndex(census, Diagnosis.Options()).portBudgets(since: earlier)
  }
}

/// A forecast of when the ports run out.
struct PortForecast {
  /// The number of ports taken now.
  var taken: Int
  /// The number of ports that may be taken.
  var limit: Int
  /// The growth per second in the number of connections outside TIME-WAIT.
  var held: Double
  /// The number of connections per second that enter TIME-WAIT.
  var rested: Double
  /// The seconds that a port stays in TIME-WAIT.
  var rest: Double
  /// The seconds until each of the ports now in TIME-WAIT comes back, ascending.
  var returning: [Double]

  /// The seconds until the limit is reached; nil for never.
  var exhaustion: Double? {
    // Between two returns, the number of taken ports grows at a constant rate.
    var moments = returning.filter { $0 < rest } + [rest]
    moments.sort()
    var start = 0.0
    var count = Double(taken)
    let limit = Double(limit)
    for moment in moments {
      if count >= limit { return start }
      let slope = held + rested
      if slope > 0, count + slope * (moment - start) >= limit { return start + (limit - count) / slope }
      count += slope * (moment - start)
      if moment < rest { count -= 1 }
      start = moment
    }
    // From here on, ports leave TIME-WAIT as fast as they enter it.
    if count >= limit { return start }
    return held > 0 ? start + (limit - count) / held : nil
  }
}
