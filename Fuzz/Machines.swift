import FinBase
import Glibc

@testable import FinDoctor

/// A census file, and everything that is said of it.
func readCensus(_ bytes: [UInt8]) {
  do {
    examine(try CensusRecord(json: bytes))
  } catch {
    requirePrintable(error.description)
  }
}

/// Judges a record as the commands do, and requires that all text can be printed and that its file says the same.
private func examine(_ record: CensusRecord) {
  let census = record.census
  var options = record.options
  for time in [
    \Thresholds.closeWait, \.finWait2, \.window, \.unacknowledged, \.accept, \.idle, \.connect, \.orphanAge, \.drain,
  ] {
    options.thresholds[keyPath: time] = .zero
  }
  let findings = Diagnosis.examine(census, options).findings
  findings.forEach(requirePrintable)
  for chain in Diagnosis.chains(findings) { require(!chain.isEmpty, "an empty chain") }
  let places =
    census.sockets.indices.map { SocketReference.inet($0) } + census.unixSockets.indices.map { .unix($0) }
    + census.detached.indices.map { .detached($0) }
  for place in places.prefix(8) {
    let life = SocketExplanation(of: place, in: census, record.details(of: place))
    life.findings.forEach(requirePrintable)
    for text in [life.title, life.meaning, life.outlook] + life.next + life.attention + life.events.map(\.text) {
      requirePrintable(text)
    }
    _ = census.otherEnd(of: place)
  }
  for socket in census.sockets.prefix(4) {
    let request = BindRequest(socket.localAddress, port: socket.localPort, namespace: socket.namespace)
    let forecast = BindForecast(of: request, in: census, recorded: record.firstFreePort)
    forecast.obstacles.forEach(requirePrintable)
    forecast.notes.forEach(requirePrintable)
  }
  _ = (PortBudget.all(in: census), ListenerOverview.all(in: census), Sight(of: census))
  census.gaps.sentences.forEach(requirePrintable)
  var metrics = MetricsHistory()
  _ = Exposition.openMetrics.text(metrics.samples(of: .init(census, findings: findings)), isOfExporter: true)
  let written = record.json()
  guard let again = try? CensusRecord(json: written) else { fatalError("a record does not read what it has written") }
  require(again.json() == written, "a record is not read as it was written")
  require((try? CensusRecord(json: record.json(redacted: true))) != nil, "a redacted record cannot be read")
}

private func requirePrintable(_ finding: Finding) {
  requirePrintable(finding.sentence)
  requirePrintable(finding.why)
  requirePrintable(finding.fix.code)
  requirePrintable(finding.who?.name)
  requirePrintable(finding.confidence.doubt)
  for evidence in finding.evidence { requirePrintable("\(evidence.field) \(evidence.value)") }
}

// MARK: Histories

/// A file of a history whose rows, or whose bytes at some places, are these.
func readHistory(_ bytes: [UInt8]) {
  guard Database.absence == nil else { fatalError("libsqlite3.so.0 is missing: apt-get install libsqlite3-0") }
  var input = Input(rest: bytes[...])
  var patches: [(place: Int, value: UInt8)] = []
  if input.byte() & 1 == 0 {
    MadeUpHistory.write(MadeUpHistory.empty)
    MadeUpHistory.insert(&input)
  } else {
    while !input.rest.isEmpty { patches.append((Int(input.number(3)), input.byte())) }
    MadeUpHistory.write(MadeUpHistory.full, patches)
  }
  guard let reader = try? HistoryReader(HistoryFolder(MadeUpHistory.folder)) else { return }
  if let range = reader.range() { require(range.first >= 0, "a look before 1970") }
  for moment in [0, MadeUpHistory.midnight + 15_000, 1 << 43] as [Int64] {
    guard let answer = try? reader.answer(at: moment) else { continue }
    answer.problems.forEach(requirePrintable)
    let census = answer.record.census
    require(census.sockets.allSatisfy { $0.namespace < census.namespaces.count }, "a socket in no namespace")
    examine(answer.record)
  }
  for interval in reader.holders(of: 80, nil, from: 0, to: 1 << 43) {
    require(interval.to >= interval.from, "an interval ends before it begins")
    requirePrintable(interval.program?.title)
    requirePrintable(interval.namespaceName)
  }
  reader.problems.forEach(requirePrintable)
}

/// Reads values from the beginning of bytes; zeros where none are left.
private struct Input {
  var rest: ArraySlice<UInt8>

  mutating func byte() -> UInt8 { rest.popFirst() ?? 0 }

  mutating func number(_ count: Int) -> UInt64 { (0..<count).reduce(0) { sum, _ in sum << 8 | UInt64(byte()) } }

  mutating func bytes() -> [UInt8] {
    let count = Int(byte())
    defer { rest = rest.dropFirst(count) }
    return Array(rest.prefix(count))
  }

  /// A value of any of SQLite's types, often one that a recorder would write.
  mutating func value() -> Database.Value {
    switch byte() % 11 {
    case 0: .null
    case 1: .number(Int64(Int8(bitPattern: byte())))
    case 2: .number(Int64(bitPattern: number(8)))
    case 3: .text(String(decoding: bytes(), as: UTF8.self))
    case 4: .bytes(bytes())
    case 5: .number(MadeUpHistory.midnight + Int64(byte()) * 1000)
    case 6: .bytes(MadeUpHistory.frame)
    case 7: .bytes(RowList.packed((0..<Int64(byte() % 32)).map { $0 + 1 }))
    case 8: .text("10.0.0.\(byte())")
    case 9: .number(1)
    default: .number(Int64(number(4)))
    }
  }
}

