import FinDoctor
import FinTerminal

/// The report as text, at most 100 columns wide.
struct CheckText {
  let terminal: Terminal

  /// The findings for the help: of each, its code and name, and below them what it is.
  static var catalogue: String {
    FindingID.allCases.map { "  \($0)\n      \($0.summary)" }.joined(separator: "\n")
  }

  private static let labelWidth = 13

  /// - Parameters:
  ///   - showsEach: Whether findings that are alike are shown one by one.
  ///   - hasEnded: Whether the program of the findings has ended, or is elsewhere: then no command can show
  ///     its sockets.
  func report(_ report: CheckReport, showsEach: Bool = false, hasEnded: Bool = false) -> String {
    var lines: [String] = []
    let groups = showsEach ? report.shown.map { [$0] } : CheckGroups(Array(report.shown)).groups
    for group in groups {
      for (place, finding) in group[0].enumerated() {
        lines += story(of: finding, isEffect: place > 0)
        lines.append("")
      }
      if group.count > 1 { lines += rows(group.dropFirst().compactMap(\.first)) + [""] }
    }
    lines.append(summary(report))
    if !hasEnded, let next = report.findings.lazy.compactMap(Self.next).first { lines.append("Next: \(next)") }
    return lines.joined(separator: "\n") + "\n"
  }

  /// A row for each of several findings that are like the one above them.
  private func rows(_ findings: [Finding]) -> [String] {
    var table = Columns([
      .init(heading: "PROGRAM", least: 20), .init(heading: "COUNT", isNumber: true), .init(heading: "SINCE"),
      .init(heading: "DESCRIPTORS", least: 11),
    ])
    for finding in findings {
      var since = TextBuffer()
      if let bounds = finding.since { bounds.write(short: &since) }
      let descriptors = finding.who?.descriptorRanges() ?? ""
      table.append([
        finding.who?.name ?? "-", Phrase.number(finding.count), since.text.isEmpty ? "-" : since.text,
        descriptors.isEmpty ? "-" : descriptors,
      ])
    }
    let lines = table.lines(width: terminal.page - 4)
    return [terminal.ink(.heading, "  and \(Phrase.number(findings.count)) more alike (--all shows each):")]
      + [terminal.ink(.quiet, "    " + lines[0])] + lines.dropFirst().map { "    " + Terminal.trimmed($0) }
  }

  /// The command that shows more about a finding.
  private static func next(_ finding: Finding) -> String? {
    guard let who = finding.who, let pid = who.pid else { return nil }
    return "fin explain \(pid)" + (who.descriptors.first.map { ":\($0)" } ?? "")
  }

  /// Returns the lines of one finding.
  func story(of finding: Finding, isEffect: Bool) -> [String] {
    let margin = isEffect ? "    " : ""
    let word = finding.severity.description.uppercased()
    let name = "\(finding.id)"
    let lead = isEffect ? "  └ leads to " : ""
    var lines = [lead + terminal.ink(Self.ink(of: finding.severity), word) + "  " + terminal.ink(.heading, name)]
    lines += Terminal.wrap(finding.sentence, to: terminal.width - margin.count - 2).map { margin + "  " + $0 }
    func add(_ label: String, _ text: String?) {
      guard let text, !text.isEmpty else { return }
      let wrapped = Self.wrap(text, to: terminal.width - margin.count - 2 - Self.labelWidth)
      for (place, line) in wrapped.enumerated() {
        let shown = place == 0 ? terminal.ink(.quiet, Terminal.pad(label, to: Self.labelWidth)) : Self.blank
        lines.append(margin + "  " + shown + line)
      }
    }
    if let since = finding.since, since != .unknown { add("since", "\(since)") }
    if let who = finding.who {
      add("descriptors", who.descriptors.isEmpty ? nil : who.descriptorRanges())
      add("also held by", who.others.isEmpty ? nil : who.others.prefix(8).map { "pid \($0)" }.joined(separator: ", "))
      add("belongs to", [who.unit, who.container.map { "container \($0)" }].compactMap { $0 }.joined(separator: ", "))
    }
    if let origin = finding.origin {
      add("opened at", origin.siteWords)
      add("phase", origin.phaseWords)
      add("waiting", origin.waitWords)
    }
    add("why", finding.why)
    add("evidence", finding.evidence.map { "\($0.field) \($0.value)" }.joined(separator: "; "))
    add("change", finding.fix.code)
    add("with Fin", finding.fix.fin)
    add("confidence", finding.confidence.doubt.map { "\(finding.confidence.word): \($0)" } ?? finding.confidence.word)
    return lines
  }

  private static let blank = String(repeating: " ", count: labelWidth)

  /// Breaks text at spaces, and a word that is longer than a line at the width.
  static func wrap(_ text: String, to width: Int) -> [String] {
    Terminal.wrap(text, to: width).flatMap { line -> [String] in
      var pieces: [String] = []
      var rest = line[...]
      while rest.count > width {
        pieces.append(String(rest.prefix(width)))
        rest = rest.dropFirst(width)
      }
      return pieces + [String(rest)]
    }
  }

  private func summary(_ report: CheckReport) -> String {
    let findings = report.findings
    var parts: [String] = []
    for severity in Severity.allCases.reversed() {
      let count = findings.count { $0.severity == severity }
      if count == 0 { continue }
      let word = severity == .info ? "informational" : severity == .warning && count > 1 ? "warnings" : "\(severity)"
      parts.append(terminal.ink(Self.ink(of: severity), "\(count) \(word)"))
    }
    let processes = report.census.holders.processes.count
    var text =
      parts.isEmpty ? terminal.ink(.good, "No findings") : parts.joined(separator: ", ")
    text += " in \(report.census.sockets.count) sockets and \(processes) processes."
    let left = report.chains.count - report.shown.count
    if left > 0 { text += " \(Phrase.number(left)) not shown: omit --limit to show them." }
    if report.below > 0 { text += " \(report.below) below the threshold: --threshold info." }
    if report.muted > 0 { text += " \(report.muted) muted." }
    return ([text] + report.onPurpose.flatMap { Self.wrap(Self.left(out: $0), to: terminal.width) })
      .joined(separator: "\n")
  }

  /// The line about findings that were left out because their program declared the behaviour intentional.
  private static func left(out meant: DeclaredIntent) -> String {
    let sockets = "\(meant.count) socket\(meant.count == 1 ? "" : "s")"
    let rest = AgeBounds(atLeast: meant.milliseconds, atMost: meant.milliseconds)
    return "Left out: \(meant.id.rawValue) of \(sockets) of \(meant.who.name): \(meant.reason), for \(rest) more."
  }

  static func ink(of severity: Severity) -> Terminal.Style {
    switch severity {
    case .critical: .bad
    case .warning: .trap
    case .info: .quiet
    }
  }
}
