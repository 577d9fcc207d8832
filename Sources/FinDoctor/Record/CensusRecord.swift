internal import FinBase

/// A census with all that a report about it needs, so that it can be written to a file and examined elsewhere.
///
/// ```swift
/// let record = try CensusRecord.take()
/// let copy = try CensusRecord(json: record.json())
/// print(copy.findings.findings.map(\.sentence))
/// ```
package struct CensusRecord: Sendable {
  /// The version of the file's form. A file with a higher one is not read.
  package static let version = 1
  /// The value of the key `kind`, by which a file is known.
  static let kind = "fin census"
  /// The limit on the size of a file, in bytes: about 200,000 sockets. Its lists may take as much memory.
  package static let mostBytes = 256 << 20

  /// The census, with the epoll sets and waiting threads of all its programs.
  package var census = Census()
  /// The sockets that a census shortly before also had in a transient state; nil if there was none.
  package var passingBefore: Set<UInt64>?
  /// The languages of programs, by process.
  package var languages: [Int32: Language] = [:]
  /// The flags of descriptors.
  package var flags: [Holder: UInt32] = [:]
  /// The retry limits of each namespace, in the order of the census.
  package var retryLimits: [TCPRetryLimits] = []
  /// The lowest port that needs no privilege, in the first namespace.
  package var firstFreePort = 1024
  /// The fields that the file lacked, because another version wrote it.
  package var missing: [String] = []
  /// Sentences about how exact the record is: it may be rebuilt from a history. They are not written to a file.
  package var notes: [String] = []
  /// Whether the file was written with other names and addresses than the machine has.
  package var isRedacted = false

  /// Makes a record without sockets.
  package init() {}

  /// The reason why a file cannot be read.
  package struct Fault: Error, Hashable, Sendable, CustomStringConvertible {
    /// The place and the problem, escaped for printing: `line 3, column 7: sockets[0].state: a number … is expected`.
    package let description: String

    init(_ description: String) { self.description = description }

    init(_ text: JSONText, _ position: Int, _ path: String, _ problem: String) {
      let name = path.hasSuffix(".") ? String(path.dropLast()) : path
      description = text.fault(at: position, name.isEmpty ? problem : "\(name): \(problem)").description
    }
  }

  /// The options of a diagnosis, with the facts that it needs beside the census.
  package var options: Diagnosis.Options {
    var options = Diagnosis.Options()
    options.passingBefore = passingBefore
    options.languages = languages
    return options
  }

  /// The readings about one socket, as far as the record has them: no options of the socket itself.
  package func details(of socket: SocketReference) -> SocketDetails {
    var all = SocketDetails()
    for holder in census.holders[census.inode(of: socket)].prefix(64) { all.flags[holder] = flags[holder] }
    if case .inet(let place) = socket {
      let namespace = Int(census.sockets[place].namespace)
      if namespace < retryLimits.count { all.patience = retryLimits[namespace] }
    }
    return all
  }
}

extension CensusRecord {
  /// Takes a census of the running machine, and reads all that a report about it may need.
  ///
  /// Blocks: call it outside of tasks.
  /// - Parameters:
  ///   - options: The data to read.
  ///   - pid: A process that is left out: the one that takes the census.
  package static func take(
    _ options: Census.Options = Census.Options(), without pid: Int32? = nil
  ) throws(Census.Failure) -> CensusRecord {
    var record = CensusRecord()
    record.census = try Census.take(options)
    // As `fin check` does: a socket that is being closed at the moment of the census is not there in the next.
    let passing = Diagnosis.passing(in: record.census)
    if !passing.isEmpty {
      record.passingBefore = passing
      SystemClock.pause(.milliseconds(250))
      record.census = try Census.take(options)
    }
    if let pid { record.census.leaveOut(pid) }
    record.complete()
    return record
  }

  /// A record of a census that was just taken, with the reports' other data read now. Blocks.
  /// - Parameters:
  ///   - census: The census.
  ///   - passing: The sockets that a census shortly before also had in a transient state; nil if there was none.
  package init(of census: Census, passingBefore passing: Set<UInt64>?) {
    self.init()
    self.census = census
    passingBefore = passing
    complete()
  }

