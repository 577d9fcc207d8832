import FinDoctor
import FinTerminal

/// The page of `fin report`.
struct ReportPage {
  let subject: ReportSubject
  let sockets: ReportSockets
  let figures: ReportFigures

  init(_ subject: ReportSubject) {
    self.subject = subject
    sockets = ReportSockets(Listing(subject.census), subject.findings)
    figures = ReportFigures(subject.census, sockets, subject.findings)
  }

  /// The sections after the findings, as the navigation names them.
  private var sections: [(String, String)] {
    var sections = [("findings", "Findings")]
    if let period { sections.append(("period", period.title)) }
    return sections + Self.constantSections
  }

  private static let constantSections = [
    ("lifecycle", "Lifecycle"), ("timelines", "Timelines"), ("ports", "Ports"),
    ("listeners", "Listeners"), ("descriptors", "Descriptors"), ("queues", "Queues"), ("peers", "Peers"),
    ("sockets", "Sockets"), ("how", "How it was taken"),
  ]

  private var period: ReportPeriodPanel? {
    subject.period.map { ReportPeriodPanel(subject: subject, period: $0) }
  }

  var document: [UInt8] {
    var page = Markup()
    page.add(.html, [.init(.lang, "en")]) { html in
      let host = subject.origin.host.map { " of \($0)" } ?? ""
      html.head(title: "fin report\(host)", style: ReportStyle.sheet, script: ReportScript.source)
      html.newLine()
      html.add(.body) { body in
        header(to: &body)
        body.add(.main) { main in
          ReportFindings(subject: subject).write(to: &main)
          period?.write(to: &main)
          lifecycle(to: &main)
          let panels = ReportPanels(subject: subject, figures: figures, sockets: sockets)
          panels.write(to: &main)
          ReportTable(sockets: sockets, findings: subject.findings).write(to: &main)
          how(to: &main)
        }
        body.data(ReportData.json(subject, figures, sockets))
        body.newLine()
        body.script(ReportScript.source)
      }
    }
    return page.document
  }

  /// Writes a section with its heading.
  static func section(_ id: String, _ title: String, to page: inout Markup, _ body: (inout Markup) -> Void) {
    page.newLine()
    page.add(.section, [.id(id), .label(title)]) { section in
      section.add(.h2, [], title)
      body(&section)
    }
  }

  private func header(to page: inout Markup) {
    page.add(.header) { header in
      header.add(.h1, [], subject.origin.host.map { "Sockets of \($0)" } ?? "Sockets of a machine")
      let worst = subject.findings.map(\.severity).max()
      header.add(.p, [.style("verdict \(worst.map { "\($0)" } ?? "good")")]) { verdict in
        verdict.add(.span, [.style("sign")], worst.map(ReportFindings.sign) ?? "✓ nothing found")
        verdict.text(" — " + subject.verdict)
      }
      header.add(.p, [.style("quiet")], facts.joined(separator: " · "))
      if !subject.hidden.isEmpty {
        header.add(.p, [.style("hidden")]) { line in
          line.add(.a, [.link(to: "how")], "Not all could be seen: \(Phrase.noun(subject.hidden.count, "gap"))")
          line.text(". " + (subject.hidden.first ?? "") + ".")
        }
      }
      header.add(.nav, [.label("Sections")]) { nav in
        for (id, title) in sections { nav.add(.a, [.link(to: id)], title) }
      }
    }
  }

  private var facts: [String] {
    [
      ReportTime.words(subject.census.when.wall), subject.origin.kernel, "fin \(CommandVersion.current)",
      subject.isRedacted ? "redacted: names and addresses are replaced" : nil,
    ].compactMap { $0 }
  }

  private func lifecycle(to page: inout Markup) {
    Self.section("lifecycle", "Lifecycle", to: &page) { section in
      section.add(
        .p, [.style("quiet")],
        "The states of TCP (RFC 9293) and the sockets in each. A state has the sign of the worst finding about one of "
          + "its sockets.")
      ReportLifecycle(states: figures.states, findings: subject.findings).write(to: &section)
      let drawn = ["BOUND", "DETACHED", "UNCONNECTED"].compactMap { name in
        figures.states.first { $0.name == name }.map { (name: "tcp \(name.lowercased())", count: $0.count) }
      }
      let others = drawn + figures.others
      if !others.isEmpty {
        section.add(.p) { line in
          line.text("Not in the drawing: ")
          line.text(others.map { "\($0.name) \(Phrase.number($0.count))" }.joined(separator: ", ") + ".")
        }
      }
    }
  }

  private func how(to page: inout Markup) {
    Self.section("how", "How it was taken", to: &page) { section in
      section.add(.dl) { list in
        func add(_ term: String, _ text: String?) {
          list.add(.dt, [], term)
          list.add(.dd, [], text ?? "not known")
        }
        let origin = subject.origin
        let missing = subject.isRedacted ? "redacted" : "not in the file"
        add("time", ReportTime.words(subject.census.when.wall))
        add("host", origin.host ?? missing)
        add("kernel", origin.kernel ?? "not in the file")
        let uptime = origin.uptime.map { UInt64(max(0, $0)) * 1000 }
        add("running for", uptime.map { "\(AgeBounds(atLeast: $0, atMost: $0))" } ?? "not in the file")
        add("user", origin.user.map { $0 == 0 ? "0 (root)" : "\($0)" } ?? missing)
        add(
          "source",
          origin.file.map { "the file \($0), written by fin census" }
            ?? (origin.isPast ? "the history that fin record wrote" : "the running kernel"))
        let spaces = subject.census.namespaces.map { $0.name + ($0.isRead ? "" : " (not read)") }
        add("network namespaces", spaces.prefix(20).joined(separator: ", ") + (spaces.count > 20 ? ", …" : ""))
        add("program", "fin \(CommandVersion.current)")
        if let period = subject.period {
          add(
            "looks",
            "\(period.looks), of which the last is the page's, in " + (period.isCutShort ? "a part of " : "")
              + "\(period.wanted / 1000) s")
        }
        add("again", "fin report, fin check, fin list; fin help report")
      }
      section.add(.h3, [], "Not seen")
      if subject.hidden.isEmpty {
        section.add(.p, [], "Nothing that fin knows of was hidden from it.")
      } else {
        section.add(.ul) { list in for sentence in subject.hidden { list.add(.li, [], sentence) } }
      }
      section.add(
        .p, [.style("quiet")],
        "This page loads nothing and sends nothing. Its data is inside, as JSON, in the element with the id data; "
          + "fin help json report describes it.")
    }
  }
}
