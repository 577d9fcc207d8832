internal import FinBase

/// Makes samples of one census after the other, and remembers what the next ones need: the names that have series of
/// their own, counters, growth, and the series that have gone.
///
/// It reads nothing from the kernel. The first census of a new history makes the samples of that census alone.
package struct MetricsHistory: Sendable {
  /// A census with the findings in it.
  package struct Look: Sendable {
    package var census: Census
    package var findings: [Finding]
    package var onPurpose: [DeclaredIntent] = []
    /// The number of findings that were muted. ``findings`` does not have them.
    package var muted = 0
    package var containers = ContainerNames()
    /// The versions of fin and of the kernel.
    package var version = ""
    package var kernel = ""
    /// The time that the census took, and the time that the findings took.
    package var lookTime = Duration.zero
    package var findingsTime = Duration.zero

    /// A look without findings.
    package init(_ census: Census, findings: [Finding] = []) {
      self.census = census
      self.findings = findings
    }
  }

  /// The time for which a series stays after its cause is gone, in nanoseconds: an hour.
  static let afterlife: UInt64 = 3600 * 1_000_000_000

  let limits: MetricLimits
  private var programs = Ranking<ProgramLabel>()
  private var listeners = Ranking<ListenerLabel>()
  private var namespaces = Ranking<String>()
  /// The part of the limits on programs and listeners that keeps the number of samples within its limit.
  private var share = 1.0
  private var owners = ProgramTallies.Owners()
  private var dropped = CounterSums<UInt64>()
  private var events = CounterSums<EventSource>()
  private var descriptors = DescriptorHistory()
  private var gone: [MetricSample.Series: (value: MetricValue, seen: UInt64)] = [:]

  /// A counter of a namespace.
  private struct EventSource: Hashable, Sendable {
    var namespace: UInt32
    var event: Int
  }

  /// An empty history.
  package init(_ limits: MetricLimits = MetricLimits()) { self.limits = limits }

  /// The samples of a census.
  package mutating func samples(of look: Look) -> [MetricSample] {
    let now = look.census.when.monotonic
    let index = CensusIndex(look.census, Diagnosis.Options())
    var tallies = ProgramTallies(index, look.findings, look.containers, before: owners)
    owners = tallies.owners
    let places = look.census.namespaceLabels(look.containers)
    let panels = ListenerTally.all(index, &tallies)

    var rest = machine(look)
    let budgets = PortSamples(index, places, limits)
    rest += budgets.samples
    let spaces = namespaces.keep(
      Dictionary(places.enumerated().map { ($1, look.census.namespaces[$0].isOwn ? .infinity : 1) }) { max($0, $1) },
      limit: limits.namespaces)
    rest += eventSamples(look.census, places, spaces, now)

    // A smaller share is chosen at once, and a larger one only if it leaves room: names must not come and go.
    let sizes = tallies.tallies.map(\.sampleCount).sorted(by: >)
    func count(_ share: Double) -> Int { mostSamples(sizes, panels.count, share: share) + rest.count }
    while share < 1, count(share * 2) < limits.samples * 9 / 10 { share *= 2 }
    while share > 0.01, count(share) > limits.samples { share /= 2 }
    let own = programs.keep(
      Dictionary(uniqueKeysWithValues: zip(tallies.labels, tallies.tallies.map(\.weight))),
      limit: scaled(limits.programs))
    let ownListeners = listeners.keep(panels.mapValues(\.weight), limit: scaled(limits.listeners))
    let folded = [
      ("programs", tallies.labels.count - own.count), ("listeners", panels.count - ownListeners.count),
      ("destinations", budgets.folded), ("namespaces", Set(places).count - spaces.count),
    ]
    rest += folded.map { MetricSample(.folded, [$0.0], .count($0.1)) }
    rest += unitSamples(tallies.labels.filter { own.contains($0) }, look.containers)
    let all = programSamples(tallies, own, now) + listenerSamples(panels, ownListeners, now) + rest
    return withThoseGone(all, now)
  }

  private func scaled(_ limit: Int, _ share: Double? = nil) -> Int { Int(Double(limit) * min(1, share ?? self.share)) }

  /// The largest number of samples of programs and listeners with this share of their limits.
  /// - Parameters:
  ///   - sizes: The numbers of samples of all programs, the largest first.
  ///   - count: The number of listeners.
  private func mostSamples(_ sizes: [Int], _ count: Int, share: Double) -> Int {
    // The sum of the others may have every series of a program, and that of the listeners every one of a listener.
    sizes.prefix(scaled(limits.programs, share)).reduce(0, +) + Metric.mostOfProgram
      + (min(count, scaled(limits.listeners, share)) + 1) * Metric.mostOfListener
  }

  private mutating func programSamples(_ tallies: ProgramTallies, _ own: Set<ProgramLabel>, _ now: UInt64)
    -> [MetricSample]
  {
    var others: ProgramTally?
    var all: [MetricSample] = []
    var worst: Set<Int32> = []
    for (label, tally) in zip(tallies.labels, tallies.tallies) {
      guard own.contains(label) else {
        if others == nil { others = tally } else { others?.add(tally) }
        continue
      }
      if let pid = tally.worst?.pid { worst.insert(pid) }
      all += tally.samples(label, exhaustion: tally.worst.flatMap { descriptors.exhaustion($0, at: now) })
    }
    if let others {
      if let pid = others.worst?.pid { worst.insert(pid) }
      all += others.samples(.other, exhaustion: others.worst.flatMap { descriptors.exhaustion($0, at: now) })
    }
    descriptors.keep(worst)
    return all
  }

  private mutating func listenerSamples(
    _ panels: [ListenerLabel: ListenerTally], _ own: Set<ListenerLabel>, _ now: UInt64
  ) -> [MetricSample] {
    var named: [ListenerLabel: ListenerTally] = [:]
    for (label, panel) in panels { named[own.contains(label) ? label : .other, default: ListenerTally()].add(panel) }
    dropped.take(
      named.flatMap { label, panel in panel.drops.map { ($0.cookie, label.labels, UInt64($0.count)) } }, at: now,
      remembering: Self.afterlife)
    return named.flatMap { label, panel in
      panel.samples(label, dropped: dropped.sums[label.labels])
    }
  }

  private mutating func eventSamples(_ census: Census, _ places: [String], _ own: Set<String>, _ now: UInt64)
    -> [MetricSample]
  {
    var values: [(EventSource, [String], UInt64)] = []
    for (place, namespace) in zip(places, census.namespaces) {
      let label = own.contains(place) ? place : ProgramLabel.other.program
      for (event, name) in NamespaceEvents.names.enumerated() {
        guard let value = namespace.counters[name] else { continue }
        values.append(
          (
            EventSource(namespace: namespace.inode, event: event), [label, NamespaceEvents.label(name)],
            UInt64(max(0, value))
          ))
      }
    }
    events.take(values, at: now, remembering: Self.afterlife)
    return Set(values.map(\.1)).map {
      MetricSample(.namespaceEvents, $0, .count(Int(clamping: events.sums[$0] ?? 0)))
    }
  }

  /// Adds the series that were in an earlier census and are not in this one.
  private mutating func withThoseGone(_ samples: [MetricSample], _ now: UInt64) -> [MetricSample] {
    for sample in samples {
      let value: MetricValue?
      switch sample.metric.afterwards {
      case .zero: value = .count(0)
      case .infinity: value = .number(.infinity)
      case .lastValue: value = sample.value
      case .absent: value = nil
      }
      if let value { gone[sample.series] = (value, now) }
    }
    let present = Set(samples.map(\.series))
    let room = max(0, limits.samples - samples.count)
    var kept = gone.filter { !present.contains($0.key) && now < $0.value.seen + Self.afterlife }
    if kept.count > room {
      let latest = kept.sorted { $0.value.seen > $1.value.seen }.prefix(room)
      kept = Dictionary(uniqueKeysWithValues: latest.map { ($0.key, $0.value) })
    }
    gone = gone.filter { present.contains($0.key) || kept[$0.key] != nil }
    dropped.keep(Set(gone.keys.filter { $0.metric == .listenerDropped }.map(\.labels)))
    events.keep(Set(gone.keys.filter { $0.metric == .namespaceEvents }.map(\.labels)))
    return samples + kept.map { MetricSample($0.key.metric, $0.key.labels, $0.value.value) }
  }
}