  /// Reads what the reports need beyond the census.
  private mutating func complete() {
    var facts = options
    Diagnosis.prepare(&census, &facts)
    languages = facts.languages
    // A redacted name does not show the language.
    for (pid, program) in census.programs where languages[pid] == nil {
      let language = Language(executable: program.fileName)
      if language != .unknown { languages[pid] = language }
    }
    census.watch(Set(census.holders.entries.map(\.pid)))
    census.readLedgers(of: Set(census.holders.ledgers.map(\.pid)))
    var details = SocketDetails()
    details.readFlags(of: Array(census.holders.entries), in: census)
    flags = details.flags
    retryLimits = census.namespaces.map { TCPRetryLimits.read(in: $0) }
    firstFreePort = Files.number("/proc/sys/net/ipv4/ip_unprivileged_port_start") ?? 1024
  }
}

/// Writing and reading.
extension CensusRecord {
  /// The record as JSON.
  /// - Parameters:
  ///   - writer: The version of the program that writes it.
  ///   - redacted: Whether names, addresses, users, arguments and paths are replaced, the same by the same.
  package func json(writer: String = "", redacted: Bool = false) -> [UInt8] {
    json(writer: writer, redacted ? Redaction() : nil)
  }

  func json(writer: String, _ redaction: Redaction?) -> [UInt8] {
    var fields = FieldWriter(redaction: redaction)
    var whole = self
    fields.json.open(nil, "{")
    fields.json.write("kind", string: Self.kind)
    fields.json.write("version", number: UInt64(Self.version))
    fields.json.write("fin", string: writer)
    fields.json.write("redacted", flag: redaction != nil)
    // A writer has no faults.
    try? whole.visit(&fields)
    fields.json.close("}")
    fields.json.text.write(ascii: "\n")
    return fields.json.text.bytes
  }

  /// The fields of a file, for the help: a line for each, with a deeper margin inside an object.
  package static var schema: String {
    var fields = FieldLister()
    var blank = CensusRecord()
    try? blank.visit(&fields)
    let head = [
      "kind text \(kind)", "version number \(version); another number means more than new keys",
      "fin text the version of the command that wrote it", "redacted flag",
    ]
    return (head + fields.lines).joined(separator: "\n")
  }

  /// Reads a record.
  /// - Parameters:
  ///   - bytes: The file.
  ///   - room: The bytes that its lists may take in memory.
  /// - Throws: A ``Fault`` that names the place and the problem.
  package init(json bytes: [UInt8], room: Int = mostBytes) throws(Fault) {
    self.init()
    guard bytes.count <= Self.mostBytes else { throw Fault("the file is larger than \(Self.mostBytes) bytes") }
    let text: JSONText
    do {
      text = try JSONText(bytes)
    } catch {
      throw Fault(error.description)
    }
    let notes = FieldReader.Notes(room: room)
    var fields = try FieldReader(text, notes)
    var (kind, version) = (String?.none, Int?.none)
    try fields.text("kind", .word, &kind)
    guard kind == Self.kind else { throw Fault("this is no census: the key kind is not \"\(Self.kind)\"") }
    try fields.number("version", &version)
    guard let version, version >= 1 else { throw Fault("the key version is missing") }
    guard version <= Self.version else {
      throw Fault("version \(version) is newer than this fin reads, which is version \(Self.version)")
    }
    var redacted: Bool?
    try fields.flag("redacted", &redacted)
    isRedacted = redacted ?? false
    try visit(&fields)
    missing = notes.missing
  }

  private mutating func visit(_ fields: inout some FieldVisitor) throws(Fault) {
    try fields.number("takenNanoseconds", &census.when.wall)
    try fields.number("monotonicNanoseconds", &census.when.monotonic)
    try fields.number("firstFreePort", &firstFreePort)
    try fields.object("gaps", &census.gaps)
    var namespaces = ContiguousArray(census.namespaces)
    try fields.list("namespaces", &namespaces)
    census.namespaces = Array(namespaces)
    try fields.check(!namespaces.isEmpty, "namespaces", "at least one namespace is expected")
    var limits = ContiguousArray(retryLimits)
    try fields.list("retryLimits", &limits)
    retryLimits = Array(limits)
    try visitProcesses(&fields)
    try fields.list("sockets", &census.sockets)
    try visitUnixSockets(&fields)
    try fields.list("detached", &census.detached)
    try fields.list("otherSockets", &census.otherSockets)
    var passing: PassingSockets? = passingBefore.map { PassingSockets($0) }
    try fields.object("passing", &passing)
    passingBefore = passing.map { Set($0.identities) }
    let count = census.namespaces.count
    try fields.check(
      census.sockets.allSatisfy { $0.namespace < count } && census.unixSockets.allSatisfy { $0.namespace < count },
      "namespaces", "a socket is in a namespace that is not listed")
  }

