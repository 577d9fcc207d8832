extension FindingID {
  /// Few descriptors are left.
  public static let descriptorLimit = FindingID(code: "L4")
}

extension Rule {
  static let descriptorLimit = Rule(
    .descriptorLimit, name: "fd-limit", summary: "Few descriptors are left.",
    isLeak: true,
    concernsMachine: true,
    fix: Remedies(
      "Fix the leak first. Then raise LimitNOFILE, keep one descriptor in reserve, and pause accept after EMFILE.",
      withFin: "serve has a limit of connections and a descriptor in reserve, and pauses accept when none is left."),
    claims: [.nearLimit],
    leadsTo: [.inProcess(.acceptWithoutDescriptors), .ofPausedAccept(.acceptStalled, rank: 8)],
    find: { $0.descriptorLimits() })
}

extension Claim {
  /// A process has many of the descriptors that it may have.
  fileprivate static let nearLimit = Claim("near the limit", needs: [.descriptors])
}

extension CensusIndex {
  /// Processes that are close to their limit of descriptors.
  fileprivate func descriptorLimits() -> [Finding] {
    var socketCounts: [Int32: Int] = [:]
    var found: [Finding] = []
    for process in census.holders.processes {
      guard let count = process.descriptorCount.map(Int.init), let limit = descriptorLimit(of: process.pid), limit > 0
      else { continue }
      let share = Double(count) / limit
      let forecast = forecast(process.pid, count, limit)
      let isSoon = forecast.map { $0.left < thresholds.descriptorSoon } ?? false
      guard share >= thresholds.descriptorWarning || isSoon else { continue }
      if socketCounts.isEmpty { for holder in census.holders.entries { socketCounts[holder.pid, default: 0] += 1 } }
      let who = who(OwnerKey(pid: process.pid))
      var evidence: [Finding.Evidence] = [
        .init("descriptors", "\(NumberText.number(count)) of \(NumberText.number(Int(limit)))")
      ]
      // Every user may read the number of descriptors; what they are may be unreadable.
      let sockets = process.isReadable ? NumberText.number(socketCounts[process.pid] ?? 0) : "unknown"
      evidence.append(.init("sockets among them", sockets))
      var why: String?
      if let forecast {
        let left = AgeBounds(atLeast: forecast.left.milliseconds, atMost: forecast.left.milliseconds)
        evidence.append(.init("growth", "\(NumberText.number(forecast.more)) in \(forecast.time)"))
        why = "At this rate the limit is reached in \(left)."
      }
      found.append(
        Finding(
          .descriptorLimit, share >= thresholds.descriptorCritical || isSoon ? .critical : .warning, .nearLimit,
          count: count, who: who,
          sentence: "\(who.name) has \(NumberText.number(count)) of \(NumberText.number(Int(limit))) descriptors open "
            + "(\(NumberText.percent(share))): at the limit, accept, socket and open fail with EMFILE.",
          why: why,
          facts: [.read(.descriptors, "\(NumberText.number(count)) of \(NumberText.number(Int(limit)))")],
          evidence: evidence, share: share))
    }
    return found
  }

  /// The time until the limit is reached, extrapolated from two censuses.
  private func forecast(_ pid: Int32, _ count: Int, _ limit: Double) -> (more: Int, time: AgeBounds, left: Duration)? {
    guard let earlier = options.earlier, let before = earlier.holders.process(pid)?.descriptorCount.map(Int.init),
      count > before, census.when.monotonic > earlier.when.monotonic
    else { return nil }
    let passed = Double(census.when.monotonic - earlier.when.monotonic) / 1e9
    let left = max(0, limit - Double(count)) * passed / Double(count - before)
    let time = UInt64(passed * 1000)
    return (count - before, AgeBounds(atLeast: time, atMost: time), .milliseconds(Int64(min(left, 1e9) * 1000)))
  }
}
