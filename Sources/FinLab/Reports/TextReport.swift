package import FinTerminal

/// The findings as text, at most 100 columns wide.
package struct TextReport {
  let terminal: Terminal

  package init(terminal: Terminal) { self.terminal = terminal }

  private let labelWidth = 9

  package static func listing(of experiment: Experiment, in world: World = .threads, on terminal: Terminal) -> String {
    let articles =
      experiment.articles.isEmpty ? "–" : experiment.articles.map(\.rawValue).joined(separator: ",")
    let word = world == .tasks ? Terminal.pad(experiment.wordOfTasks, to: 6) : ""
    let lines = Terminal.wrap(experiment.claim, to: terminal.width - 27 - word.count)
    let first =
      terminal.ink(.heading, Terminal.pad(experiment.id, to: 19)) + Terminal.pad(articles, to: 6) + word + lines[0]
    return ([first] + lines.dropFirst().map { String(repeating: " ", count: 25 + word.count) + $0 }).joined(
      separator: "\n")
  }

  /// Returns everything that one experiment showed.
  package func story(of finding: Finding) -> String {
    var lines: [String] = []
    let articles =
      finding.articles.isEmpty
      ? ""
      : "article" + (finding.articles.count == 1 ? " " : "s ")
        + finding.articles.map(\.rawValue).joined(separator: ", ")
    lines.append(
      terminal.ink(.heading, finding.id)
        + String(repeating: " ", count: terminal.width - finding.id.count - articles.count)
        + terminal.ink(.quiet, articles))
    lines += paragraph("claim", .quiet, finding.claim)
    lines += paragraph("truth", .quiet, finding.truth)
    for trial in finding.trials {
      lines.append("")
      lines += story(of: trial)
    }
    lines.append("")
    lines += paragraph("verdict", ink(of: finding.verdict), verdict(of: finding))
    lines.append(terminal.ink(.quiet, String(repeating: "─", count: terminal.width)))
    return lines.joined(separator: "\n")
  }

  private func story(of trial: Trial) -> [String] {
    let ink: Terminal.Style = trial.side == .fin ? .fin : .trap
    var lines = paragraph(trial.side == .fin ? "Fin" : "recipe", ink, trial.recipe)
    let nameWidth = min(44, trial.facts.map(\.name.count).max() ?? 0)
    let valueWidth = trial.facts.map(\.value.description.count).filter { $0 <= Self.longestValue }.max() ?? 0
    for fact in trial.facts { lines += line(of: fact, side: trial.side, nameWidth, valueWidth) }
    if let problem = trial.problem { lines += paragraph("failed", .bad, problem) }
    if !trial.outcome.isEmpty { lines += paragraph("so", .quiet, trial.outcome) }
    return lines
  }

  private static let longestValue = 30

  private func line(of fact: Fact, side: Trial.Side, _ nameWidth: Int, _ valueWidth: Int) -> [String] {
    let mark = mark(of: fact, side: side)
    let indent = String(repeating: " ", count: labelWidth + 2)
    let name = Terminal.pad(fact.name, to: nameWidth)
    let source = terminal.ink(.quiet, fact.source)
    let value = fact.value.description
    var lines: [String]
    if value.count <= Self.longestValue {
      lines = [mark + " " + name + "  " + Terminal.pad(value, to: valueWidth) + "  " + source]
    } else {
      // A long value stands below its name.
      lines = [mark + " " + name + "  " + String(repeating: " ", count: valueWidth) + "  " + source]
      lines += Terminal.wrap(value, to: terminal.width - indent.count - 2).map { indent + "  " + $0 }
    }
    if fact.met == false, let expected = fact.expected {
      lines.append(indent + terminal.ink(.bad, "expected: \(expected)"))
    }
    return lines
  }

  private func mark(of fact: Fact, side: Trial.Side) -> String {
    func right(_ text: String) -> String { String(repeating: " ", count: labelWidth + 1 - text.count) + text }
    return switch (side, fact.met) {
    case (_, nil): right("")
    case (.naive, true?): terminal.ink(.trap, right("!"))
    case (.naive, false?): terminal.ink(.bad, right("?"))
    case (.fin, true?): terminal.ink(.good, right("ok"))
    case (.fin, false?): terminal.ink(.bad, right("NO"))
    }
  }

  private func verdict(of finding: Finding) -> String {
    let outcomes = finding.fin.map(\.outcome).filter { !$0.isEmpty }.joined(separator: "; ")
    let word =
      switch finding.verdict {
      case .kept: "kept"
      case .broken: "BROKEN"
      case .timedOut: "TIMED OUT"
      case .crashed: "CRASHED"
      case .skipped: "skipped"
      }
    let truth = finding.truthShown == false ? " (The recipe did something else on this machine.)" : ""
    return "\(word) in \(finding.seconds.time): " + (finding.why ?? outcomes) + truth
  }

  private func ink(of verdict: Finding.Verdict) -> Terminal.Style {
    switch verdict {
    case .kept: .good
    case .broken, .timedOut, .crashed: .bad
    case .skipped: .trap
    }
  }

  /// Returns a label with its text, wrapped beside it.
  private func paragraph(_ label: String, _ ink: Terminal.Style, _ text: String) -> [String] {
    let wrapped = Terminal.wrap(text, to: terminal.width - labelWidth - 2)
    return wrapped.enumerated().map { number, line in
      (number == 0 ? "  " + terminal.ink(ink, Terminal.pad(label, to: labelWidth)) : String(repeating: " ", count: 11))
        + line
    }
  }

  /// Returns the table: for each experiment the result of the recipe, the result of Fin, and the verdict.
  package func table(of findings: [Finding], seconds: Double) -> String {
    let idWidth = max(10, findings.map(\.id.count).max() ?? 0)
    let verdictWidth = 9
    let cell = (terminal.width - idWidth - verdictWidth - 6) / 2
    var lines = [
      terminal.ink(
        .heading,
        Terminal.pad("experiment", to: idWidth) + "  " + Terminal.pad("the usual recipe", to: cell) + "  "
          + Terminal.pad(findings.contains { $0.world == .tasks } ? "Fin, in a task" : "Fin", to: cell) + "  verdict")
    ]
    for finding in findings {
      let recipe = finding.headline(of: .naive)?.outcome ?? ""
      let left = Terminal.wrap(finding.truthShown == false ? "? " + recipe : recipe, to: cell)
      let right = Terminal.wrap(
        finding.why ?? finding.headline(of: .fin).map { $0.problem ?? $0.outcome } ?? "", to: cell)
      for row in 0..<max(left.count, right.count) {
        let id = Terminal.pad(row == 0 ? finding.id : "", to: idWidth)
        let verdict = row == 0 ? terminal.ink(ink(of: finding.verdict), finding.verdict.rawValue) : ""
        let line =
          terminal.ink(.heading, id) + "  " + Terminal.pad(row < left.count ? left[row] : "", to: cell) + "  "
          + Terminal.pad(row < right.count ? right[row] : "", to: cell) + "  " + verdict
        lines.append(line)
      }
    }
    lines.append("")
    lines.append(summary(of: findings, seconds: seconds))
    return lines.map(Terminal.trimmed).joined(separator: "\n")
  }

  private func summary(of findings: [Finding], seconds: Double) -> String {
    let counted = Finding.Verdict.allCases.compactMap { verdict -> String? in
      let count = findings.count { $0.verdict == verdict }
      return count == 0 ? nil : terminal.ink(ink(of: verdict), "\(count) \(verdict.rawValue)")
    }
    let shown = findings.count { $0.truthShown == true }
    let tried = findings.count { $0.truthShown != nil }
    return "\(findings.count) experiment\(findings.count == 1 ? "" : "s") in \(seconds.time): "
      + counted.joined(separator: ", ") + ". The recipe did what the truth says in \(shown) of \(tried)."
  }
}
