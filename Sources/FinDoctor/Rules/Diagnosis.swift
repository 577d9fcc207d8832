internal import FinBase

/// Finds sockets that do not end as they should, in one census or by comparing two.
///
/// ```swift
/// var census = try Census.take()
/// var options = Diagnosis.Options()
/// Diagnosis.prepare(&census, &options)
/// for finding in Diagnosis.findings(in: census, options) { print(finding.sentence) }
/// ```
public enum Diagnosis {
  /// The thresholds and additional facts for a diagnosis.
  public struct Options: Sendable {
    /// The limits above which something is a finding.
    public var thresholds = Thresholds()
    /// An earlier census, to find growth and events between the two.
    public var earlier: Census?
    /// Censuses taken between ``earlier`` and the examined one, oldest first. A leak counts as growing if each census
    /// shows more of it than the previous one; with two censuses here, that is three increases in a row.
    public var between: [Census] = []
    /// The connections that were closed with unread data between the two censuses.
    package var closed = ClosedUnread()
    /// The languages of programs, by process, where they are known better than from the name of the executable.
    package var languages: [Int32: Language] = [:]
    /// The sockets that were in a transient state (``Diagnosis/passing(in:)``) in an earlier census; nil without one.
    package var passingBefore: Set<UInt64>?
    /// Whether to suppress findings that the program declared intentional. False once the program has ended, because
    /// its intent ends with it.
    package var heedsPurposes = true

    /// Creates options with the catalogue's thresholds, for one census.
    public init() {}

    /// Adds a census to the end of ``between``. Keeps only the rows in which a leak could be counted: a small part of a
    /// hundred thousand sockets.
    /// - Parameter census: The census.
    public mutating func add(between census: Census) {
      var census = census
      // The subflows of an MPTCP connection are needed to tell its age.
      if !census.sockets.contains(where: { $0.transport == .mptcp }) {
        census.sockets = ContiguousArray(census.sockets.lazy.filter { $0.state == .closeWait || $0.state == .listen })
      }
      between.append(census)
    }

    /// The censuses before the last one, oldest first.
    var before: [Census] { (earlier.map { [$0] } ?? []) + between }
  }

  /// The findings, and the sockets that were left out.
  package struct Outcome: Sendable {
    /// All findings, in no particular order.
    package var findings: [Finding]
    /// Sockets that were left out because the program declared their state intentional.
    package var onPurpose: [DeclaredIntent]
    /// The budget of every route, as the rules counted it: as ``PortBudget/all(in:since:)`` returns it without an
    /// earlier census.
    package var budgets: [PortBudget]
  }

  /// Returns all findings, in no particular order. Uses only the census; reads nothing from the kernel.
  public static func findings(in census: Census, _ options: Options = Options()) -> [Finding] {
    examine(census, options).findings
  }

  /// Returns all findings, and what was left out. Uses only the census; reads nothing from the kernel.
  package static func examine(_ census: Census, _ options: Options = Options()) -> Outcome {
    let look = CensusIndex(census, options)
    let (findings, budgets) = all(look)
    return Outcome(findings: findings.map(look.traced), onPurpose: look.onPurpose(), budgets: budgets)
  }

  private static func all(_ look: CensusIndex) -> ([Finding], [PortBudget]) {
    // With very many connections, counting their ports takes as long as all other findings together.
    let aside = JoinableThread { [census = look.census, options = look.options] in
      let index = CensusIndex(census, options)
      return (found(in: index, aside: true), index.portBudgets())
    }
    let others = found(in: look, aside: false)
    let (ofPorts, budgets) = aside.join() ?? (found(in: look, aside: true), look.portBudgets())
    return (others + ofPorts, budgets)
  }

  private static func found(in look: CensusIndex, aside: Bool) -> [Finding] {
    Rule.all.flatMap { $0.runsAside == aside ? $0.find(look) : [] }
  }

  /// The sockets in a state that every socket passes through while it is closed, so that a single census may have
  /// caught them in passing: connections that no descriptor of any process holds, by ``InetSocket/identity``, and Unix
  /// sockets whose peer has closed, by their cookies. A socket that is in this state in two censuses is stuck there.
  package static func passing(in census: Census) -> Set<UInt64> {
    var all = Set(
      census.sockets.indices.lazy.filter { census.sockets[$0].isConnection && census.isWithoutDescriptor($0) }
        .map { census.sockets[$0].identity })
    for socket in census.unixSockets where socket.hasLostItsPeer { all.insert(socket.cookie) }
    return all
  }

  /// The processes whose epoll sets and threads would explain a finding. Call `Census.watch` with them before
  /// `findings`.
  package static func processesToWatch(in census: Census, _ thresholds: Thresholds = Thresholds()) -> Set<Int32> {
    var options = Options()
    options.thresholds = thresholds
    return CensusIndex(census, options).processesToWatch
  }

  /// Groups findings that explain each other, cause first; every other finding stands alone. The worst group
  /// comes first.
  public static func chains(_ findings: [Finding]) -> [[Finding]] { Chains(findings).all }

  /// Whether the left finding is printed before the right one.
  static func isWorse(_ left: Finding, _ right: Finding) -> Bool {
    if left.severity != right.severity { return left.severity > right.severity }
    if (left.share ?? 0) != (right.share ?? 0) { return (left.share ?? 0) > (right.share ?? 0) }
    if left.count != right.count { return left.count > right.count }
    if left.id != right.id { return left.id.rawValue < right.id.rawValue }
    return (left.who?.pid ?? 0) < (right.who?.pid ?? 0)
  }
}
