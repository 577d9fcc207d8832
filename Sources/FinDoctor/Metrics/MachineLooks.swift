internal import FinBase

/// Looks at the machine, one census after the other, for its metrics.
///
/// Each look is like that of `fin check`: the same findings with the same thresholds. From the second one on, it also
/// finds growth and events since an earlier look.
package struct MachineLooks: Sendable {
  private let options: Census.Options
  private let mutes: Mutes
  private let version: String
  private var history: MetricsHistory
  private var passing: Set<UInt64>?
  private var earlier: Census?

  /// Makes looks that have not begun.
  /// - Parameters:
  ///   - options: The data to read.
  ///   - mutes: The findings to leave out.
  ///   - limits: The limits on the samples.
  ///   - version: The version of the command.
  package init(_ options: Census.Options, _ mutes: Mutes, _ limits: MetricLimits = MetricLimits(), version: String) {
    self.options = options
    self.mutes = mutes
    self.version = version
    history = MetricsHistory(limits)
  }

  /// The time between two censuses that are compared, at least: two scrapers may come a second after each other.
  private static let interval: UInt64 = 10 * 1_000_000_000

  /// Takes a census, and returns its samples and what could not be seen, one sentence each. Blocks.
  package mutating func next() throws(Census.Failure) -> (samples: [MetricSample], hidden: [String]) {
    let clock = ContinuousClock()
    let begun = clock.now
    var census = try take()
    var facts = Diagnosis.Options()
    if passing == nil {
      // As `fin check` does: a socket that is being closed at the moment of the census is not there in the next.
      let first = Diagnosis.passing(in: census)
      if !first.isEmpty {
        SystemClock.pause(.milliseconds(250))
        census = try take()
      }
      passing = first
    }
    let looked = clock.now
    facts.passingBefore = passing
    facts.earlier = earlier
    let passingNow = Diagnosis.passing(in: census)
    Diagnosis.prepare(&census, &facts)
    let outcome = Diagnosis.examine(census, facts)
    var look = MetricsHistory.Look(census, findings: outcome.findings.filter { !mutes.mutes($0) })
    look.onPurpose = outcome.onPurpose
    look.muted = outcome.findings.count - look.findings.count
    look.containers = ContainerNames.read(neededBy: census)
    look.version = version
    look.kernel = Self.kernel
    look.lookTime = looked - begun
    look.findingsTime = clock.now - looked
    let samples = history.samples(of: look)
    passing = passingNow
    if earlier.map({ census.when.monotonic >= $0.when.monotonic + Self.interval }) ?? true {
      earlier = census.forComparison()
    }
    return (samples, census.gaps.sentences)
  }

  /// Runs `body` on a thread of its own, where ``next()`` may block.
  /// - Returns: Whether a thread could be started.
  package static func onThread(_ body: @escaping @Sendable () -> Void) -> Bool { DetachedThread.start(body) == 0 }

  /// A census without this process, the one that forks its helpers, and the helpers: they are no subject of their
  /// own report.
  private func take() throws(Census.Failure) -> Census {
    var census = try Census.take(options)
    var own: Set = [ThisProcess.pid]
    if let source = Helpers.source {
      own.insert(source)
      own.formUnion(census.programs.lazy.filter { $0.value.parent == source }.map(\.key))
    }
    census.leaveOut(own)
    return census
  }

  private static var kernel: String {
    guard let bytes = try? Files.read("/proc/sys/kernel/osrelease", limit: 256) else { return "" }
    return visible(bytes.prefix { $0 != 10 })
  }
}

extension Census {
  /// The part of a census that a later one is compared with: listeners, leaked connections, datagram sockets, and the
  /// numbers of descriptors. It is a small part of a hundred thousand sockets.
  func forComparison() -> Census {
    var rest = self
    rest.unixSockets = []
    rest.unixNames = []
    rest.unixWaiting = []
    rest.watchers = [:]
    rest.ledgers = [:]
    // The subflows of an MPTCP connection are needed to tell its age.
    if !sockets.contains(where: { $0.transport == .mptcp }) {
      rest.sockets = ContiguousArray(
        sockets.lazy.filter { $0.state == .closeWait || $0.state == .listen || $0.transport == .udp })
    }
    var inodes = Set(rest.sockets.lazy.map(\.inode))
    inodes.formUnion(detached.lazy.map(\.inode))
    rest.holders = Holders(
      sockets: holders.entries.filter { inodes.contains($0.inode) }, processes: holders.processes)
    return rest
  }
}

extension ContainerNames {
  /// Reads the names where a program of the census is in a container.
  static func read(neededBy census: Census) -> ContainerNames {
    guard
      census.programs.values.contains(where: { $0.container != nil })
        || census.cgroups.values.contains(where: { $0.container != nil }),
      let folder = try? Descriptor("/var/log/containers")
    else { return ContainerNames() }
    var files: [String] = []
    try? FolderReader().forEachFile(in: folder.number) { files.append($0) }
    return ContainerNames(files: files)
  }
}
