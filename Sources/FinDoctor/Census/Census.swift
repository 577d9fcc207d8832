/// One picture of every socket on the machine: what the kernel says of it, and who holds it.
///
/// `Census.take()` makes one from the running kernel; a test makes one from parts. It is a value: it does not change when
/// the sockets do.
///
/// The tables are read one after the other while programs go on, so a socket may be seen twice on its way from one table
/// to another, or have an owner that has closed it meanwhile. Rows of the same cookie are taken once.
public struct Census: Sendable {
  /// TCP, UDP and MPTCP sockets of every namespace that could be read.
  public var sockets: ContiguousArray<InetSocket>
  /// Unix sockets.
  public var unixSockets: ContiguousArray<UnixSocket>
  /// The names of Unix sockets, one after the other; an abstract name begins with a zero byte.
  public var unixNames: ContiguousArray<UInt8>
  /// The inodes of Unix clients that wait for accept, one listener's after the other's.
  public var unixWaiting: ContiguousArray<UInt32>
  /// Who holds what.
  public var holders: Holders
  /// The programs of all processes that hold a socket.
  public var programs: [Int32: Program]
  /// The cgroups, by number, of sockets whose process is not known: it has ended, or may not be looked at.
  public var cgroups: [UInt64: Cgroup] = [:]
  /// Who would notice what, of the processes that ``watch(_:)`` was asked about.
  public var watchers: [Int32: Watchers]
  /// What programs publish of their sockets, of the processes that ``readLedgers(of:)`` was asked about.
  public var ledgers: [Int32: ProgramLedger] = [:]
  /// By their identity, who held sockets that nobody holds any more, of the picture that ``recall(from:)`` was given.
  var formerHolders: [UInt64: FormerHolder] = [:]
  /// Descriptors of sockets that no table lists.
  public var detached: ContiguousArray<DetachedSocket>
  /// The namespaces, the own one first. A row names its by its place here.
  public var namespaces: [Namespace]
  /// What could not be seen.
  public var blindness: Blindness
  /// When it began.
  public var when: Moment

  /// From parts.
  public init(
    sockets: ContiguousArray<InetSocket> = [], unixSockets: ContiguousArray<UnixSocket> = [],
    unixNames: ContiguousArray<UInt8> = [], unixWaiting: ContiguousArray<UInt32> = [],
    holders: Holders = Holders(sockets: []), programs: [Int32: Program] = [:], watchers: [Int32: Watchers] = [:],
    detached: ContiguousArray<DetachedSocket> = [], namespaces: [Namespace] = [Namespace()],
    blindness: Blindness = Blindness(), when: Moment = Moment()
  ) {
    self.sockets = sockets
    self.unixSockets = unixSockets
    self.unixNames = unixNames
    self.unixWaiting = unixWaiting
    self.holders = holders
    self.programs = programs
    self.watchers = watchers
    self.detached = detached
    self.namespaces = namespaces
    self.blindness = blindness
    self.when = when
  }

  /// A moment, by both clocks.
  public struct Moment: Hashable, Sendable {
    /// Nanoseconds of `CLOCK_MONOTONIC`: for differences.
    public var monotonic: UInt64
    /// Nanoseconds since 1970 by `CLOCK_REALTIME`: for people.
    public var wall: Int64

    /// From both.
    public init(monotonic: UInt64 = 0, wall: Int64 = 0) {
      self.monotonic = monotonic
      self.wall = wall
    }
  }

  /// The descriptors that hold this socket.
  public func holders(of socket: InetSocket) -> ContiguousArray<Holder>.SubSequence { holders[socket.inode] }

  /// The program of the first process that holds this socket; nil when nobody does, or nobody who may be looked at.
  public func program(of socket: InetSocket) -> Program? {
    holders.first(of: socket.inode).flatMap { programs[$0.pid] }
  }

  /// The namespace of this socket.
  public func namespace(of socket: InetSocket) -> Namespace { namespaces[Int(socket.namespace)] }

  /// The name of a Unix socket, made visible: a path, `@name` for an abstract one, nil for none.
  public func name(of socket: UnixSocket) -> String? {
    guard !socket.name.isEmpty else { return nil }
    let bytes = unixNames[Int(socket.name.lowerBound)..<Int(socket.name.upperBound)]
    return bytes.first == 0 ? "@" + visible(bytes.dropFirst()) : visible(bytes)
  }
}
