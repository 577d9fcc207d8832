import FinDoctor
import FinTerminal

/// The report of `fin check`.
struct CheckReport {
  /// Findings that explain each other, cause first; the worst first.
  var chains: [[Finding]]
  /// The number of findings below the threshold.
  var below: Int
  var muted: Int
  /// The findings that were left out because their program declared the behaviour intentional.
  var onPurpose: [DeclaredIntent] = []
  var census: Census
  /// The limit on the chains to show; nil for none. The status and the summary are those of all chains.
  var limit: Int?
  /// The gaps of the look, one sentence each.
  var hidden: [String] = []
  /// Whether the subject of the check could not be looked at.
  var couldNotLook = false
  /// The exit status of the command that was run, if any.
  var commandStatus: Int32 = 0

  var findings: [Finding] { chains.flatMap { $0 } }
  /// The chains to show.
  var shown: ArraySlice<[Finding]> { chains.prefix(limit ?? .max) }

  var status: ExitStatus {
    switch findings.map(\.severity).max() {
    case .critical: .grave
    case .warning: .problem
    case .info: withoutProblem
    case nil: withoutProblem
    }
  }

  /// The status where nothing was found.
  private var withoutProblem: ExitStatus {
    if couldNotLook { return .couldNotLook }
    return commandStatus != 0 ? .commandFailed : .success
  }
}

/// The report as JSON; the schema is what `fin help json check` prints.
enum CheckJSON {
  static func write(_ report: CheckReport) {
    var json = JSONWriter()
    json.object { json in
      json.writeHead(report.census, hidden: report.hidden)
      json.write("status", number: UInt64(report.status.rawValue))
      json.write("muted", number: UInt64(report.muted))
      json.array("onPurpose") { json in
        for meant in report.onPurpose { write(meant, to: &json) }
      }
      json.write("matching", number: UInt64(report.chains.count))
      json.array("findings") { json in
        for (chain, findings) in report.shown.enumerated() {
          for finding in findings { write(finding, chain, to: &json) }
        }
      }
    }
    json.text.write("\n")
    Output.write(json.text.bytes)
  }

  /// Writes one finding, as an entry of a list.
  static func write(_ finding: Finding, _ chain: Int, to json: inout JSONWriter) {
    json.object { json in
      json.write("id", string: finding.id.rawValue)
      json.write("name", string: finding.id.name)
      json.write("severity", string: finding.severity.description)
      json.write("chain", number: UInt64(chain))
      json.write("sentence", string: finding.sentence)
      json.write("count", number: UInt64(max(0, finding.count)))
      if let who = finding.who { write(who, to: &json) }
      if let since = finding.since, since != .unknown {
        json.object("since") { json in
          json.write("atLeastMilliseconds", number: since.lower)
          if since.upper != .max { json.write("atMostMilliseconds", number: since.upper) }
        }
      }
      if let origin = finding.origin { write(origin, to: &json) }
      json.array("evidence") { json in
        for evidence in finding.evidence {
          json.object { json in
            json.write("field", string: evidence.field)
            json.write("value", string: evidence.value)
          }
        }
      }
      json.array("facts") { json in
        for reading in finding.facts {
          json.object { json in
            json.write("name", string: reading.fact.name)
            json.write("source", string: reading.fact.source)
            if let value = reading.value { json.write("value", string: value) }
          }
        }
      }
      if let why = finding.why { json.write("why", string: why) }
      json.object("fix") { json in
        json.write("code", string: finding.fix.code)
        json.write("fin", string: finding.fix.fin)
      }
      json.object("confidence") { json in
        json.write("word", string: finding.confidence.word)
        if let doubt = finding.confidence.doubt { json.write("doubt", string: doubt) }
      }
      if let share = finding.share, share.isFinite {
        json.write("percent", number: UInt64((min(max(share, 0), 1e6) * 100).rounded()))
      }
    }
  }

  private static func write(_ meant: DeclaredIntent, to json: inout JSONWriter) {
    json.object { json in
      json.write("id", string: meant.id.rawValue)
      json.write("name", string: meant.id.name)
      if let program = meant.who.program { json.write("program", string: program) }
      if let pid = meant.who.pid { json.write("pid", number: UInt64(max(0, pid))) }
      json.write("count", number: UInt64(max(0, meant.count)))
      json.write("reason", string: meant.reason)
      json.write("milliseconds", number: meant.milliseconds)
    }
  }

  private static func write(_ origin: OpenSites, to json: inout JSONWriter) {
    json.array("opened") { json in
      for site in origin.sites {
        json.object { json in
          json.write("file", string: site.file)
          json.write("line", number: site.line)
          json.write("count", number: UInt64(site.count))
        }
      }
    }
    json.array("phases") { json in
      for (phase, count) in origin.phases {
        json.object { json in
          json.write("phase", string: "\(phase)")
          json.write("count", number: UInt64(count))
        }
      }
    }
    json.object("wait") { json in
      json.write("untilDeadline", number: UInt64(origin.waitUntilDeadline))
      json.write("withoutEnd", number: UInt64(origin.waitForEver))
      json.write("deadlineMilliseconds", numberIfKnown: origin.deadlineMilliseconds)
    }
  }

  private static func write(_ who: ProcessOwner, to json: inout JSONWriter) {
    json.object("who") { json in
      if let program = who.program { json.write("program", string: program) }
      if let script = who.script { json.write("script", string: script) }
      if let pid = who.pid { json.write("pid", number: UInt64(max(0, pid))) }
      if let user = who.user { json.write("user", number: user) }
      if let unit = who.unit { json.write("unit", string: unit) }
      if let container = who.container { json.write("container", string: container) }
      if who.language != .unknown { json.write("language", string: who.language.rawValue) }
      json.array("descriptors") { json in
        for descriptor in who.descriptors { json.write(number: UInt64(max(0, descriptor))) }
      }
      json.array("others") { json in
        for pid in who.others { json.write(number: UInt64(max(0, pid))) }
      }
    }
  }
}
