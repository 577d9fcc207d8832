internal import FinBase
internal import Glibc

/// Reads the history of a folder, also while a recorder writes to it.
///
/// A file that is damaged, of another owner or of another program is skipped, and ``problems`` names it.
package final class HistoryReader {
  /// A look of a recorder.
  package struct Look: Hashable, Sendable {
    package var number: Int64
    /// Milliseconds since 1970.
    package var at: Int64
    /// Milliseconds of the monotonic clock.
    package var monotonic: Int64
    /// The sockets in TIME-WAIT, which have no interval.
    package var resting: Int64
    /// The number of the newest interval.
    package var newest: Int64
    /// Looks before this one that could not be written.
    package var missed: Int64
    /// The gaps of the look, one sentence each.
    package var hidden: [String]
  }

  /// An open file of a history.
  final class OpenFile {
    let file: HistoryFolder.File
    let database: Database
    let boot: String
    /// The time between two looks, in milliseconds.
    let period: Int64
    /// The machine that it is about, by its name, and the kernel's version.
    let (host, kernel): (String, String)
    let last: Look

    init?(_ file: HistoryFolder.File, _ path: String) throws(Database.Failure) {
      self.file = file
      database = try Database(path, .reading)
      try database.execute("PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA mmap_size=268435456")
      if let refusal = try HistorySchema.refusal(database) {
        throw Database.Failure(code: -2, description: refusal)
      }
      var (boot, period, host, kernel): (String, Int64, String, String) = ("", 0, "", "")
      try database.prepare("SELECT boot, period, host, kernel FROM run LIMIT 1").run([]) { row in
        (boot, period, host, kernel) = (row.text(0), row.bounded(1), row.text(2), row.text(3))
      }
      (self.boot, self.period) = (boot, max(1, period))
      (self.host, self.kernel) = (host, kernel)
      guard let last = try Self.look(database, "ORDER BY id DESC LIMIT 1") else { return nil }
      self.last = last
    }

    /// Whether it has a table, which a file of an earlier fin may lack.
    func has(_ table: String) throws(Database.Failure) -> Bool {
      try HistorySchema.number(
        database, "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?", [.text(table)]) == 1
    }

    /// The first look that the rest of a query selects.
    func look(_ rest: String, _ values: [Int64] = []) throws(Database.Failure) -> Look? {
      try Self.look(database, rest, values)
    }

    private static func look(
      _ database: Database, _ rest: String, _ values: [Int64] = []
    ) throws(Database.Failure) -> Look? {
      var found: Look?
      try database.prepare(
        """
        SELECT id, at, monotonic, resting, newest, missed, (SELECT s FROM text WHERE text.id = look.hidden)
        FROM look \(rest)
        """
      ).run(values.map { .number($0) }) { row in
        found =
          found
          ?? Look(
            number: row.bounded(0), at: row.bounded(1), monotonic: row.bounded(2), resting: row.bounded(3),
            newest: row.bounded(4), missed: row.bounded(5),
            hidden: row.bytes(6).split(separator: 10).map { SafeText.checked(Array($0)) })
      }
      return found
    }
  }

  package let folder: HistoryFolder
  private let owner: UInt32
  private let files: [HistoryFolder.File]
  /// The files, the oldest first.
  var all: [HistoryFolder.File] { files }
  private var open: [Int: OpenFile] = [:]
  private var refused: Set<Int> = []
  /// The files that were skipped, one sentence each.
  package private(set) var problems: [String] = []

  /// Lists the files of a folder.
  package init(_ folder: HistoryFolder) throws(HistoryFault) {
    if let absence = Database.absence { throw HistoryFault(.unavailable, absence) }
    self.folder = folder
    files = try folder.files()
    owner = try folder.owner()
    guard !files.isEmpty else {
      throw HistoryFault(.noFolder, "there is no history in \(visible(folder.path)); fin record writes one")
    }
  }

  /// Runs `body` with a file, or skips the file and says why.
  func reading<Result>(
    _ file: HistoryFolder.File, _ body: (OpenFile) throws(Database.Failure) -> Result?
  ) -> Result? {
    if refused.contains(file.number) { return nil }
    do throws(Database.Failure) {
      if open[file.number] == nil {
        if let refusal = folder.refusal(of: file, folderOwner: owner) {
          throw Database.Failure(code: -2, description: refusal)
        }
        // A file whose recorder has not finished its first look has none.
        guard let opened = try OpenFile(file, folder.path(of: file)) else { return nil }
        open[file.number] = opened
      }
      guard let opened = open[file.number] else { return nil }
      return try body(opened)
    } catch {
      // Removed by the recorder while this reader had its name only.
      if error.code & 0xff == 14, (try? Files.status(folder.path(of: file))) == nil { return nil }
      skip(file, error)
      return nil
    }
  }

  private func skip(_ file: HistoryFolder.File, _ error: Database.Failure) {
    open[file.number] = nil
    refused.insert(file.number)
    let place = folder.shown(file)
    problems.append(
      error.code == -2
        ? "\(place) \(error.description), and was skipped" : "\(place) is damaged, and was skipped: \(error)")
  }

  /// The files that may have looks between two moments, the latest first.
  func files(from: Int64, to: Int64) -> [HistoryFolder.File] {
    let (first, last) = (HistoryDay(milliseconds: from).number, HistoryDay(milliseconds: to + 60_000).number)
    // A file ends at the end of its day, or soon after; and a clock that is set back by a minute begins a new one.
    return files.reversed().filter { $0.day <= last && $0.day >= first - 1 }
  }

  /// The file behind one, if it can be read and has looks.
  func next(after file: HistoryFolder.File) -> OpenFile? {
    for later in files where later.number > file.number {
      if let found = reading(later, { $0 }) { return found }
    }
    return nil
  }

  /// The file before one, if it can be read.
  func previous(before file: HistoryFolder.File) -> OpenFile? {
    for earlier in files.reversed() where earlier.number < file.number {
      if let found = reading(earlier, { $0 }) { return found }
    }
    return nil
  }

  /// The moments of the first and the last look of all, in milliseconds since 1970; nil if no file can be read.
  package func range() -> (first: Int64, last: Int64)? {
    let first = files.lazy.compactMap { file in
      self.reading(file) { (open) throws(Database.Failure) in try open.look("ORDER BY id LIMIT 1")?.at }
    }.first
    let last = files.reversed().lazy.compactMap { self.reading($0) { $0.last.at } }.first
    if let first, let last { return (first, last) }
    return nil
  }
}

