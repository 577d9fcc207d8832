import FinBase
import FoundationEssentials
import Glibc
import Peers
import TestTraits
import Testing

@testable import FinDoctor

@Suite("History: no fault makes a file unreadable", .needsSQLite, .onThreads, .timeLimit(.minutes(30)))
struct HistoryFaultTests {
  private typealias Holding = MadeUpMachine.Holding
  private static let start = HistoryStage.midnight
  private static let api = Holding(pid: 100, started: 500, name: "api")

  private static func machine() -> MadeUpMachine {
    var machine = MadeUpMachine()
    machine.sockets = [.init(cookie: 11, holders: [api])]
    return machine
  }

  @Test("a second recorder of a folder is refused, and another one may follow")
  func lock() throws {
    let stage = try HistoryStage()
    do {
      let first = try stage.writer()
      let fault = #expect(throws: HistoryFault.self) { try stage.writer() }
      #expect(fault?.kind == .unavailable && fault?.description.contains("another fin record") == true)
      #expect(first.folder.path == stage.path)
    }
    _ = try stage.writer()
  }

  @Test("a clock that is set back is noted, begins a new file, and the later of two equal times is answered")
  func setBack() throws {
    let stage = try HistoryStage()
    var machine = Self.machine()
    let writer = try stage.writer()
    try machine.pass(seconds: 200, writer)
    machine.skew = -120_000
    machine.sockets = [.init(cookie: 12, holders: [Holding(pid: 200, started: 900, name: "web")])]
    let written = try machine.look(writer)
    #expect(written.notes == ["the clock was set back by 120000 ms"])
    machine.now += 10_000
    try machine.pass(seconds: 30, writer)
    #expect(try stage.folder.files().count == 2)
    let reader = try HistoryReader(stage.folder)
    let twice = try reader.answer(at: Self.start + 85_000)
    #expect(twice.owners(of: 8080) == ["web[200]"] && twice.isTwice)
    let once = try reader.answer(at: Self.start + 45_000)
    #expect(once.owners(of: 8080) == ["api[100]"] && !once.isTwice)
    #expect(reader.problems.isEmpty)
  }

  @Test("a step within a file is in the row of its look, and a small one forward begins no file")
  func step() throws {
    let stage = try HistoryStage()
    var machine = Self.machine()
    let writer = try stage.writer()
    try machine.pass(seconds: 20, writer)
    machine.skew = 5000
    #expect(try machine.look(writer).notes == ["the clock was set forward by 5000 ms"])
    let file = try #require(try stage.folder.files().first)
    let database = try Database(stage.folder.path(of: file), .reading)
    #expect(try HistorySchema.number(database, "SELECT step FROM look WHERE id = 3") == 5000)
    #expect(try HistorySchema.number(database, "SELECT count(*) FROM look WHERE step IS NOT NULL") == 1)
  }

