import FinDoctor
import FinTerminal

/// The report as text, 100 columns wide.
struct CheckText {
  let paper: Terminal

  /// The findings for the help: of each, its code and name, and below them what it is.
  static var catalogue: String {
    FindingID.allCases.map { "  \($0)\n      \($0.summary)" }.joined(separator: "\n")
  }

  private static let labelWidth = 13

  func report(_ report: CheckReport) -> String {
    var lines: [String] = []
    for chain in report.chains {
      for (place, finding) in chain.enumerated() {
        lines += story(of: finding, isEffect: place > 0)
        lines.append("")
      }
    }
    return (lines + [summary(report)]).joined(separator: "\n") + "\n"
  }

  /// Returns the lines of one finding.
  func story(of finding: Finding, isEffect: Bool) -> [String] {
    let margin = isEffect ? "    " : ""
    let word = finding.severity.description.uppercased()
    let name = "\(finding.id)"
    let lead = isEffect ? "  └ leads to " : ""
    var lines = [lead + paper.ink(Self.ink(of: finding.severity), word) + "  " + paper.ink(.heading, name)]
    lines += Terminal.wrap(finding.sentence, to: paper.width - margin.count - 2).map { margin + "  " + $0 }
    func add(_ label: String, _ text: String?) {
      guard let text, !text.isEmpty else { return }
      let wrapped = Self.wrap(text, to: paper.width - margin.count - 2 - Self.labelWidth)
      for (place, line) in wrapped.enumerated() {
        let shown = place == 0 ? paper.ink(.quiet, Terminal.pad(label, to: Self.labelWidth)) : Self.blank
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
      parts.append(paper.ink(Self.ink(of: severity), "\(count) \(word)"))
    }
    let processes = report.census.holders.processes.count
    var text =
      parts.isEmpty ? paper.ink(.good, "No findings") : parts.joined(separator: ", ")
    text += " in \(report.census.sockets.count) sockets and \(processes) processes."
    if report.below > 0 { text += " \(report.below) below the threshold: --threshold info." }
    if report.muted > 0 { text += " \(report.muted) muted." }
    return ([text] + report.onPurpose.flatMap { Self.wrap(Self.left(out: $0), to: paper.width) })
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
