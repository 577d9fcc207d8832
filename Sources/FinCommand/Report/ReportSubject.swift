import FinDoctor
import FinTerminal
import Glibc

/// The subject of a page: one census, judged as `fin check` judges it, and how it was taken.
struct ReportSubject {
  /// The record; in a redacted page, the redacted one.
  let record: CensusRecord
  /// Findings that explain each other, cause first; the worst first.
  let chains: [[Finding]]
  let onPurpose: [DeclaredIntent]
  /// The number of muted findings.
  let muted: Int
  let isRedacted: Bool
  let origin: ReportOrigin
  /// The time of --for; nil for a page about one look.
  var period: ReportPeriod?

  var census: Census { record.census }
  var findings: [Finding] { chains.flatMap { $0 } }

  /// Judges a record.
  /// - Parameters:
  ///   - record: The record as it was taken.
  ///   - mutes: The findings to leave out.
  ///   - isRedacted: Whether names, addresses, users, arguments and paths are replaced first.
  ///   - origin: How the record was taken.
  ///   - options: Facts beside the record: earlier censuses.
  init(
    _ record: CensusRecord, _ mutes: Mutes = Mutes(), isRedacted: Bool = false, _ origin: ReportOrigin,
    _ options: Diagnosis.Options? = nil
  ) throws(CensusRecord.Fault) {
    var findings = Diagnosis.examine(record.census, options ?? record.options)
    let muted = findings.findings.filter(mutes.mutes).map { Subject($0) }
    self.record = isRedacted ? try CensusRecord(json: record.json(redacted: true)) : record
    // The sentences of a redacted page are made from redacted facts: no text of the original is in reach of the page.
    if isRedacted { findings = Diagnosis.examine(self.record.census, self.record.options) }
    chains = Diagnosis.chains(findings.findings.filter { !muted.contains(Subject($0)) })
    self.muted = muted.count
    onPurpose = findings.onPurpose
    self.isRedacted = isRedacted || record.isRedacted
    self.origin = isRedacted ? origin.redacted : origin
  }

  /// A finding by its kind and process, which a redaction keeps.
  private struct Subject: Hashable {
    var id: FindingID
    var pid: Int32?

    init(_ finding: Finding) { (id, pid) = (finding.id, finding.who?.pid) }
  }

  /// The gaps of the look, one sentence each.
  var hidden: [String] { record.hidden }

  /// The number of findings of a severity.
  func count(_ severity: Severity) -> Int { findings.count { $0.severity == severity } }

  /// The result in one sentence.
  var verdict: String {
    let words = [Severity.critical, .warning, .info].compactMap { severity -> String? in
      let count = count(severity)
      if count == 0 { return nil }
      switch severity {
      case .critical: return Phrase.noun(count, "critical finding")
      case .warning: return Phrase.noun(count, "warning")
      case .info: return "\(count) for information"
      }
    }
    let sockets = "\(Phrase.noun(record.socketCount, "socket")) and "
    let subject = sockets + Phrase.noun(census.holders.processes.count, "process", "processes")
    if !words.isEmpty { return "\(words.joined(separator: ", ")) in \(subject)." }
    let limit = hidden.isEmpty ? "" : " in what could be seen"
    return "No findings\(limit): \(subject)."
  }
}

extension CensusRecord {
  /// The number of sockets in the census.
  var socketCount: Int {
    census.sockets.count + census.unixSockets.count + census.detached.count + census.otherSockets.count
  }
}

/// How a record was taken, as far as it is known: a file does not say all of it.
struct ReportOrigin {
  var host: String?
  var kernel: String?
  /// The seconds for which the machine had been running.
  var uptime: Int?
  /// The user who ran the command.
  var user: UInt32?
  /// The file that the record was read from.
  var file: String?
  /// Whether the record was rebuilt from the history of fin record.
  var isPast = false

  /// The origin of a record that is taken on this machine.
  static func thisMachine() -> ReportOrigin {
    var origin = ReportOrigin()
    var names = utsname()
    if unsafe uname(&names) == 0 {
      func text<Field>(_ field: inout Field) -> String {
        unsafe withUnsafeBytes(of: &field) { bytes in unsafe visible(Array(bytes.prefix { $0 != 0 })) }
      }
      origin.host = text(&names.nodename)
      origin.kernel = "\(text(&names.sysname)) \(text(&names.release)) \(text(&names.machine))"
    }
    var time = timespec()
    if unsafe clock_gettime(CLOCK_BOOTTIME, &time) == 0 { origin.uptime = time.tv_sec }
    origin.user = geteuid()
    return origin
  }

  /// The origin without names. The version of the kernel and the time since the start name no one.
  var redacted: ReportOrigin {
    var origin = self
    (origin.host, origin.file) = (nil, file.map { _ in "redacted" })
    if user != 0 { origin.user = nil }
    return origin
  }
}

/// A moment as text, in UTC.
enum ReportTime {
  /// `2026-11-30 05:12:09 UTC`
  static func words(_ nanoseconds: Int64) -> String {
    let (y, m, d, clock) = parts(nanoseconds)
    return "\(y)-\(m)-\(d) \(clock.joined(separator: ":")) UTC"
  }

  /// `20261130-051209`, for the name of a file.
  static func compact(_ nanoseconds: Int64) -> String {
    let (y, m, d, clock) = parts(nanoseconds)
    return "\(y)\(m)\(d)-\(clock.joined())"
  }

  private static func parts(_ nanoseconds: Int64) -> (String, String, String, [String]) {
    let seconds = max(0, nanoseconds / 1_000_000_000)
    let (days, second) = seconds.quotientAndRemainder(dividingBy: 86_400)
    func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }
    // Years that begin in March, so that a leap day is the last day; 400 of them have 146,097 days.
    let shifted = days + 719_468
    let (era, day) = shifted.quotientAndRemainder(dividingBy: 146_097)
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365
    let dayOfYear = day - (365 * year + year / 4 - year / 100)
    let month = (5 * dayOfYear + 2) / 153
    let isNext = month >= 10
    return (
      "\(year + era * 400 + (isNext ? 1 : 0))", two(isNext ? month - 9 : month + 3),
      two(dayOfYear - (153 * month + 2) / 5 + 1), [second / 3600, second / 60 % 60, second % 60].map(two)
    )
  }
}
