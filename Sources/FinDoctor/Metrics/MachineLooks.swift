internal import FinBase

/// Looks at the machine, one census after the other, for its metrics.
///
/// Each look is like that of `fin check`: the same findings with the same thresholds. From the second one on, it also
/// finds growth and events since an earlier look.
package struct MachineLooks: Sendable {
  private let mutes: Mutes
  private let version: String
  private var history: MetricsHistory
  private var looks: RepeatedLooks

  /// Makes looks that have not begun.
  /// - Parameters:
  ///   - options: The data to read.
  ///   - mutes: The findings to leave out.
  ///   - limits: The limits on the samples.
  ///   - version: The version of the command.
  package init(_ options: Census.Options, _ mutes: Mutes, _ limits: MetricLimits = MetricLimits(), version: String) {
    looks = RepeatedLooks(options)
    self.mutes = mutes
    self.version = version
    history = MetricsHistory(limits)
  }

  /// Takes a census, and returns its samples and what could not be seen, one sentence each. Blocks.
  package mutating func next() throws(Census.Failure) -> (samples: [MetricSample], hidden: [String]) {
    let next = try looks.next()
    let census = next.census
    var look = MetricsHistory.Look(census, findings: next.outcome.findings.filter { !mutes.mutes($0) })
    look.onPurpose = next.outcome.onPurpose
    look.muted = next.outcome.findings.count - look.findings.count
    look.containers = ContainerNames.read(neededBy: census)
    look.version = version
    look.kernel = Self.kernel
    look.lookTime = next.lookTime
    look.findingsTime = next.findingsTime
    return (history.samples(of: look), census.gaps.sentences)
  }

  /// Runs `body` on a thread of its own, where ``next()`` may block.
  /// - Returns: Whether a thread could be started.
  package static func onThread(_ body: @escaping @Sendable () -> Void) -> Bool { DetachedThread.start(body) == 0 }

  private static var kernel: String {
    guard let bytes = try? Files.read("/proc/sys/kernel/osrelease", limit: 256) else { return "" }
    return visible(bytes.prefix { $0 != 10 })
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
