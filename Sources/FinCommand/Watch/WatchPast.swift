import FinBase
import FinDoctor

/// A look of a history, as `fin watch --at` shows it.
struct WatchPast: Sendable {
  var look: WatchLook
  var machine: WatchModel.Machine
  /// The words by which another command shows the same moment: `--at 2026-11-29T02:13:00.250Z`.
  var words = ""
}

/// The steps that a person can take in a history.
enum WatchStep: Hashable, Sendable {
  case before, after
}

/// The looks of a history, one after the other, in the order that a person wants.
struct WatchPastLooks: Sendable {
  private let folder: HistoryFolder
  private let isNamed: Bool
  private let options: Census.Options
  private let namespace: String?
  private let choice: WatchChoice
  private var position: HistoryPosition?
  private var findings: [Finding] = []
  private var host = ""
  /// The record of the look that is shown.
  private(set) var record: CensusRecord?

  /// - Parameter isNamed: Whether the folder is not the one that other commands read without its name.
  init(
    _ folder: HistoryFolder, isNamed: Bool, _ options: Census.Options, namespace: String?, _ choice: WatchChoice
  ) {
    (self.folder, self.isNamed) = (folder, isNamed)
    (self.options, self.namespace, self.choice) = (options, namespace, choice)
  }

  /// The look at a moment, in milliseconds since 1970.
  /// - Parameter taking: Makes the looks, also those of the present: a finding has the same number in both.
  mutating func look(at moment: Int64, _ taking: inout WatchTaking) throws(HistoryFault) -> WatchPast {
    try show(try HistoryReader(folder).noted(at: moment), &taking)
  }

  /// The look before or after the one that is shown; nil if there is none.
  mutating func look(_ step: WatchStep, _ taking: inout WatchTaking) throws(HistoryFault) -> WatchPast? {
    guard let position else { return nil }
    // Opened each time: the recorder goes on, and removes what is old.
    let reader = try HistoryReader(folder)
    let next =
      switch step {
      case .before: reader.position(before: position)
      case .after: reader.position(after: position)
      }
    guard let next else { return nil }
    var answer = try reader.answer(at: next)
    answer.record.notes = HistoryNotes.sentences(answer, now: LocalTime.now)
    return try show(answer, &taking)
  }

  private mutating func show(
    _ answer: HistoryAnswer, _ taking: inout WatchTaking
  ) throws(HistoryFault) -> WatchPast {
    let begun = SystemClock.monotonic
    var record = answer.record
    record.census.select(options)
    if let namespace {
      let places = WatchLooker.places(of: namespace, in: record.census)
      guard !places.isEmpty else {
        throw HistoryFault(.unavailable, "no network namespace was called \(visible(namespace)) then")
      }
      record.census.keep(namespaces: places)
    }
    findings = Diagnosis.examine(record.census, record.options).findings
    var look = taking.look(at: record.census, findings, isPast: true)
    look.hidden = record.hidden
    look.took = .nanoseconds(SystemClock.monotonic - begun)
    (self.record, position, host) = (record, answer.position, answer.host)
    return WatchPast(
      look: look, machine: WatchModel.Machine(host: answer.host, kernel: answer.kernel), words: words(answer.look))
  }

  private func words(_ moment: Int64) -> String {
    let time = ReportTime.words(moment * 1_000_000).split(separator: " ")
    let fraction = String(1000 + moment % 1000).dropFirst()
    let place = isNamed ? " --directory \(visible(folder.path))" : ""
    return "--at \(time[0])T\(time[1]).\(fraction)Z" + place
  }

  /// The explanation of a subject of the look that is shown.
  func lines(about subject: WatchSubject, columns: Int) -> [String] {
    guard let record else { return [] }
    return WatchExplanation(columns: columns, record.census, findings, from: record).lines(about: subject)
  }

  /// The subject of a page about the look that is shown.
  func subject() throws -> ReportSubject? {
    guard let record else { return nil }
    return try ReportSubject(record, choice.mutes, ReportOrigin(host: host.isEmpty ? nil : host, isPast: true))
  }
}
