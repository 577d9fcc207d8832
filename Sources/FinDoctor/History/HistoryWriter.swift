internal import CFin
internal import FinBase
internal import Glibc

/// Writes the looks of a recorder to the files of a folder, each look in one transaction.
///
/// A file that a crash leaves behind has all looks but the last one. A look that cannot be written, as on a full disk,
/// changes nothing: the next one has its changes too, and counts it.
package final class HistoryWriter {
  /// The bounds of a history.
  package struct Limits: Hashable, Sendable {
    /// The size of all files together.
    package var bytes = 256 << 20
    /// The days for which a file is kept.
    package var days = 7
    /// The time between two key frames, in milliseconds.
    package var frames: Int64 = 600_000

    package init() {}

    /// The size at which a file is finished: so that removing the oldest one leaves most of the history.
    var file: Int { max(bytes / 8, 1 << 20) }
    /// The most files, each of which a reader may have to open.
    static let files = 1000
  }

  /// The facts about a run of a recorder.
  package struct Origin: Hashable, Sendable {
    package var version: String
    /// The time between two looks, in milliseconds.
    package var period: Int64
    /// The number of the machine's start, which each start has for itself.
    package var boot: String
    package var kernel: String
    package var host: String

    package init(version: String, period: Int64, boot: String, kernel: String = "", host: String = "") {
      (self.version, self.period, self.boot, self.kernel, self.host) = (version, period, boot, kernel, host)
    }

    /// The origin of looks at this machine.
    package static func thisMachine(version: String, period: Int64) -> Origin {
      func line(_ path: String) -> String {
        visible(((try? Files.read(path, limit: 256)) ?? []).prefix { $0 != 10 })
      }
      return Origin(
        version: version, period: period, boot: line("/proc/sys/kernel/random/boot_id"),
        kernel: line("/proc/sys/kernel/osrelease"), host: line("/proc/sys/kernel/hostname"))
    }
  }

  /// One look, as it is written.
  package struct Look {
    package var census: Census
    package var findings: [Finding]
    /// The time since the machine's start with suspend, in milliseconds: it tells a step of the clock.
    package var sinceBoot: Int64
    /// The connections that ended since the look before, and whether there were more.
    package var ended: [EndedSockets.One] = []
    package var hasMoreEnded = false

    package init(_ census: Census, _ findings: [Finding], sinceBoot: Int64) {
      (self.census, self.findings, self.sinceBoot) = (census, findings, sinceBoot)
    }
  }

  /// The result of a look.
  package struct Written: Hashable, Sendable {
    package var file: String
    package var began: Int
    package var ended: Int
    package var hasFrame: Bool
    /// Sentences for the log: a step of the clock, files that were removed.
    package var notes: [String]
  }

  private struct Current {
    var file: HistoryFolder.File
    var rows: HistoryRows
    var putLook: Database.Statement
    var putFrame: Database.Statement
    /// The number of the last look in it.
    var looks: Int64 = 0
    /// The moment of its last key frame, by the monotonic clock in milliseconds.
    var frame: Int64?

    var database: Database { rows.database }
  }

  /// The reason why no history can be written or read here, as a sentence; nil if it can.
  package static var absence: String? { Database.absence }

  package let folder: HistoryFolder
  private let limits: Limits
  private let origin: Origin
  private let lock: Descriptor
  private var current: Current?
  private var spans = Spans()
  private var findings = FindingSpans()
  private var resting = RestingPlaces()
  /// The connections that ended since the last look that was written.
  private var ended: [EndedSockets.One] = []
  private var hasMoreEnded = false
  private var latest: (wall: Int64, sinceBoot: Int64)?
  /// Looks that could not be written since the last one that could.
  private var missed: Int64 = 0
  /// The moment since which the clock was not set, by the time since boot.
  private var steady: Int64?
  /// The sockets of each second of the last ten minutes; nil if they are not recorded.
  package var ring: SecondRing?

  /// Makes the folder, and takes it for this process alone.
  /// - Throws: If there is no SQLite, another recorder has the folder, or it belongs to another user.
  package init(_ folder: HistoryFolder, _ limits: Limits = Limits(), _ origin: Origin) throws(HistoryFault) {
    if let absence = Database.absence { throw HistoryFault(.unavailable, absence) }
    (self.folder, self.limits, self.origin) = (folder, limits, origin)
    umask(0o027)
    try folder.prepare()
    do throws(KernelError) {
      lock = try Descriptor(folder.path, flags: O_RDONLY | O_DIRECTORY)
      let number = lock.number
      _ = try calling { Int(fin_try_lock(number)) }
    } catch {
      let isTaken = error.code == EAGAIN
      throw HistoryFault(
        isTaken ? .unavailable : .notPermitted,
        isTaken
          ? "another fin record writes to \(visible(folder.path)): a folder has one recorder"
          : "the folder \(visible(folder.path)) cannot be locked: \(error)")
    }
  }

  /// The notes about earlier files: each that a crash left is made whole again, and a damaged one is named.
  /// - Parameter each: Called before each of them with its number and the number of all.
  package func settle(_ each: (Int, Int) -> Void = { _, _ in }) -> [String] {
    guard let files = try? folder.files().suffix(16) else { return [] }
    var notes: [String] = []
    for (place, file) in files.enumerated() where (try? Files.status(folder.path(of: file) + "-wal")) != nil {
      each(place, files.count)
      do throws(Database.Failure) {
        let database = try Database(folder.path(of: file), .writing)
        if try HistorySchema.refusal(database) != nil { continue }
        try database.execute("PRAGMA journal_mode=DELETE")
      } catch {
        // A program that reads it reads what lies beside it too.
        if error.code & 0xff == 5 { continue }
        notes.append("\(folder.shown(file)) cannot be read, and is left as it is: \(error)")
      }
    }
    return notes
  }

  /// Writes a look.
  /// - Parameters:
  ///   - withRing: Whether a key frame and the ring are written in any case.
  ///   - frame: The whole record of the look, for a key frame; called where one is due.
  /// - Throws: If it could not be written. Nothing is lost then: the next look has its changes.
  package func write(
    _ look: Look, withRing: Bool = false, frame: (Census) -> CensusRecord
  ) throws(HistoryFault) -> Written {
    let wall = look.census.when.wall / 1_000_000
    let step = latest.map { wall - $0.wall - (look.sinceBoot - $0.sinceBoot) } ?? 0
    // Clocks are read one after the other, and a busy machine may take its time between the two.
    let isStep = step.magnitude > 500
    var notes: [String] = []
    if isStep {
      notes.append("the clock was set \(step < 0 ? "back" : "forward") by \(step.magnitude) ms")
    }
    if isStep || steady == nil { steady = look.sinceBoot }
    hear(look)
    do throws(Database.Failure) {
      let (spansBefore, findingsBefore, restingBefore, ringBefore) = (spans, findings, resting, ring)
      do throws(Database.Failure) {
        try openFile(wall, isSetBack: step < -60_000)
        var written = try put(look, wall, step: isStep ? step : nil, withRing: withRing, frame)
        written.notes = notes
        latest = (wall, look.sinceBoot)
        missed = 0
        (ended, hasMoreEnded) = ([], false)
        written.notes += keepWithinLimits(wall, look.sinceBoot)
        return written
      } catch {
        (spans, findings, resting, ring) = (spansBefore, findingsBefore, restingBefore, ringBefore)
        throw error
      }
    } catch {
      missed += 1
      current?.rows.forget()
      let place = current.map { folder.shown($0.file) } ?? visible(folder.path)
      // A damaged file is left as it is, and so is one whose numbers no longer fit: the next look begins a new one.
      if !error.isFull || current?.looks == 0 { abandon() }
      throw HistoryFault(.notWritten, "\(place): the look could not be written: \(error)")
    }
  }

  /// Takes the connections that ended before a look. They wait for one that can be written.
  private func hear(_ look: Look) {
    // Without a look before, those that ended were not between two.
    guard latest != nil else { return }
    ended += look.ended.prefix(EndedSockets.most - ended.count)
    hasMoreEnded = hasMoreEnded || look.hasMoreEnded || ended.count == EndedSockets.most
  }

  /// Leaves the current file. One without a look is removed.
  private func abandon() {
    guard let left = current else { return }
    current = nil
    if left.looks == 0 { folder.remove(left.file) }
  }

  /// Finishes the current file: it is a single one from then on.
  package func finish() {
    guard let database = current?.database else { return }
    // Statements keep a file open.
    current = nil
    try? database.execute("PRAGMA journal_mode=DELETE")
  }

  // MARK: Files

  /// Opens a new file, where one is due.
  private func openFile(_ wall: Int64, isSetBack: Bool) throws(Database.Failure) {
    let day = HistoryDay(milliseconds: wall).number
    if let current {
      let isThere = (try? Files.status(folder.path(of: current.file))) != nil
      if isThere, !isSetBack, current.file.day == day, folder.size(of: current.file) < limits.file { return }
      finish()
    }
    let number = ((try? folder.files())?.last?.number ?? 0) + 1
    let file = HistoryFolder.File(number: number, day: day)
    do throws(Database.Failure) {
      let database = try Database(folder.path(of: file), .creating)
      try database.execute(HistorySchema.settings)
      try database.transaction { () throws(Database.Failure) in
        try database.execute(HistorySchema.tables)
        try database.prepare("INSERT INTO run VALUES(?,?,?,?,?,?)").run([
          .number(Int64(number)), .text(origin.boot), .text(origin.version), .text(origin.kernel), .text(origin.host),
          .number(origin.period),
        ])
      }
      current = Current(
        file: file, rows: try HistoryRows(database),
        putLook: try database.prepare("INSERT INTO look VALUES(?,?,?,?,?,?,?,?,?)"),
        putFrame: try database.prepare("INSERT OR REPLACE INTO frame VALUES(?,?,?,?,?)"))
    } catch {
      folder.remove(file)
      throw error
    }
  }

  private func put(
    _ look: Look, _ wall: Int64, step: Int64?, withRing: Bool, _ frame: (Census) -> CensusRecord
  ) throws(Database.Failure) -> Written {
    guard var file = current else { throw Database.Failure(code: -1, description: "there is no file") }
    let census = look.census
    let monotonic = Int64(census.when.monotonic / 1_000_000)
    let number = file.looks + 1
    var (began, ended) = (0, 0)
    var isFrame = false
    if file.looks == 0 { findings.beginFile() }
    try file.database.transaction { () throws(Database.Failure) in
      if file.looks == 0 {
        // The open intervals of the file before go on here, and those that this look does not see end before it.
        try file.rows.write(spans.beginFile(), look: number, census)
      }
      try put(passingIn: census, number, &file)
      let changes = spans.look(census.observed, at: monotonic) { census.runs($0) }
      try file.rows.write(changes, look: number, census)
      (began, ended) = (changes.opened.count, changes.closed.count)
      let isCritical = try findings.write(look.findings, look: number, census, &file.rows)
      let hidden = census.gaps.sentences
      let resting = census.sockets.count { $0.state == .timeWait }
      try file.putLook.run([
        .number(number), .number(wall), .number(monotonic),
        .number(Int64(census.sockets.count + census.unixSockets.count)), .number(Int64(resting)),
        .number(spans.newest), .optional(step), .number(missed),
        .optional(hidden.isEmpty ? nil : try file.rows.text(hidden.joined(separator: "\n"))),
      ])
      isFrame = isCritical || withRing || file.frame.map { monotonic - $0 >= limits.frames } ?? true
      if isFrame { try put(frame(census), number, &file) }
      if isCritical || withRing, ring != nil {
        try ring?.write(look: number, wall: wall, monotonic: monotonic, &file.rows)
      }
    }
    file.looks = number
    if isFrame { file.frame = monotonic }
    current = file
    return Written(file: file.file.name, began: began, ended: ended, hasFrame: isFrame, notes: [])
  }

  /// Writes what has no interval: the connections in TIME-WAIT, and those that no look saw.
  private func put(passingIn census: Census, _ number: Int64, _ file: inout Current) throws(Database.Failure) {
    let isResting = census.sockets.contains { $0.state == .timeWait }
    guard isResting || !ended.isEmpty || hasMoreEnded else {
      resting = RestingPlaces()
      return
    }
    let index = CensusIndex(census, Diagnosis.Options())
    try file.rows.write(resting.look(index, before: spans), look: number, census)
    try file.rows.write(ShortLives(ended, index, before: spans), hasMore: hasMoreEnded, look: number, census)
  }

  private func put(_ record: CensusRecord, _ number: Int64, _ file: inout Current) throws(Database.Failure) {
    let json = record.json(writer: origin.version)
    let packed = Deflate.compressed(json)
    try file.putFrame.run([
      .number(number), .number(Int64(json.count)), .number(packed == nil ? 0 : 1), .bytes(packed ?? json),
      .bytes(RowList.packed(spans.openRows)),
    ])
  }

  /// Removes the oldest files, until the others are within the limits.
  /// - Returns: A sentence for each file that was removed.
  private func keepWithinLimits(_ wall: Int64, _ sinceBoot: Int64) -> [String] {
    guard let current, let files = try? folder.files() else { return [] }
    let today = HistoryDay(milliseconds: wall).number
    // A clock that was just set may be wrong: an age in days counts when it has run for a while.
    let knowsTheDay = sinceBoot - (steady ?? sinceBoot) >= 600_000
    var notes: [String] = []
    let sizes = files.map { folder.size(of: $0) }
    var total = sizes.reduce(0, +)
    var count = files.count
    for (file, size) in zip(files, sizes) where file != current.file {
      let isOld = knowsTheDay && today - file.day > limits.days
      guard total > limits.bytes || isOld || count > Limits.files else { continue }
      folder.remove(file)
      (total, count) = (total - size, count - 1)
      let reason = isOld ? "older than \(limits.days) days" : "more than the history may have"
      notes.append("removed \(file.name): \(reason)")
    }
    return notes
  }
}
