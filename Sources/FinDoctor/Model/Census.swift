/// A snapshot of every socket on the machine: the kernel's data about it, and the processes that hold it.
///
/// `Census.take()` makes one from the running kernel; a test makes one from parts. It is a value: it does not change
/// when the sockets do.
///
/// The tables are read one after the other while programs continue to run. So a socket may be seen twice on its way
/// from one table to another, or have an owner that has closed it meanwhile. Rows of the same cookie are taken once.
public struct Census: Sendable {
  /// The TCP, UDP and MPTCP sockets of every namespace that could be read.
  public var sockets: ContiguousArray<InetSocket>
  /// The Unix sockets of the same namespaces.
  public var unixSockets: ContiguousArray<UnixSocket>
  /// The names of Unix sockets, one after the other; an abstract name begins with a zero byte.
  package var unixNames: ContiguousArray<UInt8>
  /// The inodes of Unix clients that wait for accept, grouped by listener.
  package var unixWaiting: ContiguousArray<UInt32>
  /// The processes' descriptors, by the socket that each holds.
  public var holders: Holders
  /// The programs of all processes that hold a socket.
  public var programs: [Int32: Program]
  /// The cgroups, by number, of sockets whose process is unknown: it has ended, or may not be read.
  package var cgroups: [UInt64: Cgroup] = [:]
  /// The holders of the sockets that no descriptor holds, by inode.
  package var keepers: [UInt32: Keeper] = [:]
  /// The epoll entries and blocked threads of the processes that were given to ``watch(_:)``.
  package var watchers: [Int32: Watchers]
  /// The published socket data of the processes that were given to ``readLedgers(of:)``.
  package var ledgers: [Int32: ProgramLedger] = [:]
  /// The former holders of sockets that no descriptor holds any more, by the sockets' identity, from the census that
  /// was given to ``recall(from:)``.
  var formerHolders: [UInt64: FormerHolder] = [:]
  /// The times that sockets have spent in their state, by identity, where a history knows them: the kernel's fields in
  /// the rows may be of another moment.
  package var recordedAges: [UInt64: AgeBounds] = [:]
  /// The connections in TIME-WAIT that a history counted and did not list, so that no row has them.
  package var recordedRests: [RestingCount] = []
  /// The descriptors of sockets that no table lists.
  public var detached: ContiguousArray<DetachedSocket>
  /// The sockets of other kinds that processes hold: of packets, raw, of netlink. No table of this census lists them.
  public internal(set) var otherSockets: ContiguousArray<OtherSocket> = []
  /// The namespaces, the caller's own one first. A row refers to its namespace by the index here.
  public var namespaces: [Namespace]
  /// The gaps of this census.
  public var gaps: CensusGaps
  /// The moment when the census began.
  public var when: Moment

  /// Makes a census from parts, for tests.
  package init(
    sockets: ContiguousArray<InetSocket> = [], unixSockets: ContiguousArray<UnixSocket> = [],
    unixNames: ContiguousArray<UInt8> = [], unixWaiting: ContiguousArray<UInt32> = [],
    holders: Holders = Holders(sockets: []), programs: [Int32: Program] = [:], watchers: [Int32: Watchers] = [:],
    detached: ContiguousArray<DetachedSocket> = [], namespaces: [Namespace] = [Namespace()],
    gaps: CensusGaps = CensusGaps(), when: Moment = Moment()
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
    self.gaps = gaps
    self.when = when
  }

  /// A moment, by two clocks.
  public struct Moment: Hashable, Sendable {
    /// Nanoseconds of `CLOCK_MONOTONIC`, for differences.
    public var monotonic: UInt64
    /// Nanoseconds since 1970 by `CLOCK_REALTIME`, for display.
    public var wall: Int64

    /// A moment given by both clocks.
    package init(monotonic: UInt64 = 0, wall: Int64 = 0) {
      self.monotonic = monotonic
      self.wall = wall
    }
  }

  /// The descriptors that hold this socket.
  public func holders(of socket: InetSocket) -> ContiguousArray<Holder>.SubSequence { holders[socket.inode] }

  /// The program of the first process that holds this socket; nil when no process holds it, or none that may be read.
  public func program(of socket: InetSocket) -> Program? {
    holders.first(of: socket.inode).flatMap { programs[$0.pid] }
  }

  /// The namespace of this socket.
  public func namespace(of socket: InetSocket) -> Namespace { namespaces[Int(socket.namespace)] }

  /// The name of a Unix socket, escaped for printing: a path, `@name` for an abstract one, nil for none.
  public func name(of socket: UnixSocket) -> String? {
    guard !socket.name.isEmpty else { return nil }
    let bytes = unixNames[Int(socket.name.lowerBound)..<Int(socket.name.upperBound)]
    return bytes.first == 0 ? "@" + visible(bytes.dropFirst()) : visible(bytes)
  }
}
