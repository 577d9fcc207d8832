import FinDoctor
import FinTerminal

/// The difference between two pages of one machine.
struct ReportDiff {
  let before: ReportReading
  let after: ReportReading

  init(_ before: ReportReading, _ after: ReportReading) throws {
    if before.isRedacted || after.isRedacted {
      throw ExitStatus.badData.because("a redacted page cannot be compared: each numbers the names in its own order")
    }
    if let old = before.host, let new = after.host, old != new {
      throw ExitStatus.badData.because("the pages are of different machines: \(old) and \(new)")
    }
    if before.taken > after.taken { Output.complain("the first page is later than the second") }
    (self.before, self.after) = (before, after)
  }

  /// A change of a number, with its name.
  struct Change: Hashable {
    var name: String
    var old: Int
    var new: Int
  }

  private struct Subject: Hashable {
    var name: String
    var pid: Int?
    var program: String

    init(_ found: ReportReading.Found) { (name, pid, program) = (found.name, found.pid, found.program) }
  }

  /// Findings of the second page that the first one does not have.
  var appeared: [ReportReading.Found] { Self.only(after.findings, not: before.findings) }
  /// Findings of the first page that the second one does not have.
  var ended: [ReportReading.Found] { Self.only(before.findings, not: after.findings) }

  private static func only(
    _ findings: [ReportReading.Found], not others: [ReportReading.Found]
  ) -> [ReportReading.Found] {
    var known: [Subject: Int] = [:]
    for other in others { known[Subject(other), default: 0] += 1 }
    return findings.filter { found in
      guard let left = known[Subject(found)], left > 0 else { return true }
      known[Subject(found)] = left - 1
      return false
    }
  }

  /// Findings that both pages have, with another count. A subject that has several is counted as a whole.
  var changed: [Change] {
    func counts(_ findings: [ReportReading.Found]) -> [Subject: Int] {
      findings.reduce(into: [:]) { $0[Subject($1), default: 0] += $1.count }
    }
    let (old, new) = (counts(before.findings), counts(after.findings))
    return new.compactMap { subject, count in
      guard let earlier = old[subject], earlier != count else { return nil }
      let owner = subject.pid.map { "\(subject.program)[\($0)]" } ?? subject.program
      return Change(name: owner.isEmpty ? subject.name : "\(subject.name) of \(owner)", old: earlier, new: count)
    }.sorted(by: Self.isLarger)
  }

  private static func isLarger(_ left: Change, _ right: Change) -> Bool {
    let (l, r) = (abs(left.new - left.old), abs(right.new - right.old))
    return l == r ? left.name < right.name : l > r
  }

  /// Sockets that appeared, ended, and changed their state.
  var births: (appeared: Int, ended: Int, changed: Int) {
    var (appeared, ended, changed) = (0, 0, 0)
    for socket in Set(before.sockets.keys).union(after.sockets.keys) {
      let (old, new) = (before.sockets[socket] ?? [], after.sockets[socket] ?? [])
      appeared += max(0, new.count - old.count)
      ended += max(0, old.count - new.count)
      if old.count == 1, new.count == 1, old[0].state != new[0].state { changed += 1 }
    }
    return (appeared, ended, changed)
  }

  /// The number of sockets by owner and state, where it changed.
  var groups: [Change] {
    func counts(_ page: ReportReading) -> ReportReading.Counts {
      page.sockets.values.joined().reduce(into: [:]) { counts, socket in
        counts["\(socket.owner == "-" ? "no program" : socket.owner) \(socket.state)", default: 0] += 1
      }
    }
    let (old, new) = (counts(before), counts(after))
    return Set(old.keys).union(new.keys).map { Change(name: $0, old: old[$0] ?? 0, new: new[$0] ?? 0) }
      .filter { $0.old != $0.new }.sorted(by: Self.isLarger)
  }

  /// The changes of what both pages have. A page has the worst only, so that absence says nothing.
  private static func changes(_ old: ReportReading.Counts, _ new: ReportReading.Counts) -> [Change] {
    new.compactMap { name, count in
      old[name].flatMap { $0 == count ? nil : Change(name: name, old: $0, new: count) }
    }.sorted(by: isLarger)
  }

  /// The most lines of a list.
  private static let most = 20

  func text() -> String {
    var lines = [
      "From \(Self.time(before)) to \(Self.time(after))\(after.host.map { " on \($0)" } ?? "")", "", "Findings",
    ]
    func add(_ found: ReportReading.Found, _ verb: String) {
      lines.append("  \(verb)  \(found.severity.uppercased())  \(found.name)")
      lines += Terminal.wrap(found.sentence, to: 94).map { "      " + $0 }
    }
    for found in appeared { add(found, "appeared") }
    for found in ended { add(found, "ended   ") }
    lines += changed.map { "  \($0.new > $0.old ? "grew    " : "shrank  ")  \(Self.words($0))" }
    if appeared.isEmpty, ended.isEmpty, changed.isEmpty { lines.append("  the same") }
    let births = births
    lines += [
      "", "Sockets: \(Phrase.number(before.socketCount)) → \(Phrase.number(after.socketCount))",
      "  \(Phrase.number(births.appeared)) appeared, \(Phrase.number(births.ended)) ended, "
        + "\(Phrase.number(births.changed)) changed their state",
    ]
    lines += Self.list(groups)
    for (title, changes) in [
      ("Clients that wait for accept", Self.changes(before.waiting, after.waiting)),
      ("Connection attempts dropped", Self.changes(before.drops, after.drops)),
      ("Local ports taken", Self.changes(before.takenPorts, after.takenPorts)),
      ("Open descriptors", Self.changes(before.descriptors, after.descriptors)),
    ] where !changes.isEmpty {
      lines += ["", title] + Self.list(changes)
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private static func list(_ changes: [Change]) -> [String] {
    changes.prefix(most).map { "  " + words($0) }
      + (changes.count > most ? ["  and \(changes.count - most) smaller changes"] : [])
  }

  private static func words(_ change: Change) -> String {
    "\(change.name): \(Phrase.number(change.old)) → \(Phrase.number(change.new))"
  }

  private static func time(_ page: ReportReading) -> String {
    ReportTime.words(Int64(clamping: page.taken.multipliedReportingOverflow(by: 1_000_000).partialValue))
  }
}
