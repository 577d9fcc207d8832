/// What is not as it should be, in one picture of the sockets, or in two.
///
/// ```swift
/// var census = try Census.take()
/// census.watch(Diagnosis.processesToWatch(in: census))
/// for finding in Diagnosis.findings(in: census) { print(finding.sentence) }
/// ```
public enum Diagnosis {
  /// What it takes besides the picture.
  public struct Options: Sendable {
    /// From when on something is found.
    public var thresholds = Thresholds()
    /// An earlier picture: for what grows, and for what happened between the two.
    public var earlier: Census?
    /// Pictures between the two, the oldest first. A leak is said to grow when there is more of it in each than in the one
    /// before: with two of these, three times in a row.
    public var between: [Census] = []
    /// Sockets that were closed between the two, as they were at their end.
    public var closed: [InetSocket] = []
    /// What programs are written in, where it is known better than from their names.
    public var languages: [Int32: Language] = [:]
    /// Of sockets that no descriptor holds, by inode: the process whose ring of io_uring holds them.
    public var ringHolders: [UInt32: Int32] = [:]
    /// What was in a passing state (``Diagnosis/passing(in:)``) in an earlier look already; nil when there was none.
    public var passingBefore: Set<UInt64>?
    /// Whether nothing is said of sockets of which their program says that it means it. False where a program has ended: nothing
    /// is meant any more.
    public var heedsPurposes = true

    /// The catalogue's thresholds, and one picture.
    public init() {}

    /// Puts a picture behind those that are between the two. Of its rows only those are kept that a leak could be counted in:
    /// of a hundred thousand sockets, few.
    /// - Parameter census: The picture.
    public mutating func add(between census: Census) {
      var census = census
      // The paths of a connection of MPTCP tell how old it is.
      if !census.sockets.contains(where: { $0.transport == .mptcp }) {
        census.sockets = ContiguousArray(census.sockets.lazy.filter { $0.state == .closeWait || $0.state == .listen })
      }
      between.append(census)
    }

    /// The pictures before the last one, the oldest first.
    var before: [Census] { (earlier.map { [$0] } ?? []) + between }
  }

  /// What was found, and what was not said.
  public struct Outcome: Sendable {
    /// All findings, in no order.
    public var findings: [Finding]
    /// Sockets that were left out, because their program says that it means it.
    public var onPurpose: [OnPurpose]
  }

  /// All findings, in no order. It asks the kernel nothing.
  public static func findings(in census: Census, _ options: Options = Options()) -> [Finding] {
    examine(census, options).findings
  }

  /// All findings, and what was left out. It asks the kernel nothing.
  public static func examine(_ census: Census, _ options: Options = Options()) -> Outcome {
    let look = Examination(census, options)
    let findings = all(look).map(look.traced)
    return Outcome(findings: findings, onPurpose: look.onPurpose())
  }

  private static func all(_ look: Examination) -> [Finding] {
    // With very many connections, to count their ports takes as long as all the rest: on another processor, if there is one.
    let ports = OwnThread { [census = look.census, options = look.options] in
      Examination(census, options).findingsAboutPorts
    }
    let others =
      look.closeWaits() + look.detached() + look.descriptorLimits() + look.inherited() + look.withoutDescriptor()
      + look.closedUnread() + look.finWait2() + look.orphans() + look.peerZeroWindows() + look.unread()
      + look.unacknowledged() + look.idle() + look.keepaliveFailing() + look.connecting() + look.timeWaits()
      + look.acceptOverflows() + look.acceptStalls() + look.synBacklogs() + look.acceptsWithoutDescriptors()
      + look.memory() + look.unix()
    return others + (ports.join() ?? look.findingsAboutPorts)
  }

  /// What is in a state that every socket passes while it is closed, so that one look alone may have come just then:
  /// connections that no descriptor of any process holds, by ``InetSocket/identity``, and Unix sockets whose other end has gone,
  /// by their cookies. What still is so in a second look has stayed so.
  public static func passing(in census: Census) -> Set<UInt64> {
    var all = Set(
      census.sockets.indices.lazy.filter { census.isWithoutDescriptor($0) }.map { census.sockets[$0].identity })
    for socket in census.unixSockets where socket.hasLostItsPeer { all.insert(socket.cookie) }
    return all
  }

  /// The processes whose epoll sets and threads would tell why: ask `Census.watch` about them before `findings`.
  public static func processesToWatch(in census: Census, _ thresholds: Thresholds = Thresholds()) -> Set<Int32> {
    var options = Options()
    options.thresholds = thresholds
    return Examination(census, options).processesToWatch
  }

  /// Findings that explain each other, cause first, and every other one alone; the worst first.
  public static func chains(_ findings: [Finding]) -> [[Finding]] { Chains(findings).all }

  /// Whether one finding is to be printed before the other.
  static func isWorse(_ left: Finding, _ right: Finding) -> Bool {
    if left.severity != right.severity { return left.severity > right.severity }
    if (left.share ?? 0) != (right.share ?? 0) { return (left.share ?? 0) > (right.share ?? 0) }
    if left.count != right.count { return left.count > right.count }
    if left.id != right.id { return left.id.rawValue < right.id.rawValue }
    return (left.who?.pid ?? 0) < (right.who?.pid ?? 0)
  }
}