/// The samples that need no memory.
extension MetricsHistory {
  private func machine(_ look: Look) -> [MetricSample] {
    let gaps = look.census.gaps
    var all = [MetricSample(.build, [look.version, look.kernel], .count(1))]
    for severity in Severity.allCases {
      all.append(
        MetricSample(.findings, [severity.description], .count(look.findings.count { $0.severity == severity })))
    }
    all.append(MetricSample(.mutedFindings, [], .count(look.muted)))
    all.append(MetricSample(.onPurpose, [], .count(look.onPurpose.reduce(0) { $0 + $1.count })))
    let limits = look.census.namespaces.first?.limits ?? KernelLimits()
    if let orphans = limits.orphans { all.append(MetricSample(.orphansLimit, [], .count(orphans))) }
    if let entries = limits.timeWaitEntries { all.append(MetricSample(.timeWaitLimit, [], .count(entries))) }
    if limits.memoryPages.count >= 3 {
      let bytes = limits.memoryPages[2].multipliedReportingOverflow(by: ThisProcess.pageSize)
      all.append(MetricSample(.memoryLimit, [], .count(bytes.overflow ? .max : bytes.partialValue)))
    }
    let answers = gaps.damagedAnswers + gaps.interruptedDumps + gaps.refusedDumps.count + gaps.unanswered.count
    for (what, count) in [
      ("processes", gaps.unreadableProcessCount), ("namespaces", gaps.skippedNamespaces),
      ("sockets", gaps.socketsWithoutDetails), ("answers", answers),
    ] { all.append(MetricSample(.hidden, [what], .count(count))) }
    all.append(MetricSample(.unattributed, [], .count(gaps.unseenHolders)))
    for (part, time) in [("look", look.lookTime), ("findings", look.findingsTime)] {
      all.append(MetricSample(.duration, [part], .number(Double(time.inNanoseconds) / 1e9)))
    }
    return all
  }

  private func unitSamples(_ programs: [ProgramLabel], _ containers: ContainerNames) -> [MetricSample] {
    if containers.names.isEmpty { return [] }
    let units = Set(programs.map(\.unit))
    let names = Set(containers.names.values.filter { units.contains($0.unit) })
    return names.sorted { ($0.unit, $0.pod) < ($1.unit, $1.pod) }.prefix(limits.programs + 1).map {
      MetricSample(.unitInfo, [$0.unit, $0.namespace, $0.pod, $0.container], .count(1))
    }
  }
}

extension Metric {
  /// The largest number of samples that one program can have.
  static let mostOfProgram = all.reduce(0) { sum, metric in
    if case .perProgram(let count) = metric.bound { sum + count } else { sum }
  }
  /// The largest number of samples that one listener can have.
  static let mostOfListener = all.reduce(0) { sum, metric in
    if case .perListener(let count) = metric.bound { sum + count } else { sum }
  }
}