  private mutating func visitProcesses(_ fields: inout some FieldVisitor) throws(Fault) {
    var processes = census.holders.processes
    try fields.list("processes", &processes)
    try fields.dictionary("programs", &census.programs, as: ValueEntry<Int32, Program>.self)
    try fields.dictionary("languages", &languages, as: LanguageEntry.self)
    try fields.dictionary("cgroups", &census.cgroups, as: ValueEntry<UInt64, Cgroup>.self)
    var holders = ContiguousArray(
      census.holders.entries.map { holder in
        var recorded = RecordedHolder()
        (recorded.holder, recorded.flags) = (holder, flags[holder])
        return recorded
      })
    try fields.list("holders", &holders)
    flags = [:]
    for recorded in holders { flags[recorded.holder] = recorded.flags }
    var (epolls, ledgers, rings) = (census.holders.epolls, census.holders.ledgers, census.holders.rings)
    try fields.list("epolls", &epolls)
    try fields.list("ledgerFiles", &ledgers)
    try fields.list("rings", &rings)
    census.holders = Holders(
      sockets: ContiguousArray(holders.map(\.holder)), processes: processes, epolls: epolls, ledgers: ledgers,
      rings: rings)
    try fields.dictionary("keepers", &census.keepers, as: ValueEntry<UInt32, Keeper>.self)
    try fields.dictionary("watchers", &census.watchers, as: ValueEntry<Int32, Watchers>.self)
    try fields.dictionary("ledgers", &census.ledgers, as: ValueEntry<Int32, ProgramLedger>.self)
  }

  private mutating func visitUnixSockets(_ fields: inout some FieldVisitor) throws(Fault) {
    var all = ContiguousArray(
      census.unixSockets.map { socket in
        var recorded = RecordedUnixSocket()
        recorded.socket = socket
        let name = census.unixNames[Int(socket.name.lowerBound)..<Int(socket.name.upperBound)]
        recorded.name = name.isEmpty ? nil : visible(name)
        recorded.waiting = Array(census.unixWaiting[Int(socket.waiting.lowerBound)..<Int(socket.waiting.upperBound)])
        return recorded
      })
    try fields.list("unixSockets", &all)
    (census.unixSockets, census.unixNames, census.unixWaiting) = ([], [], [])
    for var recorded in all {
      let (name, waiting) = (UInt32(census.unixNames.count), UInt32(census.unixWaiting.count))
      census.unixNames += unescaped(recorded.name ?? "")
      census.unixWaiting += recorded.waiting
      recorded.socket.name = name..<UInt32(census.unixNames.count)
      recorded.socket.waiting = waiting..<UInt32(census.unixWaiting.count)
      census.unixSockets.append(recorded.socket)
    }
  }
}

/// The identities of sockets in a transient state.
private struct PassingSockets: Recorded {
  var identities: [UInt64] = []

  init(_ identities: Set<UInt64>) { self.identities = identities.sorted() }
  init() {}

  mutating func visit(_ fields: inout some FieldVisitor) throws(CensusRecord.Fault) {
    try fields.numbers("identities", &identities)
  }
}

/// The bytes from which `visible` made a text.
func unescaped(_ text: String) -> [UInt8] {
  var bytes: [UInt8] = []
  var rest = Array(text.utf8)[...]
  while let byte = rest.first {
    if byte == UInt8(ascii: "\\"), let escaped = UInt8(hexadecimal: rest.dropFirst(2).prefix(2)) {
      bytes.append(escaped)
      rest = rest.dropFirst(4)
    } else {
      bytes.append(byte)
      rest = rest.dropFirst()
    }
  }
  return bytes
}
