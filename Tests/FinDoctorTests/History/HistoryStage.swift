import FinBase
import Glibc
import Peers
import Testing

@testable import FinDoctor

/// A folder for a history of one test, removed with what is in it.
final class HistoryStage {
  let path: String
  var folder: HistoryFolder { HistoryFolder(path) }

  init() throws {
    var name = Array("/tmp/fin-history-XXXXXX".utf8CString)
    guard unsafe mkdtemp(&name) != nil else { throw RigError("no folder could be made") }
    path = String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit {
    for name in names { _ = unsafe unlink("\(path)/\(name)") }
    _ = unsafe rmdir(path)
  }

  var names: [String] {
    guard let folder = unsafe opendir(path) else { return [] }
    defer { unsafe _ = closedir(folder) }
    var names: [String] = []
    while let entry = unsafe readdir(folder) {
      let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  /// The beginning of the made-up time, 2026-11-29 00:00 UTC, in milliseconds.
  static let midnight: Int64 = 1_795_910_400_000

  func writer(_ limits: HistoryWriter.Limits = .init(), boot: String = "boot-1") throws -> HistoryWriter {
    try HistoryWriter(folder, limits, .init(version: "0", period: 10_000, boot: boot))
  }
}

extension Trait where Self == ConditionTrait {
  /// The suite is skipped where the library is missing.
  static var needsSQLite: Self {
    .enabled(if: Database.absence == nil, "needs libsqlite3.so.0: apt-get install libsqlite3-0")
  }
}

/// A made-up machine, whose sockets a test sets between looks.
struct MadeUpMachine {
  struct Holding {
    var pid: Int32
    var started: UInt64
    var descriptor: Int32 = 3
    var name: String
  }

  struct Socket {
    var cookie: UInt64
    var port: UInt16 = 8080
    var remotePort: UInt16 = 0
    /// The last byte of its peer's address, 10.0.0.1 by default.
    var peer: UInt8 = 1
    var state = SocketState.listen
    var holders: [Holding]
    var received: UInt32 = 0
    var transport = Transport.tcp
  }

  var sockets: [Socket] = []
  /// Milliseconds since the beginning, by both clocks.
  var now: Int64 = 0
  /// The offset of the wall clock, in milliseconds.
  var skew: Int64 = 0
  var others: [Holding] = []
  var ephemeralPorts: ClosedRange<UInt16> = 32_768...60_999

  var census: Census {
    var census = Census(
      namespaces: [Namespace(inode: 4_026_531_840)],
      when: Census.Moment(
        monotonic: UInt64(1_000_000 + now) * 1_000_000, wall: (HistoryStage.midnight + now + skew) * 1_000_000))
    census.namespaces[0].limits.ephemeralPorts = ephemeralPorts
    var entries: ContiguousArray<Holder> = []
    var pids: Set<Int32> = []
    func add(_ holding: Holding) {
      var program = Program(pid: holding.pid, name: holding.name, user: 33)
      program.started = holding.started
      program.unit = holding.name + ".service"
      census.programs[holding.pid] = program
      pids.insert(holding.pid)
    }
    for socket in sockets {
      var row = InetSocket()
      (row.cookie, row.state, row.localPort, row.remotePort) = (
        socket.cookie, socket.state, socket.port, socket.remotePort
      )
      row.transport = socket.transport
      row.localBits = AddressBits(low: 0x7f00_0001)
      if socket.remotePort != 0 { row.remoteBits = AddressBits(low: 0x0a00_0000 + UInt64(socket.peer)) }
      row.receiveQueue = socket.received
      row.inode = socket.holders.isEmpty ? 0 : UInt32(truncatingIfNeeded: 5000 + socket.cookie)
      census.sockets.append(row)
      for holding in socket.holders {
        add(holding)
        entries.append(Holder(inode: row.inode, pid: holding.pid, descriptor: holding.descriptor))
      }
    }
    for other in others { add(other) }
    census.holders = Holders(
      sockets: entries, processes: ContiguousArray(pids.sorted().map { HoldingProcess(pid: $0, user: 33) }))
    return census
  }

  /// Takes a look and writes it.
  @discardableResult
  func look(
    _ writer: HistoryWriter, findings: [Finding] = [], ended: [EndedSockets.One] = [], hasMoreEnded: Bool = false
  ) throws -> HistoryWriter.Written {
    var look = HistoryWriter.Look(census, findings, sinceBoot: 1_000_000 + now)
    (look.ended, look.hasMoreEnded) = (ended, hasMoreEnded)
    return try writer.write(look) { census in
      var record = CensusRecord()
      record.census = census
      record.retryLimits = census.namespaces.map { _ in TCPRetryLimits() }
      return record
    }
  }

  /// Looks every ten seconds for some time, up to but not including its end.
  mutating func pass(seconds: Int64, _ writer: HistoryWriter) throws {
    let end = now + seconds * 1000
    while now < end {
      try look(writer)
      now += 10_000
    }
  }
}

extension HistoryAnswer {
  /// The owners of a port at that moment: `api[100]`.
  func owners(of port: UInt16) -> [String] {
    let census = record.census
    return census.sockets.filter { $0.localPort == port }.flatMap { socket in
      census.holders(of: socket).map { "\(census.programs[$0.pid]?.name ?? "?")[\($0.pid)]" }
    }.sorted()
  }
}
