/// The machine as a history knows it at a moment, and how exactly.
package struct HistoryAnswer: Sendable {
  /// The record, to be examined like one of a census file.
  package var record: CensusRecord
  /// The moment that was asked for, and the looks around it, in milliseconds since 1970.
  package var moment: Int64
  package var look: Int64
  package var next: Int64?
  /// The key frame that the fields come from which only frames have.
  package var frame: Int64
  /// The time between two looks, in milliseconds.
  package var period: Int64
  /// The look's place in the history.
  package var position: HistoryPosition
  /// The machine that the history is about, by its name, and the kernel's version.
  package var host: String
  package var kernel: String
  /// The intervals that ended and began between the two looks: it is not known which of them were there.
  package var ended = 0
  package var began = 0
  /// The sockets in TIME-WAIT, where the record neither lists nor counts them.
  package var resting = 0
  /// The connections that began and ended between the two looks, and whether there were more.
  package var short = 0
  package var hasMoreShort = false
  /// Whether the clock showed the moment twice.
  package var isTwice = false
  /// Looks that could not be written between the two.
  package var missed = 0
  /// The gaps of the look, and the files that were skipped, one sentence each.
  package var problems: [String] = []

  /// Whether all of it was read at one look.
  package var isFrame: Bool { look == frame }
  /// Whether the recorder was not running between the looks, or could not look.
  package var isGap: Bool { next.map { $0 - look > period * 3 + 2000 } ?? false }
}

extension HistoryReader {
  /// The machine at a moment, in milliseconds since 1970.
  /// - Throws: If no look is near it, or its file cannot be read.
  package func answer(at moment: Int64) throws(HistoryFault) -> HistoryAnswer {
    let place: HistoryPlace
    do throws(HistoryFault) {
      place = try self.place(of: moment)
    } catch {
      throw problems.isEmpty ? error : HistoryFault(.unavailable, "\(error); \(problems.joined(separator: "; "))")
    }
    let found = reading(place.file.file) { (file) throws(Database.Failure) in try answer(file, place, moment) }
    guard var answer = found else { throw HistoryFault(.unavailable, problems.joined(separator: "; ")) }
    answer.problems += problems
    return answer
  }

  func answer(
    _ file: OpenFile, _ place: HistoryPlace, _ moment: Int64
  ) throws(Database.Failure) -> HistoryAnswer {
    let look = place.look
    let before = try file.frame("WHERE look <= ? ORDER BY look DESC", look.number)?.look
    let after = try file.frame("WHERE look > ? ORDER BY look", look.number)?.look
    // The nearer one; the earlier one where both are as near.
    let nearest = [before, after].compactMap { $0 }.min { abs($0 - look.number) < abs($1 - look.number) }
    guard let nearest, let frame = try file.look("WHERE id = ?", [nearest]) else {
      throw Database.Failure(code: -1, description: "it has no key frame")
    }
    let record = try file.record(nearest)
    var answer = HistoryAnswer(
      record: record, moment: moment, look: look.at, next: place.next?.at, frame: frame.at, period: file.period,
      position: HistoryPosition(file: file.file.number, look: look.number), host: file.host, kernel: file.kernel)
    answer.isTwice = place.isTwice
    answer.missed = Int(clamping: place.next?.missed ?? 0)
    let spans = try file.spans(at: look)
    if nearest != look.number {
      var rebuilt = RebuiltCensus(record, from: frame, at: look)
      rebuilt.take(spans, try file.moments())
      let rests = try file.rests(at: look.number)
      rebuilt.take(rests)
      try rebuilt.finish { (owner) throws(Database.Failure) in try file.program(owner) }
      answer.record = rebuilt.record
      answer.resting = max(0, Int(clamping: look.resting) - rests.reduce(0) { $0 + $1.count.count })
      answer.record.census.gaps.hidesProcesses = record.census.gaps.hidesProcesses
      answer.problems = look.hidden
      // The sentences of the frame are those of another look.
      answer.record.census.gaps.forgetSentences()
    }
    if let next = place.next, next.number == look.number + 1 {
      answer.began = Int(clamping: next.newest - look.newest)
      answer.ended = spans.count { $0.ending != .open && $0.last == look.number }
      (answer.short, answer.hasMoreShort) = try file.ended(before: next.number)
    }
    return answer
  }
}

extension HistoryReader.OpenFile {
  /// The moments of the looks by the monotonic clock, in milliseconds, by number.
  func moments() throws(Database.Failure) -> [Int64: Int64] {
    var all: [Int64: Int64] = [:]
    try database.prepare("SELECT id, monotonic FROM look").run([]) { all[$0.bounded(0)] = $0.bounded(1) }
    return all
  }
}

extension CensusGaps {
  /// Leaves out what sentences are made of.
  fileprivate mutating func forgetSentences() {
    var rest = CensusGaps()
    (rest.hidesProcesses, rest.namespacesLeftOut) = (hidesProcesses, namespacesLeftOut)
    (rest.skippedNamespaces, rest.interruptedDumps) = (0, 0)
    self = rest
  }
}
