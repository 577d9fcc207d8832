import FinDoctor

/// The sections of a page between the lifecycle and the table: times, ports, listeners, descriptors, queues, peers.
struct ReportPanels {
  let subject: ReportSubject
  let figures: ReportFigures
  let sockets: ReportSockets

  func write(to page: inout Markup) {
    timelines(to: &page)
    ports(to: &page)
    listeners(to: &page)
    descriptors(to: &page)
    queues(to: &page)
    peers(to: &page)
  }

  static func none(_ text: String, to page: inout Markup) { page.add(.p, [.style("quiet")], text) }

  /// The sentence about entries that are left out.
  static func rest(_ shown: Int, of all: Int, _ what: String, _ command: String, to page: inout Markup) {
    guard shown < all else { return }
    none("\(shown) of \(Phrase.number(all)) \(what) are here; \(command) shows all.", to: &page)
  }

  private func timelines(to page: inout Markup) {
    ReportPage.section("timelines", "Timelines", to: &page) { section in
      if figures.timelines.isEmpty { return Self.none("The kernel keeps no times of these sockets.", to: &section) }
      section.add(
        .p, [.style("quiet")],
        "The sockets of the worst findings, or the oldest. Solid: the time that a socket has been in its state for "
          + "certain. Open: the time that is possible. Large dots: data or an acknowledgement came last; small dots: "
          + "data was sent last.")
      for row in figures.timelines {
        let finding = row.finding < 0 ? nil : subject.findings[Int(row.finding)]
        section.add(.div, [.style("row")]) { line in
          line.add(.p) { words in
            if let finding {
              words.add(.a, [.link(to: ReportFindings.card(Int(row.finding)))], finding.id.rawValue)
              words.text(" ")
            }
            words.add(.b, [], sockets.states[row.state])
            words.text(" \(sockets.end(row.local, row.localPort))")
            if row.remotePort != 0 { words.text(" → \(sockets.end(row.remote, row.remotePort))") }
            words.text(", \(sockets.owner(row)), for \(row.since)")
          }
          ReportCharts.time(row.since, events(row), style: finding.map { "\($0.severity)" } ?? "plain", to: &line)
        }
      }
    }
  }

  /// The moments that the kernel recorded. In some states its times have no meaning, and before the first byte in a
  /// direction its time there is that of the handshake.
  private func events(_ row: ReportSockets.Row) -> [ReportCharts.Event] {
    guard case .inet(let index) = row.socket else { return [] }
    let socket = subject.census.sockets[index]
    switch socket.state {
    case .established, .closeWait, .finWait1, .finWait2, .lastAck, .closing: break
    default: return []
    }
    let info = socket.info
    // A FIN counts as a byte.
    let hasReceived = (info.bytesReceived ?? 0) > 1 || (info.bytesReceived == 1 && socket.state == .established)
    let hasSent = (info.bytesSent ?? 0) > 0
    let all: [(UInt32?, String, Bool)] = [
      (hasReceived ? info.lastDataReceived : nil, "data came last", true),
      (info.lastAcknowledgementReceived, "an ACK came last", true),
      (hasSent ? info.lastDataSent : nil, "data was sent last", false),
    ]
    return all.compactMap { age, word, isIncoming in
      age.map { ReportCharts.Event(age: UInt64($0), word: word, isIncoming: isIncoming) }
    }
  }

  private func ports(to page: inout Markup) {
    ReportPage.section("ports", "Local ports", to: &page) { section in
      if figures.budgets.isEmpty { return Self.none("No connection uses a port that the kernel chose.", to: &section) }
      for budget in figures.budgets {
        let most = Double(max(1, budget.capacity))
        let words =
          "\(Phrase.number(budget.free)) of \(Phrase.number(budget.capacity)) free: \(Phrase.number(budget.connected)) "
          + "connected, \(Phrase.number(budget.resting)) in TIME-WAIT, \(Phrase.number(budget.bound)) bound"
        section.add(.div, [.style("row")]) { line in
          line.add(.p) { text in
            text.add(.b, [], ReportFigures.name(of: budget, in: subject.census))
            text.text(" — " + words)
            if let user = budget.users.first {
              text.text("; most of them \(Phrase.program(user.pid, in: subject.census))")
            }
          }
          ReportCharts.bar(
            [
              .init(Double(budget.connected) / most, "one"), .init(Double(budget.resting) / most, "two"),
              .init(Double(budget.bound) / most, "three"),
            ], words, to: &line)
        }
      }
      Self.legend([("one", "connected"), ("two", "in TIME-WAIT"), ("three", "bound")], to: &section)
      Self.rest(figures.budgets.count, of: figures.budgetCount, "routes", "fin ports --all", to: &section)
    }
  }

  static func legend(_ parts: [(style: String, word: String)], to page: inout Markup) {
    page.add(.p, [.style("legend")]) { legend in
      for part in parts {
        legend.add(.svg, [.style("key"), .init(.isHidden, "true")]) { key in
          key.add(.rect, [.style(part.style), .init(.width, "100%"), .init(.height, "100%")])
        }
        legend.add(.span, [], part.word)
      }
    }
  }

