/// An interval as a file has it.
struct StoredSpan {
  var row: Int64 = 0
  var socket = Observed(.init(0, isUnix: false), kind: 0, state: .closed)
  var namespaceName = ""
  var first: Int64 = 0
  var last: Int64 = 0
  var ending = Spans.Ending.open
  var since: AgeBounds?
  /// The number of its holder in the table of programs.
  var holder: Int64?
  var owners = 0

  /// Whether it was there at a look of this number.
  func covers(_ look: Int64) -> Bool { first <= look && (ending == .open || last >= look) }
}

extension HistoryReader.OpenFile {
  static let columns = """
    s.id, s.cookie, n.inode, n.name, s.kind, s.family, la.s, s.lp, ra.s, s.rp, s.state, s.first, s.last, s.ended,
    s.since_lo, s.since_hi, s.rq, s.sq, s.drops, s.inode, s.holder, s.fd, s.holders, p.pid, p.start
    """
  static let tables = """
    span s LEFT JOIN namespace n ON n.id = s.netns LEFT JOIN text la ON la.id = s.la LEFT JOIN text ra ON ra.id = s.ra
    LEFT JOIN program p ON p.id = s.holder
    """

  /// Reads intervals.
  /// - Parameter condition: The rest of the query: `WHERE …`.
  func spans(
    _ condition: String, _ values: [[Int64]], _ body: (StoredSpan) throws(Database.Failure) -> Void
  ) throws(Database.Failure) {
    let statement = try database.prepare("SELECT \(Self.columns) FROM \(Self.tables) \(condition)")
    for one in values {
      try statement.run(one.map { .number($0) }) { (row) throws(Database.Failure) in try body(Self.span(row)) }
    }
  }

  private static func span(_ row: Database.Row) -> StoredSpan {
    var span = StoredSpan()
    span.row = row.number(0)
    let kind: UInt16 = row.clamped(4)
    let isUnix = kind >= Observed.unixKind
    let key = Observed.Key(UInt64(bitPattern: row.number(1)), isUnix: isUnix)
    var socket = Observed(key, kind: kind, state: SocketState(rawValue: row.clamped(10)))
    socket.namespace = row.clamped(2)
    span.namespaceName = row.text(3)
    socket.isIPv6 = row.number(5) != 0
    if isUnix {
      socket.name = row.text(6)
    } else {
      if let local = try? WrittenAddress(parsing: row.text(6)).address { socket.local = local.bits }
      if let remote = try? WrittenAddress(parsing: row.text(8)).address { socket.remote = remote.bits }
    }
    (socket.localPort, socket.remotePort) = (row.clamped(7), row.clamped(9))
    (span.first, span.last) = (row.bounded(11), row.bounded(12))
    span.ending = Spans.Ending(rawValue: row.number(13)) ?? .open
    if let lower = row.optional(14) {
      span.since = AgeBounds(
        atLeast: UInt64(clamping: lower), atMost: row.optional(15).map { UInt64(clamping: $0) })
    }
    (socket.receiveQueue, socket.sendQueue, socket.drops) = (row.clamped(16), row.clamped(17), row.clamped(18))
    socket.inode = row.clamped(19)
    span.holder = row.optional(20)
    span.owners = row.clamped(22)
    if span.holder != nil {
      socket.owners = [
        .init(pid: row.pid(23), started: UInt64(bitPattern: row.number(24)), descriptor: max(0, row.clamped(21)))
      ]
    }
    span.socket = socket
    return span
  }

  /// Reads the other owners of an interval that has several.
  func complete(_ span: inout StoredSpan) throws(Database.Failure) {
    guard span.owners > 1 else { return }
    var others: [Observed.Owner] = []
    try database.prepare(
      "SELECT p.pid, p.start, a.fd FROM also a JOIN program p ON p.id = a.program WHERE a.span = ? LIMIT 10000"
    ).run([.number(span.row)]) { row in
      others.append(
        .init(pid: row.pid(0), started: UInt64(bitPattern: row.number(1)), descriptor: max(0, row.clamped(2))))
    }
    others.sort { ($0.pid, $0.descriptor) < ($1.pid, $1.descriptor) }
    span.socket.owners += others
  }

  /// The program of a process, as far as the file has it.
  func program(_ owner: Observed.Owner) throws(Database.Failure) -> Program? {
    var found: Program?
    try database.prepare(
      "SELECT name, script, unit, container, user, exe FROM program WHERE pid = ? AND start = ? AND name IS NOT NULL"
    ).run([.number(Int64(owner.pid)), .bits(owner.started)]) { row in
      var program = Program(pid: owner.pid, name: row.text(0), user: row.clamped(4))
      if !row.isNull(1) { program.script = row.text(1) }
      if !row.isNull(2) { program.unit = row.text(2) }
      if !row.isNull(3) { program.container = row.text(3) }
      if !row.isNull(5) { program.executable = row.text(5) }
      // The arguments are in key frames only.
      program.commandLine = program.title
      program.started = owner.started
      found = program
    }
    return found
  }

  /// A key frame without its census.
  struct Frame {
    var look: Int64
    var open: [Int64]
  }

  /// The key frame that the rest of a query selects.
  func frame(_ rest: String, _ look: Int64) throws(Database.Failure) -> Frame? {
    var found: Frame?
    try database.prepare("SELECT look, open FROM frame \(rest) LIMIT 1").run([.number(look)]) { row in
      found = Frame(look: row.bounded(0), open: RowList.unpacked(row.bytes(1)))
    }
    return found
  }

  /// The record of a key frame.
  func record(_ look: Int64) throws(Database.Failure) -> CensusRecord {
    var record: CensusRecord?
    var problem = "the key frame is missing"
    try database.prepare("SELECT size, packing, census FROM frame WHERE look = ?").run([.number(look)]) { row in
      let bytes = row.bytes(2)
      guard let json = row.number(1) == 0 ? bytes : Deflate.expanded(bytes, to: row.clamped(0)) else {
        problem = Deflate.isThere ? "a key frame is damaged" : "its key frames are compressed, and zlib is missing"
        return
      }
      do throws(CensusRecord.Fault) {
        record = try CensusRecord(json: json)
      } catch {
        problem = "a key frame is damaged: \(error)"
      }
    }
    guard let record else { throw Database.Failure(code: -1, description: problem) }
    return record
  }

  /// The intervals that cover a look.
  func spans(at look: HistoryReader.Look) throws(Database.Failure) -> [StoredSpan] {
    var all: [StoredSpan] = []
    func take(_ span: StoredSpan) throws(Database.Failure) {
      guard span.covers(look.number) else { return }
      var span = span
      try complete(&span)
      all.append(span)
    }
    let frame = try frame("WHERE look <= ? ORDER BY look DESC", look.number)
    try spans("WHERE s.id = ?", (frame?.open ?? []).map { [$0] }, take)
    let newest = try frame.flatMap { (frame) throws(Database.Failure) in
      try self.look("WHERE id = ?", [frame.look])?.newest
    }
    // Each file begins with a frame. What ended before the frame is in neither list.
    try spans("WHERE s.id > ? AND s.id <= ?", [[newest ?? 0, look.newest]], take)
    return all
  }
}
