/// Where in a program the sockets of a finding come from: as its own ledger says, if it publishes one.
public struct Origin: Hashable, Sendable {
  /// A line of the program.
  public struct Site: Hashable, Sendable {
    /// `Module/File.swift`, made visible.
    public var file: String
    /// The line.
    public var line: UInt32
    /// How many of the sockets it opened.
    public var count: Int
  }

  /// The lines that opened them, those that opened most first.
  public var sites: [Site]
  /// In which of the library's phases they are, and how many, most first.
  public var phases: [(phase: PublishedSocket.Phase, count: Int)] { phaseCounts.map { ($0.phase, $0.count) } }
  /// On how many of them somebody waits without end.
  public var waitForEver: Int
  /// On how many of them somebody waits until a deadline.
  public var waitUntilDeadline: Int
  /// How many milliseconds after the look the first of these deadlines is.
  public var deadlineMilliseconds: UInt64?
  /// Of how many sockets the ledger says something.
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

  /// `Server/Handler.swift:112`, or several with their counts.
  public var siteWords: String {
    if sites.count == 1 { return "\(sites[0].file):\(sites[0].line)" }
    let shown = sites.prefix(5).map { "\($0.file):\($0.line) (\(Counted.number($0.count)))" }
    return shown.joined(separator: ", ") + (sites.count > 5 ? ", and \(sites.count - 5) other lines" : "")
  }

  /// `peer finished`, or several with their counts.
  public var phaseWords: String {
    if phaseCounts.count == 1 { return "\(phaseCounts[0].phase)" }
    return phaseCounts.map { "\($0.phase) (\($0.count))" }.joined(separator: ", ")
  }

  /// Who waits, as the program sees it.
  public var waitWords: String {
    var parts: [String] = []
    if waitUntilDeadline > 0 {
      let first = deadlineMilliseconds.map { "\(Since(atLeast: $0, atMost: $0))" } ?? "?"
      parts.append("until a deadline on \(waitUntilDeadline), the first in \(first)")
    }
    if waitForEver > 0 { parts.append("without end on \(waitForEver)") }
    return parts.isEmpty ? "nobody" : parts.joined(separator: "; ")
  }

  /// Behind the sentence of a finding.
  func sentence(of total: Int) -> String {
    let first = sites[0]
    let place = "\(first.file):\(first.line)"
    if total == 1 { return " It was opened at \(place)." }
    if first.count >= total { return " All were opened at \(place)." }
    return " \(Counted.number(first.count)) \(Counted.verb(first.count, "was", "were")) opened at \(place)."
  }
}

extension Examination {
  /// Says of a finding what the program's ledger says of its sockets.
  func traced(_ finding: Finding) -> Finding {
    guard let pid = finding.who?.pid, let ledger = census.ledgers[pid], let who = finding.who,
      let origin = Origin(who.descriptors.compactMap { ledger.sockets[$0] }, at: ledger.when)
    else { return finding }
    var finding = finding
    finding.origin = origin
    finding.sentence += origin.sentence(of: finding.count)
    if let code = Fix.inFin(finding.id) { finding.fix.code = code }
    return finding
  }
}

extension Fix {
  /// For a program that uses Fin already.
  fileprivate static func inFin(_ id: FindingID) -> String? {
    switch id {
    case .closeWaitKnown:
      "When receive has returned nil, close(_:) what was opened there: withConnection and serve do it by themselves. If it "
        + "still answers, declare(.halfClosed, for:) says so."
    case .closeWaitUnseen:
      "Receive from what was opened there, or close(_:) it. A pool that looks when it takes one out says "
        + "declare(.kept, for:); a pause on purpose is declare(.notReading, for:)."
    case .detached: "The connection opened there has failed: close(_:) it after the error, or let its owner go."
    case .finWait2Held:
      "After finishSending(), receive with within:, then close(_:). If the answer may take long, declare(.halfClosed, for:) "
        + "says so."
    case .unread:
      "Receive from what was opened there, or close(_:) it; a pause on purpose is declare(.notReading, for:)."
    case .idleWithoutKeepalive:
      "set(.keepAlive, to:), or receive(within:) and close(_:) what stays quiet; what is quiet by design says "
        + "declare(.idle, for:)."
    default: nil
    }
  }
}
