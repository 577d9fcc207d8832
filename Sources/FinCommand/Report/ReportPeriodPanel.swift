import FinDoctor

/// The section of a page about the time of `--for`: rates, lifetimes, and what grew.
struct ReportPeriodPanel {
  let subject: ReportSubject
  let period: ReportPeriod

  /// The most rows of a table, and the most drawings.
  static let mostRows = 30
  static let mostCourses = 20
  /// The most points of a drawing.
  static let mostPoints = 120

  /// `During 60 s`, as the heading and the navigation name it.
  var title: String { "During \(Phrase.time(period.milliseconds * 1_000_000))" }

  func write(to page: inout Markup) {
    ReportPage.section("period", title, to: &page) { section in
      section.add(.p, [.style("quiet")], head)
      if let stopped { section.add(.p, [.style("hidden")], stopped) }
      guard period.looks > 1 else { return }
      connections(to: &section)
      states(to: &section)
      findings(to: &section)
      growth(to: &section)
    }
  }

  private var head: String {
    let looks = Phrase.noun(period.looks, "look")
    return "\(looks) from \(ReportTime.words(period.begun)) to \(ReportTime.words(period.latest)). Rates come from the "
      + "differences between two looks, so they are at least what happened: of what began and ended between two looks, "
      + "only connections are counted that were still in TIME-WAIT here."
  }

  /// The sentence about a time that a signal ended; nil if it was over.
  var stopped: String? {
    guard period.isCutShort else { return nil }
    let asked = "stopped after \(Phrase.time(period.milliseconds * 1_000_000)) of \(period.wanted / 1000) s"
    return period.looks > 1
      ? asked + ": the page has what was seen until then"
      : asked + ", before the second look: the page has one look, and no rates"
  }

  /// A rate: `3.2/s`.
  private func rate(_ count: Int) -> String { count == 0 ? "-" : "\(Phrase.rate(period.rate(count)))/s" }

  // MARK: Names

  /// The name of a program, also of one that had ended at the last look.
  func name(_ process: ReportPeriod.Process?) -> String {
    guard let process else { return "no process that could be seen" }
    let known = subject.census.programs[process.pid]
    if let known, subject.isRedacted || (known.started ?? 0) == process.started {
      return Phrase.program(process.pid, in: subject.census)
    }
    let name = subject.isRedacted ? nil : period.names[process]
    return "\(name ?? Phrase.ended)[\(process.pid)]" + (name == nil ? "" : ", which ended")
  }

  private func name(_ finding: ReportPeriod.FindingKey) -> String {
    "\(finding.id)" + (finding.pid.map { " of \(Phrase.program($0, in: subject.census))" } ?? "")
  }

  private func listener(_ identity: UInt64, _ listeners: [UInt64: String]) -> String {
    listeners[identity] ?? "a listener that ended"
  }

  /// The listeners of the last look by identity.
  private var listeners: [UInt64: String] {
    var names: [UInt64: String] = [:]
    for overview in ListenerOverview.all(in: subject.census) {
      let identity: UInt64 =
        switch overview.place {
        case .inet(let place): subject.census.sockets[place].identity
        case .unix(let place): subject.census.unixSockets[place].cookie
        }
      names[identity] = ReportFigures.name(of: overview, in: subject.census)
    }
    return names
  }

  // MARK: Tables

  /// Writes a table whose first column is text and whose others are short.
  private func table(_ title: String, _ columns: [String], _ rows: [[String]], to page: inout Markup) {
    page.add(.h3, [], title)
    page.add(.div, [.style("wide"), .init(.tabindex, "0"), .init(.role, "region"), .label(title)]) { box in
      box.add(.table) { table in
        table.add(.thead) { head in
          head.add(.tr) { line in for column in columns { line.add(.th, [.init(.scope, "col")], column) } }
        }
        table.newLine()
        table.add(.tbody) { body in
          for row in rows.prefix(Self.mostRows) {
            body.add(.tr) { line in
              for (place, cell) in row.enumerated() {
                line.add(place == 0 ? .th : .td, place == 0 ? [.init(.scope, "row")] : [], cell)
              }
            }
            body.newLine()
          }
        }
      }
    }
    if rows.count > Self.mostRows {
      page.add(.p, [.style("quiet")], "\(Self.mostRows) of \(Phrase.number(rows.count)) are here, the busiest.")
    }
  }