/// A folder with one file of a history.
private enum MadeUpHistory {
  static let midnight: Int64 = 1_795_910_400_000
  /// The record in the key frames.
  static let record: CensusRecord = {
    var record = CensusRecord()
    record.census = Census(
      namespaces: [Namespace(inode: 5)], when: Census.Moment(monotonic: 1 << 40, wall: midnight * 1_000_000))
    var program = Program(pid: 7, name: "api")
    program.started = 3
    record.census.programs[7] = program
    for cookie in 1...2 as ClosedRange<UInt64> {
      var row = InetSocket()
      (row.cookie, row.state, row.localPort, row.inode) = (cookie, cookie == 1 ? .listen : .closeWait, 80, 8)
      (row.localBits, row.inode) = (AddressBits(low: 0x7f00_0001), UInt32(cookie) + 7)
      record.census.sockets.append(row)
    }
    record.census.holders = Holders(
      sockets: [Holder(inode: 8, pid: 7, descriptor: 3), Holder(inode: 9, pid: 7, descriptor: 4)],
      processes: [HoldingProcess(pid: 7)])
    record.retryLimits = [TCPRetryLimits()]
    return record
  }()
  static let frame = record.json()
  static let folder: String = {
    var name = Array("/dev/shm/fin-fuzz-XXXXXX".utf8CString)
    guard unsafe mkdtemp(&name) != nil else { fatalError("no folder could be made in /dev/shm") }
    return String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }()
  private static var path: String { HistoryFolder(folder).path(of: .init(number: 1, day: Int(midnight / 86_400_000))) }

  private static let tablesOfFile =
    "PRAGMA application_id=\(HistorySchema.application); PRAGMA user_version=1; \(HistorySchema.tables)"

  /// A file without rows.
  static let empty: [UInt8] = making { (database) throws(Database.Failure) in
    try database.execute(tablesOfFile)
  }

  /// A file as a recorder writes it.
  static let full: [UInt8] = making { (database) throws(Database.Failure) in
    try database.execute(tablesOfFile)
    try database.execute(
      """
      INSERT INTO run VALUES(1, 'boot', '0', '', '', 10000);
      INSERT INTO text VALUES(1, '127.0.0.1'), (2, '10.0.0.1');
      INSERT INTO namespace VALUES(1, 5, 'own');
      INSERT INTO program VALUES(1, 7, 3, 'api', NULL, 'api.service', NULL, 33, '/api');
      INSERT INTO look VALUES
        (1, \(midnight), 1000, 2, 0, 2, NULL, 0, NULL), (2, \(midnight + 10_000), 11000, 2, 0, 3, NULL, 0, NULL),
        (3, \(midnight + 20_000), 21000, 2, 0, 3, NULL, 0, NULL);
      INSERT INTO span VALUES
        (1, 1, 1, 6, 0, 1, 80, NULL, 0, 10, 1, 3, 2, NULL, NULL, 0, 0, 0, 8, 1, 3, 1),
        (2, 2, 1, 6, 0, 1, 80, 2, 9, 8, 1, 2, 0, 5, 50, 1, 0, 0, 9, 1, 4, 1),
        (3, 3, 1, 6, 0, 1, 80, 2, 10, 1, 2, 3, 2, NULL, NULL, 0, 0, 0, 9, 1, 4, 1);
      """)
    try database.prepare("INSERT INTO frame VALUES(1, ?, 0, ?, ?)").run([
      .number(Int64(frame.count)), .bytes(frame), .bytes(RowList.packed([1, 2])),
    ])
  }

  private static func making(_ body: (Database) throws(Database.Failure) -> Void) -> [UInt8] {
    unsafe unlink(path)
    do {
      try body(try Database(path, .creating))
      return try Files.read(path, limit: 1 << 24)
    } catch {
      fatalError("no file of a history could be made: \(error)")
    }
  }

  static func write(_ bytes: [UInt8], _ patches: [(place: Int, value: UInt8)] = []) {
    var bytes = bytes
    for patch in patches { bytes[patch.place % bytes.count] ^= patch.value }
    guard let file = unsafe fopen(path, "w") else { fatalError("\(path) cannot be written") }
    require(unsafe fwrite(bytes, 1, bytes.count, file) == bytes.count, "a short write")
    unsafe fclose(file)
  }

  private static let tables: [(name: String, columns: Int)] = [
    ("run", 6), ("look", 9), ("text", 2), ("namespace", 3), ("program", 9), ("span", 22), ("also", 3), ("frame", 5),
    ("finding", 9),
  ]

  /// Inserts rows of any values.
  static func insert(_ input: inout Input) {
    do {
      let database = try Database(path, .writing)
      try database.execute("PRAGMA journal_mode=MEMORY; PRAGMA synchronous=OFF")
      try database.transaction { () throws(Database.Failure) in
        while !input.rest.isEmpty {
          let table = tables[Int(input.byte()) % tables.count]
          let places = repeatElement("?", count: table.columns).joined(separator: ",")
          let values = (0..<table.columns).map { _ in input.value() }
          // A text where only a number can be is refused.
          try? database.prepare("INSERT OR REPLACE INTO \(table.name) VALUES(\(places))").run(values)
        }
      }
    } catch { return }
  }
}
