import FinDoctor
import FinTerminal

/// The data of a page as JSON, for its script and for other programs. The schema is what `fin help json report` prints.
enum ReportData {
  static let kind = "fin report"

  static func json(_ subject: ReportSubject, _ figures: ReportFigures, _ sockets: ReportSockets) -> [UInt8] {
    var json = JSONWriter()
    let census = subject.census
    json.object { json in
      json.write("kind", string: kind)
      json.writeHead(census, hidden: subject.hidden)
      json.write("redacted", flag: subject.isRedacted)
      write(subject.origin, to: &json)
      json.write("muted", number: UInt64(subject.muted))
      json.write("verdict", string: subject.verdict)
      if let period = subject.period {
        json.beginLine()
        json.object("period") { ReportPeriodPanel(subject: subject, period: period).write(to: &$0) }
      }
      json.array("findings") { json in
        for (chain, findings) in subject.chains.enumerated() {
          for finding in findings {
            json.beginLine()
            CheckJSON.write(finding, chain, to: &json)
          }
        }
      }
      json.array("states") { json in
        for state in figures.states { write(state, to: &json) }
      }
      json.array("budgets") { json in
        for budget in figures.budgets { write(budget, census, to: &json) }
      }
      json.array("listeners") { json in
        for listener in figures.listeners { write(listener, to: &json) }
      }
      json.array("descriptors") { json in
        for use in figures.descriptors { write(use, to: &json) }
      }
      json.beginLine()
      json.write("sockets") { write(sockets, census, to: &$0) }
    }
    return json.text.bytes
  }

  private static func write(_ origin: ReportOrigin, to json: inout JSONWriter) {
    json.object("origin") { json in
      if let host = origin.host { json.write("host", string: host) }
      if let kernel = origin.kernel { json.write("kernel", string: kernel) }
      if let uptime = origin.uptime { json.write("uptimeSeconds", number: UInt64(max(0, uptime))) }
      if let user = origin.user { json.write("user", number: user) }
      if let file = origin.file { json.write("file", string: file) }
    }
  }

  private static func write(_ state: ReportFigures.State, to json: inout JSONWriter) {
    json.object { json in
      json.write("state", string: state.name)
      json.write("count", number: UInt64(state.count))
      json.write("oldest", since: state.oldest)
    }
  }

  private static func write(_ budget: PortBudget, _ census: Census, to json: inout JSONWriter) {
    json.object { json in
      json.write("route", string: ReportFigures.name(of: budget, in: census))
      let numbers: [(JSONKey, Int)] = [
        ("capacity", budget.capacity), ("connected", budget.connected), ("timeWait", budget.resting),
        ("bound", budget.bound), ("free", budget.free),
      ]
      for (name, number) in numbers { json.write(name, number: UInt64(max(0, number))) }
    }
  }

  private static func write(_ listener: ReportFigures.Listener, to json: inout JSONWriter) {
    json.object { json in
      json.write("listener", string: listener.name)
      json.write("owner", string: listener.owner)
      json.write("waiting", number: UInt64(max(0, listener.overview.waiting)))
      json.write("limit", number: UInt64(max(0, listener.overview.limit)))
      if let drops = listener.overview.drops { json.write("drops", number: UInt64(max(0, drops))) }
      json.write("oldest", since: listener.overview.oldest)
    }
  }

  private static func write(_ use: ReportFigures.Descriptors, to json: inout JSONWriter) {
    json.object { json in
      json.write("program", string: use.name)
      json.write("command", string: use.command)
      json.write("used", number: UInt64(max(0, use.used)))
      if let limit = use.limit { json.write("limit", number: limit) }
    }
  }

  /// Writes the sockets in columns. A column whose values repeat is written in runs: a value, then how many rows have
  /// it.
  private static func write(_ sockets: ReportSockets, _ census: Census, to json: inout JSONWriter) {
    json.object { json in
      json.write("count", number: UInt64(sockets.rows.count))
      func texts(_ key: JSONKey, _ all: [String]) {
        json.array(key) { json in for text in all { json.write(string: text) } }
      }
      texts("kinds", sockets.kinds.all)
      texts("states", sockets.states.all)
      texts("owners", sockets.owners.all)
      texts("addresses", sockets.addresses.all)
      texts("namespaces", census.namespaces.map(\.name))
      json.object("runs") { json in
        for (key, column) in runs {
          json.array(key) { json in
            var start = 0
            while start < sockets.rows.count {
              let value = sockets.rows[start][keyPath: column]
              var end = start + 1
              while end < sockets.rows.count, sockets.rows[end][keyPath: column] == value { end += 1 }
              json.write(signed: Int(value))
              json.write(number: UInt64(end - start))
              start = end
            }
          }
        }
      }
      json.object("values") { json in
        for (key, column) in values {
          json.array(key) { json in for row in sockets.rows { json.write(signed: Int(row[keyPath: column])) } }
        }
        // Descriptors of one program mostly follow each other: the steps between them are short.
        var last: Int32 = 0
        json.array("descriptorSteps") { json in
          for row in sockets.rows {
            json.write(signed: Int(row.descriptor) - Int(last))
            last = row.descriptor
          }
        }
      }
    }
  }

  private typealias Column = KeyPath<ReportSockets.Row, Int32>

  private static var runs: [(JSONKey, Column)] {
    [
      ("finding", \.finding), ("kind", \.kind), ("namespace", \.namespace), ("state", \.state), ("owner", \.owner),
      ("local", \.local), ("localPort", \.localPort), ("remote", \.remote), ("receiveQueue", \.receiveQueue),
      ("sendQueue", \.sendQueue),
    ]
  }

  private static var values: [(JSONKey, Column)] {
    [("remotePort", \.remotePort), ("least", \.least), ("spread", \.spread)]
  }
}
