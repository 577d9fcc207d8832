/// The rows of the file that is being written. Texts, programs and namespaces have a number there: each stands in it
/// once, and rows name the number.
struct HistoryRows {
  let database: Database
  private var texts: [String: Int64] = [:]
  private var programs: [Observed.Owner: Int64] = [:]
  private var namespaces: [UInt32: Int64] = [:]

  private let putText: Database.Statement
  private let findText: Database.Statement
  private let putProgram: Database.Statement
  private let findProgram: Database.Statement
  private let putNamespace: Database.Statement
  private let findNamespace: Database.Statement
  private let putSpan: Database.Statement
  private let putShare: Database.Statement
  private let endSpan: Database.Statement

  init(_ database: Database) throws(Database.Failure) {
    self.database = database
    putText = try database.prepare("INSERT OR IGNORE INTO text(s) VALUES(?)")
    findText = try database.prepare("SELECT id FROM text WHERE s = ?")
    putProgram = try database.prepare(
      "INSERT OR IGNORE INTO program(pid, start, name, script, unit, container, user, exe) VALUES(?,?,?,?,?,?,?,?)")
    findProgram = try database.prepare("SELECT id FROM program WHERE pid = ? AND start = ?")
    putNamespace = try database.prepare("INSERT OR IGNORE INTO namespace(inode, name) VALUES(?, ?)")
    findNamespace = try database.prepare("SELECT id FROM namespace WHERE inode = ?")
    putSpan = try database.prepare(
      """
      INSERT INTO span(id, cookie, netns, kind, family, la, lp, ra, rp, state, first, last, ended, since_lo, since_hi,
      rq, sq, drops, inode, holder, fd, holders) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)
      """)
    putShare = try database.prepare("INSERT OR IGNORE INTO also(span, program, fd) VALUES(?, ?, ?)")
    endSpan = try database.prepare("UPDATE span SET last = ?, ended = ?, rq = ?, sq = ?, drops = ? WHERE id = ?")
  }

  /// Forgets the numbers, after a transaction that had no effect.
  mutating func forget() { (texts, programs, namespaces) = ([:], [:], [:]) }

  /// A day may see many clients: what is forgotten is found in the file again.
  private static let mostTexts = 50_000

  /// The number of a text.
  mutating func text(_ text: String) throws(Database.Failure) -> Int64 {
    if let known = texts[text] { return known }
    try putText.run([.text(text)])
    let row = try row(findText, [.text(text)])
    if texts.count >= Self.mostTexts { texts = [:] }
    texts[text] = row
    return row
  }

  private func row(_ statement: Database.Statement, _ values: [Database.Value]) throws(Database.Failure) -> Int64 {
    var found: Int64 = 0
    try statement.run(values) { found = $0.number(0) }
    return found
  }

  /// The number of a process.
  mutating func program(_ owner: Observed.Owner, in census: Census) throws(Database.Failure) -> Int64 {
    var key = owner
    key.descriptor = 0
    if let known = programs[key] { return known }
    let program = census.programs[owner.pid]
    func text(_ text: String?) -> Database.Value { text.map { .text($0) } ?? .null }
    let start = Database.Value.bits(owner.started)
    try putProgram.run([
      .number(Int64(owner.pid)), start, text(program?.name), text(program?.script), text(program?.unit),
      text(program?.container), .optional(program.map { Int64($0.user) }), text(program?.executable),
    ])
    let row = try row(findProgram, [.number(Int64(owner.pid)), start])
    if programs.count >= Self.mostTexts { programs = [:] }
    programs[key] = row
    return row
  }

  /// The number of a process that stands in the file; nil if it does not.
  func number(of owner: Observed.Owner) throws(Database.Failure) -> Int64? {
    var key = owner
    key.descriptor = 0
    if let known = programs[key] { return known }
    let row = try row(findProgram, [.number(Int64(owner.pid)), .bits(owner.started)])
    return row == 0 ? nil : row
  }

  mutating func namespace(_ inode: UInt32, in census: Census) throws(Database.Failure) -> Int64 {
    if let known = namespaces[inode] { return known }
    let name = census.namespaces.first { $0.inode == inode }?.name ?? ""
    try putNamespace.run([.number(Int64(inode)), .text(name)])
    let row = try row(findNamespace, [.number(Int64(inode))])
    namespaces[inode] = row
    return row
  }

  /// The address of an end; nil for none.
  private mutating func address(_ bits: AddressBits, _ port: UInt16, of socket: Observed) throws(Database.Failure)
    -> Int64?
  {
    if socket.key.isUnix { return nil }
    let address = NetworkAddress(bits, isIPv6: socket.isIPv6)
    return address.isUnspecified && port == 0 ? nil : try text(address.description)
  }

