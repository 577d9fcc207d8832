import FinDoctor

/// The differences between two looks: the findings and the sockets that came and went.
struct WatchDifference {
  private let before: WatchLook
  private let after: WatchLook

  init(_ before: WatchLook, _ after: WatchLook) {
    (self.before, self.after) = (before, after)
  }

  var lines: [String] {
    var lines = [title]
    let changes = findings
    lines += ["", "findings"] + (changes.isEmpty ? ["  no change"] : changes)
    lines += ["", "states"] + states
    lines += sockets("sockets that came", in: after, not: before)
    lines += sockets("sockets that ended", in: before, not: after)
    return lines + ["", WatchText.limits]
  }

  private var title: String {
    let mark = ReportTime.words(before.when.wall)
    func span(_ time: UInt64) -> AgeBounds { AgeBounds(atLeast: time, atMost: time) }
    guard before.isPast || after.isPast else {
      return "since the mark, \(span((after.when.monotonic &- before.when.monotonic) / 1_000_000)) ago, at \(mark):"
    }
    // Only the wall clock is the same on both sides of a start of the machine.
    let time = (after.when.wall - before.when.wall) / 1_000_000
    let words = "\(span(time.magnitude)) \(time < 0 ? "earlier" : "later")"
    return "from the mark at \(mark) to this look, \(words):"
  }

  private var findings: [String] {
    var lines: [String] = []
    for finding in after.findings {
      let old = before.findings.first { $0.number == finding.number }
      if let old {
        let change = finding.finding.count - old.finding.count
        if change != 0 {
          lines.append("  \(Self.signed(change)) \(finding.finding.id): \(finding.finding.sentence)")
        }
      } else {
        lines.append("  began: \(finding.finding.severity) \(finding.finding.id): \(finding.finding.sentence)")
      }
    }
    for old in before.findings where !after.findings.contains(where: { $0.number == old.number }) {
      lines.append("  ended: \(old.finding.severity) \(old.finding.id): \(old.finding.sentence)")
    }
    return lines
  }

  private var states: [String] {
    let names = (after.states + before.states).map(\.name)
    let counts = names.indices.filter { names.firstIndex(of: names[$0]) == $0 }.compactMap { place -> String? in
      let (old, new) = (count(names[place], before), count(names[place], after))
      if old == new { return nil }
      return "  \(names[place]) \(Phrase.number(old)) to \(Phrase.number(new)) (\(Self.signed(new - old)))"
    }
    return counts.isEmpty ? ["  no change"] : counts
  }

  private func count(_ name: String, _ look: WatchLook) -> Int { look.states.first { $0.name == name }?.count ?? 0 }

  private static func signed(_ number: Int) -> String {
    number < 0 ? "-\(Phrase.number(-number))" : "+\(Phrase.number(number))"
  }

  /// The sockets that only one of the looks has, counted by program and state.
  private func sockets(_ title: String, in look: WatchLook, not other: WatchLook) -> [String] {
    let known = Set(other.rows.map(\.subject))
    var counts: [String: Int] = [:]
    for row in look.rows where !known.contains(row.subject) {
      let kind = row.hasState || row.isDetached ? row.stateName : "\(row.transport)"
      counts["\(kind) of \(look.label(row.pid))", default: 0] += 1
    }
    let all = counts.values.reduce(0, +)
    let sorted = counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
    return ["", "\(title): \(Phrase.number(all))"] + sorted.prefix(20).map { "  \(Phrase.number($0.value)) \($0.key)" }
      + (sorted.count > 20 ? ["  and \(sorted.count - 20) more kinds"] : [])
  }
}