  @Test(
    "a damaged, a foreign, a newer and an empty file are named and skipped, and the others answer",
    arguments: ["damaged", "text", "foreign", "newer", "empty", "link"])
  func damaged(kind: String) throws {
    let stage = try HistoryStage()
    var machine = Self.machine()
    do {
      let writer = try stage.writer()
      try machine.pass(seconds: 50, writer)
      writer.finish()
    }
    let good = try #require(try stage.folder.files().first)
    let bad = stage.path + "/" + HistoryFolder.File(number: 2, day: good.day).name
    switch kind {
    case "damaged":
      var bytes = try Files.read(stage.folder.path(of: good), limit: 1 << 24)
      for place in 100..<bytes.count { bytes[place] ^= 0x5a }
      try write(bytes, to: bad)
    case "text": try write(Array("no database at all, but long enough for a header of one".utf8), to: bad)
    case "foreign":
      try Database(bad, .creating).execute("CREATE TABLE look(id); INSERT INTO look VALUES(1)")
    case "newer":
      try write(Files.read(stage.folder.path(of: good), limit: 1 << 24), to: bad)
      try Database(bad, .writing).execute("PRAGMA user_version=9")
    case "empty": try write([], to: bad)
    default: #expect(unsafe symlink(stage.folder.path(of: good), bad) == 0)
    }
    let reader = try HistoryReader(stage.folder)
    let answer = try reader.answer(at: Self.start + 25_000)
    #expect(answer.owners(of: 8080) == ["api[100]"])
    #expect(answer.problems.count == 1 && answer.problems[0].contains(bad), "\(answer.problems)")
    if kind == "newer" { #expect(answer.problems[0].contains("is of version 9")) }
    // A recorder goes on beside it.
    let next = try stage.writer()
    _ = next.settle()
    try machine.look(next)
    #expect(try stage.folder.files().last?.number == 3)
  }

  private func write(_ bytes: [UInt8], to path: String) throws {
    let file = unsafe open(path, O_WRONLY | O_CREAT | O_EXCL, 0o640)
    try #require(file >= 0)
    defer { close(file) }
    let count = unsafe Glibc.write(file, bytes, bytes.count)
    try #require(count == bytes.count)
  }

  @Test("a file cut at any place answers or is named, and never crashes", arguments: 1...12)
  func cut(part: Int) throws {
    let stage = try HistoryStage()
    var machine = Self.machine()
    let writer = try stage.writer()
    try machine.pass(seconds: 100, writer)
    writer.finish()
    let path = stage.folder.path(of: try #require(try stage.folder.files().first))
    let size = try Files.read(path, limit: 1 << 24).count
    try #require(unsafe truncate(path, size * part / 13) == 0)
    let reader = try HistoryReader(stage.folder)
    do {
      _ = try reader.answer(at: Self.start + 35_000)
    } catch {
      #expect(reader.problems.count == 1 && reader.problems[0].contains(path))
    }
  }

  @Test("a folder and a file of another user are refused, by name", .enabled(if: geteuid() == 0, "run as root"))
  func owners() throws {
    let stage = try HistoryStage()
    var machine = Self.machine()
    do {
      let writer = try stage.writer()
      try machine.pass(seconds: 30, writer)
      writer.finish()
    }
    let path = stage.folder.path(of: try #require(try stage.folder.files().first))
    try #require(unsafe chown(path, 1234, 1234) == 0)
    let fault = #expect(throws: HistoryFault.self) { try stage.writer() }
    #expect(fault?.kind == .notPermitted && fault?.description.contains(path) == true)
    #expect(fault?.description.contains("1234") == true)
    let reader = try HistoryReader(stage.folder)
    #expect(throws: HistoryFault.self) { try reader.answer(at: Self.start + 15_000) }
    #expect(reader.problems.count == 1 && reader.problems[0].contains("1234"))
    try #require(unsafe chown(stage.path, 1234, 1234) == 0)
    let folder = #expect(throws: HistoryFault.self) { try stage.writer() }
    #expect(folder?.description.contains("the folder \(stage.path) belongs to user 1234") == true)
    // Root reads the history of a service that has a user of its own.
    #expect(try HistoryReader(stage.folder).answer(at: Self.start + 15_000).owners(of: 8080) == ["api[100]"])
  }

  @Test("a file that ends without being finished has every look that was written")
  func crash() throws {
    let stage = try HistoryStage()
    var machine = Self.machine()
    let writer = try stage.writer()
    try machine.pass(seconds: 50, writer)
    #expect(stage.names.contains { $0.hasSuffix("-wal") })
    let answer = try HistoryReader(stage.folder).answer(at: Self.start + 45_000)
    #expect(answer.look == Self.start + 40_000 && answer.owners(of: 8080) == ["api[100]"])
    writer.finish()
    #expect(stage.names == [try #require(try stage.folder.files().first).name])
  }

  private func ended(_ identity: UInt64) -> EndedSockets.One {
    var one = EndedSockets.One(identity)
    (one.localPort, one.remotePort) = (40_000, 443)
    return one
  }

  @Test("a look that a full disk refuses is in the next one", .enabled(if: Privileges.isRoot, "run as root"))
  func fullDisk() throws {
    let stage = try HistoryStage()
    #expect(unsafe mount("tmpfs", stage.path, "tmpfs", 0, "size=2m") == 0)
    defer { _ = unsafe umount2(stage.path, 2) }
    var machine = Self.machine()
    let writer = try stage.writer()
    try machine.look(writer)
    let filler = unsafe open(stage.path + "/filler", O_WRONLY | O_CREAT, 0o600)
    let block = [UInt8](repeating: 7, count: 4096)
    while unsafe Glibc.write(filler, block, block.count) > 0 {}
    close(filler)
    machine.sockets += (0..<400).map { .init(cookie: 100 + $0, port: UInt16(9000 + $0), holders: [Self.api]) }
    for turn in 1...2 as ClosedRange<UInt64> {
      machine.now += 10_000
      let fault = #expect(throws: HistoryFault.self) {
        try machine.look(writer, ended: [ended(9000 + turn)], hasMoreEnded: turn == 1)
      }
      #expect(fault?.kind == .notWritten && fault?.description.contains("full") == true, "\(fault as Any)")
    }
    #expect(unsafe unlink(stage.path + "/filler") == 0)
    machine.now += 10_000
    #expect(try machine.look(writer, ended: [ended(9003)]).began == 400)
    let reader = try HistoryReader(stage.folder)
    #expect(try reader.answer(at: Self.start + 30_000).owners(of: 9399) == ["api[100]"])
    let before = try reader.answer(at: Self.start + 15_000)
    #expect(before.missed == 2 && before.look == Self.start && before.owners(of: 9399).isEmpty)
    // The connections that ended meanwhile wait for the look that can be written.
    #expect(before.short == 3 && before.hasMoreShort)
    #expect(reader.problems.isEmpty)
  }

  @Test(
    "the last minutes, which a full disk refuses, are in the next look", .enabled(if: Privileges.isRoot, "run as root"))
  func fullDiskRing() throws {
    let stage = try HistoryStage()
    #expect(unsafe mount("tmpfs", stage.path, "tmpfs", 0, "size=2m") == 0)
    defer { _ = unsafe umount2(stage.path, 2) }
    var machine = MadeUpMachine()
    let writer = try stage.writer()
    writer.ring = SecondRing()
    try machine.look(writer)
    for second in 1...30 as ClosedRange<Int64> {
      machine.now = second * 1000
      machine.sockets = second < 20 ? [.init(cookie: UInt64(second), port: 7000, holders: [Self.api])] : []
      writer.ring?.look(machine.census)
    }
    let filler = unsafe open(stage.path + "/filler", O_WRONLY | O_CREAT, 0o600)
    let block = [UInt8](repeating: 7, count: 4096)
    while unsafe Glibc.write(filler, block, block.count) > 0 {}
    close(filler)
    let finding = Finding(
      .closeWaitKnown, .critical, Claim("staged", needs: []), count: 5, who: ProcessOwner(program: "api", pid: 100),
      sentence: "it leaks", facts: [])
    // The pages that the file has cannot hold 400 more.
    machine.sockets += (0..<400).map { .init(cookie: 100 + $0, port: UInt16(9000 + $0), holders: [Self.api]) }
    #expect(throws: HistoryFault.self) { try machine.look(writer, findings: [finding]) }
    #expect(unsafe unlink(stage.path + "/filler") == 0)
    #expect(try machine.look(writer, findings: [finding]).hasFrame)
    let file = try #require(try stage.folder.files().last)
    let database = try Database(stage.folder.path(of: file), .reading)
    #expect(try HistorySchema.number(database, "SELECT count(*) FROM second WHERE lp = 7000") == 19)
  }

  @Test(
    "numbers that no recorder writes have an answer that can be written and read, or the file is skipped",
    arguments: [Int64.min, -1, .max])
  func numbers(value: Int64) throws {
    let stage = try HistoryStage()
    var machine = Self.machine()
    let writer = try stage.writer()
    for turn in 0..<3 as Range<UInt16> {
      var ended = EndedSockets.One(UInt64(turn) + 900)
      (ended.localPort, ended.remotePort) = (40_000 + turn, 443)
      try machine.look(writer, ended: [ended])
      machine.now += 10_000
      machine.sockets.append(
        .init(cookie: UInt64(turn) + 800, port: 41_000 + turn, remotePort: 443, state: .timeWait, holders: []))
      machine.sockets.append(.init(cookie: UInt64(machine.now), port: 9000, holders: [Self.api]))
    }
    writer.finish()
    let file = try #require(try stage.folder.files().first)
    let bytes = try #require(FileManager.default.contents(atPath: stage.folder.path(of: file)))
    var places: [(table: String, column: String)] = []
    do {
      let database = try Database(stage.folder.path(of: file), .reading)
      for table in ["run", "look", "program", "span", "also", "finding", "frame", "rest", "short", "ended"] {
        let columns = try database.prepare("SELECT name FROM pragma_table_info('\(table)')")
        try columns.run([]) { places.append((table, $0.text(0))) }
      }
    }
    #expect(places.count > 50)
    for place in places {
      try bytes.write(to: URL(filePath: stage.folder.path(of: file)))
      do {
        let database = try Database(stage.folder.path(of: file), .writing)
        try database.execute("UPDATE OR IGNORE \(place.table) SET \(place.column) = \(value)")
      }
      let reader = try HistoryReader(stage.folder)
      if let answer = try? reader.answer(at: Self.start + 15_000) {
        // As a later fin reads it from a file.
        #expect(throws: Never.self, "\(place)") { try CensusRecord(json: answer.record.json()) }
      }
      _ = reader.holders(of: 9000, nil, from: Self.start, to: Self.start + 60_000)
      _ = reader.passingLives(from: Self.start, to: Self.start + 60_000).sorted
    }
  }

  @Test("more network namespaces than have a number: their sockets are in the last one that has")
  func namespaces() throws {
    var record = CensusRecord()
    record.census.namespaces = (1...65_535).map { Namespace(inode: $0) }
    let look = HistoryReader.Look(
      number: 1, at: Self.start, monotonic: 1, resting: 0, newest: 3, missed: 0, hidden: [])
    var rebuilt = RebuiltCensus(record, from: look, at: look)
    let spans = ([70_000, 80_000, 80_000, 70_000] as [UInt32]).enumerated().map { number, inode in
      var span = StoredSpan()
      span.socket = Observed(.init(UInt64(number + 1), isUnix: false), kind: 6, state: .established)
      span.socket.namespace = inode
      return span
    }
    rebuilt.take(spans, [:])
    try rebuilt.finish { _ in nil }
    #expect(rebuilt.record.census.namespaces.count == 65_536)
    #expect(rebuilt.record.census.sockets.map(\.namespace) == [.max, .max, .max, .max])
  }

  @Test("the oldest files are removed as a whole, by size and by days, and never the current one")
  func bounds() throws {
    let stage = try HistoryStage()
    var limits = HistoryWriter.Limits()
    (limits.bytes, limits.days) = (4 << 20, 3)
    var machine = MadeUpMachine()
    let writer = try stage.writer(limits)
    var removed = 0
    var cookie: UInt64 = 1
    for _ in 0..<60 {
      machine.sockets = (0..<1500).map { place in
        .init(cookie: cookie + place, port: UInt16(10_000 + place), holders: [Self.api])
      }
      cookie += 1500
      removed += try machine.look(writer).notes.count { $0.contains("more than the history may have") }
      machine.now += 10_000
    }
    let files = try stage.folder.files()
    #expect(removed > 0 && files.first?.number == removed + 1)
    #expect(files.reduce(0) { $0 + stage.folder.size(of: $1) } <= limits.bytes + 2 << 20)
    machine.sockets = []
    for _ in 0..<6 {
      machine.now += 86_400_000
      try machine.look(writer)
    }
    let days = try stage.folder.files().map(\.day)
    #expect(days.count == 4 && days.last.map { $0 - 3 } == days.first)
  }
}
