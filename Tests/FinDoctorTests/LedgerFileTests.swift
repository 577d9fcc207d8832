import FinBase
import Glibc
import Peers
import TestTraits
import Testing

@testable import FinDoctor

@Suite("A published ledger is untrusted input: every field is validated", .timeLimit(.minutes(30)), .onThreads)
struct LedgerFileTests {
  private static func header(
    magic: String = "fin-ldgr", version: UInt32 = 1, header: UInt32 = 128, record: UInt32 = 128, capacity: UInt64 = 512,
    count: UInt64 = 3
  ) -> [UInt8] {
    var bytes = Answer()
    bytes.bytes = Array(magic.utf8)
    for half in [version, header, record, 77] { bytes.append(half) }
    for word in [capacity, count, 5] { bytes.append(word) }
    return bytes.bytes + [UInt8](repeating: 0, count: 80)
  }

  private static func record(
    sequence: UInt64 = 4, cookie: UInt64 = 9, kind: UInt8 = 3, phase: UInt8 = 6, length: UInt8 = 3, name: String = "a/b"
  ) -> [UInt8] {
    var bytes = Answer()
    for word in [sequence, cookie] { bytes.append(word) }
    for half in [1, 12] as [UInt32] { bytes.append(half) }
    for word in [1000, 2000, .max, 3000] as [UInt64] { bytes.append(word) }
    bytes.append(UInt32(42))
    bytes.bytes += [kind, phase, 5, length] + Array(name.utf8)
    return bytes.bytes + [UInt8](repeating: 0, count: 128 - bytes.bytes.count)
  }

  private func read(_ bytes: [UInt8], again: [UInt8]? = nil) -> LedgerFile.Record {
    var names: [[UInt8]: String] = [:]
    return LedgerFile.record(bytes[...], again: (again ?? bytes)[...], now: 1500, names: &names)
  }

  @Test("a valid record is decoded field by field")
  func whole() throws {
    guard case .socket(let cookie, let descriptor, let socket) = read(Self.record()) else {
      Issue.record("no socket")
      return
    }
    #expect(cookie == 9 && descriptor == 12 && socket.site == "a/b:42" && socket.phase == .connected)
    #expect(socket.opened == 1000 && socket.input == .until(2000) && socket.output == .forever)
    #expect(socket.intent == [.halfClosed, .idle] && socket.intentEnds == 3000 && socket.deadline == 2000)
    let ledger = try LedgerFile(Self.header(), size: 128 * 513)
    #expect(ledger.count == 3 && ledger.pid == 77 && ledger.withoutRoom == 5)
  }

  @Test("a record that was being written, or changed between the two reads, is not used")
  func torn() {
    #expect(read(Self.record(sequence: 5)) == .changing)
    #expect(read(Self.record(sequence: 4), again: Self.record(sequence: 6)) == .changing)
    #expect(read(Self.record(), again: Self.record(phase: 7)) == .changing)
    #expect(read(Self.record(cookie: 0), again: Self.record()) == .changing)
    #expect(read(Self.record(cookie: 0)) == .free)
  }

  @Test("invalid records are rejected: unknown kinds and phases, wrong lengths; a future time is dropped")
  func absurd() {
    #expect(read(Self.record(kind: 0)) == .absurd && read(Self.record(kind: 5)) == .absurd)
    #expect(read(Self.record(phase: 16)) == .absurd && read(Self.record(length: 65)) == .absurd)
    #expect(read([UInt8](repeating: 1, count: 127)) == .absurd)
    var names: [[UInt8]: String] = [:]
    let early = LedgerFile.record(Self.record()[...], again: Self.record()[...], now: 999, names: &names)
    guard case .socket(_, _, let socket) = early else {
      Issue.record("no socket")
      return
    }
    #expect(socket.opened == nil)
  }

  @Test("a record about a socket that is not wanted makes no name, and neither does one that becomes wanted meanwhile")
  func unwanted() {
    var names: [[UInt8]: String] = [:]
    func read(_ bytes: [UInt8], again: [UInt8]? = nil, wanted: UInt64 = 8) -> LedgerFile.Record {
      LedgerFile.record(bytes[...], again: (again ?? bytes)[...], now: 1500, names: &names) { cookie, descriptor in
        #expect(descriptor == 12)
        return cookie == wanted
      }
    }
    #expect(read(Self.record()) == .other && read(Self.record(kind: 0)) == .other)
    #expect(read(Self.record(), again: Self.record(cookie: 10)) == .other)
    #expect(read(Self.record(), again: Self.record(cookie: 8)) == .changing)
    #expect(read(Self.record(cookie: 8), again: Self.record()) == .changing)
    #expect(read(Self.record(sequence: 5)) == .changing && names.isEmpty)
    guard case .socket = read(Self.record(), wanted: 9) else {
      Issue.record("no socket")
      return
    }
    #expect(Array(names.values) == ["a/b"])
  }

