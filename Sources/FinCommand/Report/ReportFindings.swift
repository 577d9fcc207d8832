import FinDoctor

/// The findings of a page, a card each.
struct ReportFindings {
  let subject: ReportSubject

  /// The sign and the word of a severity: colour alone would not be enough.
  static func sign(_ severity: Severity) -> String {
    switch severity {
    case .critical: "▲ critical"
    case .warning: "◆ warning"
    case .info: "● info"
    }
  }

  /// The identifier of a finding's card.
  static func card(_ place: Int) -> String { "finding-\(place + 1)" }

  func write(to page: inout Markup) {
    ReportPage.section("findings", "Findings", to: &page) { page in
      if subject.findings.isEmpty { page.add(.p, [.style("good")], "✓ " + subject.verdict) }
      var place = 0
      for chain in subject.chains {
        for (step, finding) in chain.enumerated() {
          card(finding, place, isEffect: step > 0, to: &page)
          place += 1
        }
      }
      if subject.muted > 0 {
        page.add(.p, [.style("quiet")], "\(Phrase.noun(subject.muted, "finding")) muted by the user's mute file.")
      }
      for meant in subject.onPurpose {
        let what = "\(meant.id.rawValue) of \(Phrase.noun(meant.count, "socket")) of \(meant.who.name)"
        page.add(.p, [.style("quiet")], "Left out: \(what): \(meant.reason).")
      }
    }
  }

  private func card(_ finding: Finding, _ place: Int, isEffect: Bool, to page: inout Markup) {
    let style = "card \(finding.severity)" + (isEffect ? " effect" : "")
    page.add(.article, [.id(Self.card(place)), .style(style)]) { card in
      card.add(.h3) { title in
        if isEffect { title.add(.span, [.style("quiet")], "└ leads to ") }
        title.add(.span, [.style("sign")], Self.sign(finding.severity))
        title.text(" \(finding.id)")
      }
      card.add(.p, [.style("sentence")], finding.sentence)
      if let since = finding.since, since != .unknown {
        card.add(.p, [.style("since")]) { line in
          line.add(.span, [.style("quiet")], "since ")
          line.text("\(since)")
        }
        ReportCharts.time(since, style: "\(finding.severity)", to: &card)
      }
      card.add(.dl) { list in facts(finding, to: &list) }
      details(finding, to: &card)
    }
    page.newLine()
  }

  private func facts(_ finding: Finding, to list: inout Markup) {
    func add(_ term: String, _ text: String?) {
      guard let text, !text.isEmpty else { return }
      list.add(.dt, [], term)
      list.add(.dd, [], text)
    }
    add("why", finding.why)
    add("change", finding.fix.code)
    add("with Fin", finding.fix.fin)
    let confidence = finding.confidence
    add("confidence", confidence.doubt.map { "\(confidence.word): \($0)" } ?? confidence.word)
  }

  private func details(_ finding: Finding, to card: inout Markup) {
    card.add(.details) { more in
      more.add(.summary, [], "evidence, owner, and how to mute it")
      more.add(.dl) { list in
        func add(_ term: String, _ text: String?, isCode: Bool = false) {
          guard let text, !text.isEmpty else { return }
          list.add(.dt, [], term)
          if isCode { list.add(.dd) { $0.add(.code, [], text) } } else { list.add(.dd, [], text) }
        }
        for evidence in finding.evidence { add(evidence.field, evidence.value) }
        if let who = finding.who {
          add("descriptors", who.descriptorRanges())
          add("also held by", who.others.prefix(8).map { "pid \($0)" }.joined(separator: ", "))
          add("belongs to", [who.unit, who.container].compactMap { $0 }.joined(separator: ", "))
          if let program = who.pid.flatMap({ subject.census.programs[$0] }) {
            add("command", program.commandLine, isCode: true)
            add("user", "\(program.user)")
          }
        }
        if let origin = finding.origin {
          add("opened at", origin.siteWords)
          add("phase", origin.phaseWords)
          add("waiting", origin.waitWords)
        }
        for reading in finding.facts {
          add(reading.fact.name, "\(reading.value ?? "not read"), \(reading.fact.source)")
        }
        if let command = Self.command(finding) { add("more", command, isCode: true) }
        if let program = finding.who?.program, !program.isEmpty, !program.contains(" ") {
          add("mute", "\(finding.id.rawValue) \(program)  # the reason", isCode: true)
        }
      }
    }
  }

  /// The command that shows more about a finding.
  static func command(_ finding: Finding) -> String? {
    guard let pid = finding.who?.pid else { return nil }
    return "fin explain \(pid)" + (finding.who?.descriptors.first.map { ":\($0)" } ?? "")
  }
}