  private func listeners(to page: inout Markup) {
    ReportPage.section("listeners", "Listeners", to: &page) { section in
      if figures.listeners.isEmpty { return Self.none("No socket listens.", to: &section) }
      if figures.listeners.contains(where: { !$0.overview.waits.isEmpty }) {
        section.add(
          .p, [.style("quiet")],
          "A bar is the filled part of an accept queue. A dot is a client in it, where it has waited for certain.")
      }
      for listener in figures.listeners {
        let overview = listener.overview
        var words = "\(Phrase.noun(overview.waiting, "client")) waiting, limit \(Phrase.number(overview.limit))"
        if let oldest = overview.oldest, oldest != .unknown { words += ", the first for \(oldest)" }
        if let drops = overview.drops { words += "; \(Phrase.number(drops)) dropped since it began" }
        let severity = overview.severity()
        section.add(.div, [.style("row")]) { line in
          line.add(.p) { text in
            if let severity {
              text.add(.span, [.style("sign \(severity)")], ReportFindings.sign(severity))
              text.text(" ")
            }
            text.add(.b, [], listener.name)
            text.text(" \(listener.owner) — \(words)")
          }
          ReportCharts.bar([.init(overview.share, severity.map { "\($0)" } ?? "one")], words, to: &line)
          if !overview.waits.isEmpty { ReportCharts.dots(overview.waits, waits(overview), to: &line) }
        }
      }
      Self.rest(figures.listeners.count, of: figures.listenerCount, "listeners", "fin listeners", to: &section)
    }
  }

  /// `3 clients, waiting for 6 to 8 s, …`, where a drawing has more than it says in words.
  private func waits(_ overview: ListenerOverview) -> String {
    let shown = overview.waits.prefix(5).map { "\($0)" }.joined(separator: ", ")
    return Phrase.noun(overview.waits.count, "client") + ", waiting for \(shown)"
      + (overview.waits.count > 5 ? ", …" : "")
  }

  /// `60 more in 60 s; at this rate the limit is reached in 4 min`, of what grew in the time of `--for`; nil for a
  /// program whose descriptors did not.
  private func forecast(_ use: ReportFigures.Descriptors) -> String? {
    guard let period = subject.period, let course = period.courses.all[.descriptors(use.process)], course.growth > 0
    else { return nil }
    let grown = "\(Phrase.number(course.growth)) more in \(Phrase.time(period.milliseconds * 1_000_000))"
    let rate = period.rate(course.growth)
    // A number that rises and falls reaches no limit at its mean rate.
    guard course.neverFell, rate > 0, let limit = use.limit else { return grown }
    let seconds = max(0, Double(limit) - Double(use.used)) / rate
    guard seconds < Self.farthest else { return grown }
    let left = UInt64(seconds * 1000)
    return grown + "; at this rate the limit is reached in \(AgeBounds(atLeast: left, atMost: left))"
  }

  /// The longest time that is forecast, in seconds: a week.
  private static let farthest = 604_800.0

  private func descriptors(to page: inout Markup) {
    ReportPage.section("descriptors", "Descriptors and their limits", to: &page) { section in
      if figures.descriptors.isEmpty {
        return Self.none("The number of descriptors of no program could be read.", to: &section)
      }
      let thresholds = Thresholds()
      for use in figures.descriptors {
        let words =
          use.limit.map {
            let percent = Int((min(use.share, 10) * 100).rounded())
            return "\(Phrase.number(use.used)) of \(Phrase.number(Int(clamping: $0))) open, \(percent) %"
          } ?? "\(Phrase.number(use.used)) open, the limit is not known"
        let severity: Severity? =
          use.share >= thresholds.descriptorCritical
          ? .critical : use.share >= thresholds.descriptorWarning ? .warning : nil
        section.add(.div, [.style("row")]) { line in
          line.add(.p) { text in
            if let severity {
              text.add(.span, [.style("sign \(severity)")], ReportFindings.sign(severity))
              text.text(" ")
            }
            text.add(.b, [], use.name)
            text.text(" — \(words)\(forecast(use).map { "; \($0)" } ?? "") ")
            text.add(.code, [], String(use.command.prefix(300)))
          }
          ReportCharts.bar([.init(use.share, severity.map { "\($0)" } ?? "one")], words, to: &line)
        }
      }
    }
  }

  private func peers(to page: inout Markup) {
    ReportPage.section("peers", "Peers", to: &page) { section in
      if figures.peers.isEmpty { return Self.none("No socket has a peer with an address.", to: &section) }
      let most = Double(figures.peers.map(\.count).max() ?? 1)
      for peer in figures.peers {
        let states = peer.states.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
          .map { "\($0.key) \(Phrase.number($0.value))" }.joined(separator: ", ")
        let owners = peer.owners.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map(\.key)
        let shown = owners.prefix(3).joined(separator: ", ") + (owners.count > 3 ? ", …" : "")
        section.add(.div, [.style("row")]) { line in
          line.add(.p) { text in
            text.add(.b, [], peer.address)
            text.text(" — \(Phrase.noun(peer.count, "socket")): \(states); \(shown)")
          }
          let closing = peer.states.reduce(0) { $1.key == "ESTABLISHED" ? $0 : $0 + $1.value }
          ReportCharts.bar(
            [
              .init(Double(peer.count - closing) / most, "one"), .init(Double(closing) / most, "two"),
            ], "\(Phrase.noun(peer.count, "socket")): \(states)", to: &line)
        }
      }
      Self.legend([("one", "ESTABLISHED"), ("two", "other states")], to: &section)
      Self.rest(figures.peers.count, of: figures.peerCount, "addresses", "fin list", to: &section)
    }
  }
}
