/// The local ports that connections from one address to one destination can have: how many are taken and by what, how
/// many are left, and for how long they last.
///
/// A port serves one connection for each destination, so that each destination has a budget of its own. But a port that
/// `bind` took, before a connect or for a listener, serves nobody else at all, and is missing in every budget.
public struct PortBudget: Sendable {
  /// From where to where.
  public struct Route: Hashable, Sendable {
    /// Which of ``Census/namespaces``.
    public var namespace: UInt16
    /// The address of this side. What an IPv6 socket does through IPv4 counts as IPv4.
    public var source: NetworkAddress
    /// The address of the other side.
    public var destination: NetworkAddress
    /// The port of the other side; 0 when it stands for every destination that has no connection yet, from any source.
    public var port: UInt16

    /// Whether it stands for every destination that has no connection yet.
    public var isAnyOther: Bool { port == 0 }
  }

  /// A program, and how many ports it has.
  public struct User: Hashable, Sendable {
    /// The process; 0 for those whose process could not be read, or that have ended.
    public var pid: Int32
    /// So many ports.
    public var ports: Int

    /// From both.
    /// - Parameters:
    ///   - pid: The process, or 0.
    ///   - ports: So many ports.
    public init(pid: Int32, ports: Int) {
      self.pid = pid
      self.ports = ports
    }
  }

  /// From where to where.
  public var route: Route
  /// Ports of connections, from SYN-SENT on, that are not in TIME-WAIT.
  public var connected = 0
  /// Ports that rest in TIME-WAIT.
  public var resting = 0
  /// How many of the resting ones connect may take all the same, because they have rested long enough for
  /// `tcp_tw_reuse`; needs timestamps on both sides.
  public var reusable = 0
  /// Ports that `bind` took in this namespace, for a listener, before a connect, or for nothing yet: no connect gets them.
  /// Those that have a connection of this route are not counted again.
  public var bound = 0
  /// How many of them are bound on the address of this route and not connected.
  public var boundHere = 0
  /// How many of ``bound`` are only probably so: the kernel does not keep who chose the port of a connection.
  public var boundProbably = 0
  /// How many there are to choose from: `ip_local_port_range` less the reserved ones.
  public var capacity: Int
  /// The programs that have connections of this route, the one with the most first.
  public var users: [User] = []
  /// The programs that have bound ports in this namespace, the one with the most first.
  public var binders: [User] = []
  /// What happened between two looks; nil after one.
  public var pace: Pace?
  /// One of its connections, by its place in the census.
  var example = 0
  /// Whether the kernel uses ports in TIME-WAIT again.
  var reusesTimeWait = false
  /// After how many seconds.
  var restBeforeReuse = 1.0

  init(_ route: Route, capacity: Int) {
    self.route = route
    self.capacity = capacity
  }

  /// Ports that are left, without those that ``reusable`` counts.
  public var free: Int { max(0, capacity - connected - resting - bound) }
  /// Which part is taken, from 0 to 1.
  public var share: Double { capacity > 0 ? min(1, Double(capacity - free) / Double(capacity)) : 1 }
  /// Connections a second, over the last minute, that this side opened and closed first. There may have been more: what the
  /// other side closes first leaves nothing here, nor does a port that was used again.
  public var closedPerSecond: Double { Double(resting) / 60 }
  /// How many connections a second this side can open and close first for ever: each rests for 60 s, or for a second where
  /// the kernel may use it again.
  public var sustainedPerSecond: Double {
    Double(max(0, capacity - connected - bound)) / (reusesTimeWait ? restBeforeReuse : 60)
  }
  /// What happened between two looks.
  public struct Pace: Hashable, Sendable {
    /// How far apart they were.
    public var interval: Duration
    /// Connections that are there now, or rest, and were not there before. There may have been more, which left no trace.
    public var opened: Int
    /// At most so many were opened, by the namespace's count of all connects; nil where it is not known.
    public var openedAtMost: Int?
    /// How many more ports are taken than before.
    public var growth: Int
    /// When the ports will be gone if it goes on like this; nil when they will not.
    ///
    /// Those that rest now come back when their time is over. The bounds allow for one connection more or less in the
    /// interval.
    public var exhaustion: Since?

    /// Connections a second, at least.
    public var openedPerSecond: Double { Double(opened) / max(interval.inSeconds, 0.001) }
    /// Connections a second, at most.
    public var openedPerSecondAtMost: Double? { openedAtMost.map { Double($0) / max(interval.inSeconds, 0.001) } }
  }

  /// The findings whose remedies help here, the most helpful first: `Fix(_:in:)` has the words.
  /// - Parameter thresholds: From which shares on.
  public func remedies(_ thresholds: Thresholds = Thresholds()) -> [FindingID] {
    guard capacity > 0 else { return [] }
    var all: [FindingID] = []
    if Double(bound) / Double(capacity) > thresholds.boundShare { all.append(.bindBeforeConnect) }
    if Double(resting) / Double(capacity) >= thresholds.timeWaitWarning { all.append(.timeWaitChurn) }
    if share >= thresholds.portsWarning { all.append(.portsExhausted) }
    return all
  }

  /// The budget of every route that has a connection, the fullest first; and where ports are bound, one for all other
  /// destinations. It asks the kernel nothing.
  /// - Parameters:
  ///   - census: The picture.
  ///   - earlier: A picture from before it, for ``pace``.
  public static func all(in census: Census, since earlier: Census? = nil) -> [PortBudget] {
    Examination(census, Diagnosis.Options()).portBudgets(since: earlier)
  }
}

/// When ports will be gone.
struct PortForecast {
  /// Taken now.
  var taken: Int
  /// How many may be.
  var limit: Int
  /// How many more connections there are each second, those in TIME-WAIT not counted.
  var held: Double
  /// How many each second come to rest.
  var rested: Double
  /// For how many seconds they do.
  var rest: Double
  /// In how many seconds those that rest now come back, ascending.
  var returning: [Double]

  /// Seconds until as many are taken as there may be; nil for never.
  var exhaustion: Double? {
    // Between two ports that come back, the number that is taken changes evenly.
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
    // From here on as many come back as go to rest.
    if count >= limit { return start }
    return held > 0 ? start + (limit - count) / held : nil
  }
}
