internal import FinBase

/// The places in a program that opened the sockets of a finding, from the ledger that the program publishes.
public struct OpenSites: Hashable, Sendable {
  /// A line of source code.
  public struct Site: Hashable, Sendable {
    /// `Module/File.swift`, made visible.
    public var file: String
    /// The line number.
    public var line: UInt32
    /// The number of the sockets that it opened.
    public var count: Int
  }

  /// The lines that opened the sockets, those that opened most first.
  public var sites: [Site]
  /// The sockets' phases in Fin's life cycle with the number of sockets in each, most first.
  package var phases: [(phase: PublishedSocket.Phase, count: Int)] { phaseCounts.map { ($0.phase, $0.count) } }
  /// The number of sockets on which an operation waits without a deadline.
  package var waitForEver: Int
  /// The number of sockets on which an operation waits until a deadline.
  package var waitUntilDeadline: Int
  /// The time from the reading of the ledger to the first of these deadlines, in milliseconds.
  package var deadlineMilliseconds: UInt64?
  /// The number of sockets with an entry in the ledger.
  public var count: Int

  private var phaseCounts: [PhaseCount]
  private struct PhaseCount: Hashable {
    var phase: PublishedSocket.Phase
    var count: Int
  }

  init?(_ sockets: [PublishedSocket], at now: UInt64) {
    if sockets.isEmpty { return nil }
    var sites: [String: Site] = [:]
    var phases: [PublishedSocket.Phase: Int] = [:]
    (waitForEver, waitUntilDeadline, count) = (0, 0, sockets.count)
    for socket in sockets {
      sites[socket.site, default: Site(file: socket.file, line: socket.line, count: 0)].count += 1
      if socket.isInherited { continue }
      phases[socket.phase, default: 0] += 1
      if let deadline = socket.deadline {
        waitUntilDeadline += 1
        let left = deadline > now ? (deadline - now) / 1_000_000 : 0
        deadlineMilliseconds = min(deadlineMilliseconds ?? .max, left)
      } else if socket.input == .forever || socket.output == .forever {
        waitForEver += 1
      }
    }
    self.sites = sites.values.sorted { ($1.count, $0.file, $0.line) < ($0.count, $1.file, $1.line) }
    phaseCounts = phases.map { PhaseCount(phase: $0.key, count: $0.value) }
      .sorted { ($1.count, $0.phase.rawValue) < ($0.count, $1.phase.rawValue) }
  }

  /// The lines in words: `Server/Handler.swift:112`, or several with their counts.
  package var siteWords: String {
    if sites.count == 1 { return "\(sites[0].file):\(sites[0].line)" }
    let shown = sites.prefix(5).map { "\($0.file):\($0.line) (\(NumberText.number($0.count)))" }
    return shown.joined(separator: ", ") + (sites.count > 5 ? ", and \(sites.count - 5) other lines" : "")
  }

  /// The phases in words: `peer finished`, or several with their counts.
  package var phaseWords: String {
    if phaseCounts.count == 1 { return "\(phaseCounts[0].phase)" }
    return phaseCounts.map { "\($0.phase) (\($0.count))" }.joined(separator: ", ")
  }

  /// The waits in progress in words, as the program's ledger states them.
  package var waitWords: String {
    var parts: [String] = []
    if waitUntilDeadline > 0 {
      let first = deadlineMilliseconds.map { "\(AgeBounds(atLeast: $0, atMost: $0))" } ?? "?"
      parts.append("\(NumberText.number(waitUntilDeadline)) with a deadline, the first in \(first)")
    }
    if waitForEver > 0 { parts.append("\(NumberText.number(waitForEver)) without a deadline") }
    return parts.isEmpty ? "no operation" : parts.joined(separator: "; ")
  }

  /// A sentence to append to the sentence of a finding.
  func sentence(of total: Int) -> String {
    let first = sites[0]
    let place = "\(first.file):\(first.line)"
    if total == 1 { return " It was opened at \(place)." }
    if first.count >= total { return " All were opened at \(place)." }
    return " \(NumberText.number(first.count)) \(NumberText.verb(first.count, "was", "were")) opened at \(place)."
  }
}

extension CensusIndex {
  /// Adds to a finding what the program's ledger says about its sockets.
  func traced(_ finding: Finding) -> Finding {
    guard let pid = finding.who?.pid, let ledger = census.ledgers[pid], let who = finding.who,
      let origin = OpenSites(who.descriptors.compactMap { ledger.sockets[$0] }, at: ledger.when)
    else { return finding }
    var finding = finding
    finding.origin = origin
    finding.sentence += origin.sentence(of: finding.count)
    if let code = finding.id.rule.fix.inFin { finding.fix.code = code }
    return finding
  }
}