  /// Writes the intervals that a look began and ended.
  mutating func write(_ changes: Spans.Changes, look: Int64, _ census: Census) throws(Database.Failure) {
    for (row, socket, since) in changes.opened { try open(row, socket, since, look, census) }
    for one in changes.closed {
      let seen = one.span.observed
      try endSpan.run([
        .number(look - 1), .number(one.ending.rawValue), .number(Int64(seen.receiveQueue)),
        .number(Int64(seen.sendQueue)), .number(Int64(seen.drops)), .number(one.span.row),
      ])
    }
  }

  private mutating func open(
    _ row: Int64, _ socket: Observed, _ since: AgeBounds?, _ look: Int64, _ census: Census
  ) throws(Database.Failure) {
    let owner = socket.owners.first
    let local =
      socket.key.isUnix
      ? socket.name.isEmpty ? nil : try text(socket.name) : try address(socket.local, socket.localPort, of: socket)
    let remote = try address(socket.remote, socket.remotePort, of: socket)
    let holder = try owner.map { (owner) throws(Database.Failure) in try program(owner, in: census) }
    try putSpan.run([
      .number(row), .bits(socket.key.identity), .number(try namespace(socket.namespace, in: census)),
      .number(Int64(socket.kind)), .number(socket.isIPv6 ? 1 : 0), .optional(local), .number(Int64(socket.localPort)),
      .optional(remote), .number(Int64(socket.remotePort)), .number(Int64(socket.state.rawValue)), .number(look),
      .number(look), .number(Spans.Ending.open.rawValue), .optional(since.map { Int64(clamping: $0.lower) }),
      .optional(since.flatMap { $0.upper == .max ? nil : Int64(clamping: $0.upper) }),
      .number(Int64(socket.receiveQueue)), .number(Int64(socket.sendQueue)), .number(Int64(socket.drops)),
      .number(Int64(socket.inode)), .optional(holder), .optional(owner.map { Int64($0.descriptor) }),
      .number(Int64(socket.owners.count)),
    ])
    for other in socket.owners.dropFirst() {
      try putShare.run([.number(row), .number(try program(other, in: census)), .number(Int64(other.descriptor))])
    }
  }
}

/// The findings that have not ended, and the rows that begin and end with them.
struct FindingSpans {
  /// A finding of a program.
  struct Key: Hashable {
    var code: String
    var pid: Int32?
    var program: String?

    init(_ finding: Finding) {
      (code, pid, program) = (finding.id.rawValue, finding.who?.pid, finding.who?.program)
    }
  }

  private struct Open {
    var row: Int64
    var severity: Severity
    var worst: Int
  }

  private var open: [Key: Open] = [:]
  private(set) var critical: Set<Key> = []

  /// Begins a new file: what goes on has a row there too. What was critical is not new.
  mutating func beginFile() { open = [:] }

  /// Writes what began, grew and ended.
  /// - Returns: Whether a critical finding began.
  mutating func write(
    _ findings: [Finding], look: Int64, _ census: Census, _ rows: inout HistoryRows
  ) throws(Database.Failure) -> Bool {
    let database = rows.database
    var next: [Key: Open] = [:]
    for finding in findings {
      let key = Key(finding)
      if let known = next[key] ?? open[key] {
        var now = known
        if finding.count > known.worst || finding.severity > known.severity {
          (now.worst, now.severity) = (max(finding.count, known.worst), max(finding.severity, known.severity))
          try database.prepare("UPDATE finding SET severity = ?, worst = ?, sentence = ? WHERE id = ?").run([
            .number(Int64(now.severity.rawValue)), .number(Int64(now.worst)), .text(finding.sentence),
            .number(known.row),
          ])
        }
        next[key] = now
        continue
      }
      var program: Int64?
      if let pid = finding.who?.pid {
        program = try rows.program(
          .init(pid: pid, started: census.programs[pid]?.started ?? 0, descriptor: 0), in: census)
      }
      try database.prepare(
        "INSERT INTO finding(code, severity, program, first, last, open, worst, sentence) VALUES(?,?,?,?,?,1,?,?)"
      ).run([
        .text(finding.id.rawValue), .number(Int64(finding.severity.rawValue)), .optional(program), .number(look),
        .number(look), .number(Int64(finding.count)), .text(finding.sentence),
      ])
      next[key] = Open(row: database.lastRow, severity: finding.severity, worst: finding.count)
    }
    for (key, known) in open where next[key] == nil {
      try database.prepare("UPDATE finding SET last = ?, open = 0 WHERE id = ?").run([
        .number(look - 1), .number(known.row),
      ])
    }
    open = next
    let now = Set(findings.lazy.filter { $0.severity == .critical }.map(Key.init))
    defer { critical = now }
    return !now.subtracting(critical).isEmpty
  }
}