  @Test("an invalid header is rejected, and a valid one is limited by the file size")
  func headers() throws {
    func failure(_ bytes: [UInt8], size: UInt64 = 1 << 20) -> LedgerFile.Failure? {
      do throws(LedgerFile.Failure) { _ = try LedgerFile(bytes, size: size) } catch { return error }
      return nil
    }
    #expect(failure([]) == .foreign && failure(Self.header(magic: "fin-ldgs")) == .foreign)
    #expect(failure(Self.header(version: 2)) == .version(2) && failure(Self.header(version: 0)) == .version(0))
    for (header, record) in [
      (0, 128), (128, 0), (128, 127), (128, 120), (8192, 128), (128, 8192), (.max, .max), (128, 132),
    ]
      as [(UInt32, UInt32)]
    {
      #expect(failure(Self.header(header: header, record: record)) == .absurd, "\(header) \(record)")
    }
    #expect(failure(Self.header(), size: 100) == .absurd && failure(Self.header(capacity: 2)) == .absurd)
    #expect(try LedgerFile(Self.header(), size: 128 + 200).count == 1)
    #expect(try LedgerFile(Self.header(capacity: .max, count: .max), size: 1 << 60).count == 1 << 20)
    // A later version of the library may extend a record.
    #expect(try LedgerFile(Self.header(record: 192), size: 1 << 20).recordSize == 192)
  }

  @Test("100,000 random or randomly changed ledgers: no crash, and no text that is unsafe to print")
  func fuzz() {
    var dice = Dice(seed: 0xF1)
    var taken = 0
    for round in 0..<100_000 {
      var head = Self.header()
      var body = Self.record(name: "ab/cd.swift")
      for _ in 0..<Int(dice.next() % 6) { head[Int(dice.next() % 128)] = UInt8(truncatingIfNeeded: dice.next()) }
      for _ in 0..<Int(dice.next() % 12) { body[Int(dice.next() % 128)] = UInt8(truncatingIfNeeded: dice.next()) }
      if round % 4 == 0 {
        head = (0..<Int(dice.next() % 130)).map { _ in UInt8(truncatingIfNeeded: dice.next()) }
        body = (0..<Int(dice.next() % 200)).map { _ in UInt8(truncatingIfNeeded: dice.next()) }
      }
      let size = dice.next() >> (dice.next() % 64)
      if let ledger = try? LedgerFile(head, size: size) {
        precondition(ledger.count <= LedgerFormat.mostRecords && ledger.recordSize >= LedgerFormat.recordSize)
        precondition(
          UInt64(ledger.headerSize) + UInt64(ledger.count) * UInt64(ledger.recordSize) <= size, "beyond the file")
      }
      if case .socket(let cookie, _, let socket) = read(body) {
        taken += 1
        precondition(cookie != 0 && socket.file.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7f })
        precondition((socket.opened ?? 0) <= 1500)
      }
    }
    #expect(taken > 1000)
  }

  private struct Dice {
    var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
      state ^= state << 13
      state ^= state >> 7
      state ^= state << 17
      return state
    }
  }

  @Test("a pipe, a device, a socket or a file on disk in place of a ledger is not opened")
  func otherFiles() throws {
    var ends: [CInt] = [0, 0]
    unsafe #expect(pipe(&ends) == 0)
    let others = unsafe [
      ends[0], ends[1], open("/dev/null", O_RDONLY), open("/proc/self/exe", O_RDONLY),
      open("/proc/self/stat", O_RDONLY),
      socket(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0), open("/dev", O_RDONLY),
    ]
    defer { for number in others { _ = close(number) } }
    for number in others {
      var reading = LedgerReading(getpid())
      reading.read(number)
      #expect(reading.complaints == ["the ledger of process \(getpid()) is not a memory file and was not opened"])
    }
    var none = LedgerReading(getpid())
    none.read(1_000_000)
    #expect(none.complaints.isEmpty, "it has gone")
  }
}