  private func connections(to page: inout Markup) {
    let rows = connectionRows
    guard !rows.isEmpty else {
      page.add(.h3, [], "Connections")
      return page.add(.p, [.style("quiet")], "No connection began or ended.")
    }
    table(
      "Connections that began and ended",
      ["Program and port", "Began", "a second", "Ended", "a second", "Lasted at least", "Half of them", "At most"],
      rows.map { group, lives in
        [
          words(group), Phrase.number(lives.began), rate(lives.began), Phrase.number(lives.ended), rate(lives.ended),
          short(lives.time(at: 0)), short(lives.time(at: 0.5)), short(lives.time(at: 1)),
        ]
      }, to: &page)
    page.add(
      .p, [.style("quiet")],
      "The times are those of connections that both began and ended here. A time is known as exactly as looks follow "
        + "each other, and long ones are missing.")
    if period.lives.leftOut > 0 {
      page.add(
        .p, [.style("quiet")],
        "\(Phrase.noun(period.lives.leftOut, "connection")) of further programs and ports are not counted.")
    }
  }

  /// The groups of connections, the busiest first.
  var connectionRows: [(group: ConnectionLives.Group, lives: ConnectionLives.Lives)] {
    period.lives.groups.map { ($0.key, $0.value) }.sorted { left, right in
      let (l, r) = (left.1.began + left.1.ended, right.1.began + right.1.ended)
      return l == r ? words(left.0) < words(right.0) : l > r
    }
  }

  /// `api[50], clients of its port 8080`
  func words(_ group: ConnectionLives.Group) -> String {
    name(group.process) + (group.isServer ? ", clients of its port \(group.port)" : ", to port \(group.port)")
  }

  /// `0.2-0.4s`, or `-` without any.
  private func short(_ time: AgeBounds?) -> String {
    var text = TextBuffer()
    time?.write(short: &text)
    return text.text.isEmpty ? "-" : text.text
  }

  private func states(to page: inout Markup) {
    table(
      "States of TCP", ["State", "First look", "Last look", "Came", "Left"],
      stateRows.map { state, entry in
        [
          state.description, Phrase.number(entry.first), Phrase.number(entry.last), rate(entry.flow.came),
          rate(entry.flow.left),
        ]
      }, to: &page)
  }

  /// The states in their order.
  var stateRows: [(SocketState, ReportPeriod.State)] {
    period.states.map { ($0.key, $0.value) }.sorted { $0.0.rawValue < $1.0.rawValue }
  }

  private func findings(to page: inout Markup) {
    guard !findingRows.isEmpty else { return }
    table(
      "Sockets of findings", ["Finding", "Came", "a second", "Left", "a second"],
      findingRows.map { finding, flow in
        [name(finding), Phrase.number(flow.came), rate(flow.came), Phrase.number(flow.left), rate(flow.left)]
      }, to: &page)
  }

  /// The findings whose sockets changed, the busiest first.
  var findingRows: [(ReportPeriod.FindingKey, ReportPeriod.Flow)] {
    period.findings.filter { $0.value.came + $0.value.left > 0 }
      .map { ($0.key, $0.value) }.sorted { left, right in
        let (l, r) = (left.1.came + left.1.left, right.1.came + right.1.left)
        return l == r ? name(left.0) < name(right.0) : l > r
      }
  }

  // MARK: Growth

  private func growth(to page: inout Markup) {
    page.add(.h3, [], "Grew")
    let rows = growthRows
    if rows.isEmpty { page.add(.p, [.style("quiet")], "Nothing is larger at the last look than at the first.") }
    for row in rows.prefix(Self.mostCourses) {
      let course = row.course
      let words =
        "\(Phrase.number(course.first)) → \(Phrase.number(course.last)), \(rate(course.growth))"
        + (course.neverFell ? ", and never fell" : "")
      page.add(.div, [.style("row")]) { line in
        line.add(.p) { text in
          text.add(.b, [], row.name)
          text.text(" — " + words)
        }
        ReportCharts.course(course.values(atMost: Self.mostPoints), "\(row.name): \(words)", to: &line)
      }
    }
    if rows.count > Self.mostCourses {
      let all = Phrase.number(rows.count)
      page.add(.p, [.style("quiet")], "\(Self.mostCourses) of \(all) are here, the largest growth first.")
    }
    if period.courses.leftOut > 0 {
      page.add(.p, [.style("quiet")], "\(Phrase.number(period.courses.leftOut)) more things were not followed.")
    }
  }

  /// The things that grew, with their names. A redacted page leaves peers out.
  var growthRows: [(name: String, course: Courses.Course)] {
    let listeners = listeners
    return period.courses.grown.compactMap { quantity, course in
      name(quantity, listeners).map { ($0, course) }
    }
  }

  private func name(_ quantity: Courses.Quantity, _ listeners: [UInt64: String]) -> String? {
    switch quantity {
    case .sockets(let process, let state): "\(name(process)): sockets in \(state)"
    case .descriptors(let process): "\(name(process)): open descriptors"
    case .waiting(let identity): "\(listener(identity, listeners)): clients that wait for accept"
    case .drops(let identity): "\(listener(identity, listeners)): connection attempts dropped"
    case .ports(let port): "local ports of connections to port \(port)"
    case .finding(let finding): "finding \(name(finding))"
    case .peer(let address): subject.isRedacted ? nil : "sockets with the peer \(address)"
    }
  }
}