/// The place of a moment in a history: the look at or before it, and the next one.
struct HistoryPlace {
  var file: HistoryReader.OpenFile
  var look: HistoryReader.Look
  var next: HistoryReader.Look?
  /// Whether the clock showed this moment twice: it was set back.
  var isTwice = false
}

extension HistoryReader {
  /// Finds a moment, in milliseconds since 1970.
  /// - Throws: If there is no look at it: before the first one, after the last one.
  func place(of moment: Int64) throws(HistoryFault) -> HistoryPlace {
    for file in files(from: 0, to: moment) {
      let found = reading(file) { (open) throws(Database.Failure) -> HistoryPlace? in
        guard let look = try open.look("WHERE at <= ? ORDER BY id DESC LIMIT 1", [moment]) else { return nil }
        let next = try open.look("WHERE id > ? ORDER BY id LIMIT 1", [look.number])
        let isTwice = try open.look("WHERE at > ? AND id < ? LIMIT 1", [moment, look.number]) != nil
        return HistoryPlace(file: open, look: look, next: next, isTwice: isTwice)
      }
      guard var place = found else { continue }
      if place.next == nil, let later = next(after: file) {
        place.next = reading(later.file) { (open) throws(Database.Failure) in try open.look("ORDER BY id LIMIT 1") }
      }
      // The clock was set back between two files, and the time came twice.
      if place.next.map({ $0.at <= moment }) == true { place.isTwice = true }
      if let earlier = previous(before: file), earlier.last.at > moment { place.isTwice = true }
      return place
    }
    throw HistoryFault(.unavailable, "the history has no look so early")
  }
}
