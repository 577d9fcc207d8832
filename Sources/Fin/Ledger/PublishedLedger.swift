internal import Synchronization
internal import SystemPackage

/// A ``Ledger`` in the form that other processes read: a file in memory with one record for each socket. They find it
/// under `/proc/PID/fd` by its name.
///
/// All numbers are in the machine's byte order. The file begins with a header that is as long as a record:
///
/// | bytes | |
/// | --- | --- |
/// | 0–7 | `fin-ldgr` |
/// | 8–11, 12–15 | version, 1; length of the header |
/// | 16–19, 20–23 | length of a record; the process id, as the process itself sees it |
/// | 24–31 | number of records that the file has room for |
/// | 32–39 | number of records used so far; all records after them are zero |
/// | 40–47 | number of sockets that found no room |
///
/// The records follow. The fields of a record have a meaning only while its cookie is not 0:
///
/// | bytes | |
/// | --- | --- |
/// | 0–7 | sequence number (seqlock): two more after each change, odd during a change |
/// | 8–15 | the socket's cookie |
/// | 16–19, 20–23 | the lower half of its number in the ledger; its descriptor |
/// | 24–31 | time of its opening: nanoseconds of `CLOCK_MONOTONIC`, as are all times below |
/// | 32–39, 40–47 | deadline of the present wait for input, for output; 0 for no wait, all ones for no deadline |
/// | 48–55 | time until which the declared intent holds |
/// | 56–59 | line that opened it |
/// | 60, 61, 62 | kind, counted from 1 in the order of ``Ledger/Kind``; ``Phase``; ``SocketIntent`` |
/// | 63, 64–127 | length of the file's name; the name |
///
/// A reader has to read a record twice. The record is consistent if both copies are equal and their sequence number
/// is even.
@safe
final class PublishedLedger: @unchecked Sendable {
  static let name: StaticString = "fin-ledger"
  static let recordSize = 128
  /// The most records: as many as the usual hard limit of descriptors. Address space is reserved for all of them.
  static let most = 1 << 20
  /// The number of records by which the file grows.
  static let step = 512
  static let nameLength = 64

  private static let size = (most + 1) * recordSize

  private let file: Descriptor
  private let memory: UnsafeMutableRawPointer
  /// The count of forks when this was created. It tells whether this process created it: a child does not write to its
  /// parent's ledger.
  private let forks: UInt64
  /// Locks that serialize the changes of a record, because two threads may change one: a reader's wait and a writer's.
  /// The slot modulo their number selects a record's lock.
  private let turns: [Turn]

  private final class Turn: Sendable {
    let taken = Mutex(())
  }

  // Guarded by the ledger's lock.
  private var capacity = 0
  private var count = 0
  private var withoutRoom: UInt64 = 0

  init() throws(Errno) {
    Fork.count()
    forks = Fork.times.load(ordering: .relaxed)
    let file = Descriptor(owning: try Syscalls.makeMemoryFile(PublishedLedger.name))
    let start = PublishedLedger.recordSize
    try Syscalls.lengthen(file.number, from: 0, to: start + PublishedLedger.step * start)
    unsafe memory = try Syscalls.map(file.number, PublishedLedger.size)
    self.file = consume file
    turns = (0..<16).map { _ in Turn() }
    capacity = PublishedLedger.step
    store(PublishedLedger.number(of: "fin-ldgr".utf8), at: 0)
    store(1 | UInt64(start) << 32, at: 1)
    store(UInt64(PublishedLedger.recordSize) | UInt64(UInt32(bitPattern: Syscalls.process)) << 32, at: 2)
    store(UInt64(capacity), at: 3)
  }

  deinit {
    // In a child, other memory may lie at this address by now.
    if isOurs { unsafe Syscalls.unmap(memory, PublishedLedger.size) }
  }

  /// Whether this process created it, and not a process that it was forked from.
  var isOurs: Bool { forks == Fork.times.load(ordering: .relaxed) }

  /// The descriptor of the file. It remains this object's to close.
  var number: CInt { file.number }

  // MARK: Writing, under the ledger's lock

  /// Writes the record of a socket that is open.
  func enter(_ record: Ledger.Record, cookie: UInt64, _ declaration: Ledger.Declaration?) {
    let slot = Int(record.slot)
    guard slot < capacity || grow(toHold: slot) else {
      withoutRoom += 1
      return store(withoutRoom, at: 5)
    }
    change(slot) { start in
      store(cookie, at: start + 1)
      store(PublishedLedger.identity(record), at: start + 2)
      store(UInt64(clamping: record.opened.nanoseconds), at: start + 3)
      store(0, at: start + 4)
      store(0, at: start + 5)
      store(declaration?.until.published ?? 0, at: start + 6)
      let length = write(record.site.file, at: start + 8)
      let intent = declaration?.intent ?? []
      store(described(record) | UInt64(intent.rawValue) << 48 | UInt64(length) << 56, at: start + 7)
    }
    if slot >= count {
      count = slot + 1
      store(UInt64(count), at: 4)
    }
  }

  /// Clears the record of a socket that leaves the ledger.
  func leave(_ record: Ledger.Record) {
    changeOwn(record) { start in
      for place in 1..<PublishedLedger.recordSize / 8 { store(0, at: start + place) }
    }
  }

  /// Writes the intent that the program declared for a socket.
  func declare(_ declaration: Ledger.Declaration, of record: Ledger.Record) {
    changeOwn(record) { start in
      store(declaration.until.published, at: start + 6)
      let old = load(start + 7) & ~(0xff << 48)
      store(old | UInt64(declaration.intent.rawValue) << 48, at: start + 7)
    }
  }

  // MARK: Writing, by operations on a socket

  /// Writes the phase of a socket after it has changed.
  func advance(_ record: Ledger.Record) {
    changeOwn(record) { start in
      // The phase is read here, where changes are serialized, so that the last write has the latest phase.
      store(load(start + 7) & (0xffff << 48) | described(record), at: start + 7)
    }
  }

  /// Writes the deadline of a wait that begins, or clears it when the wait is over.
  ///
  /// - Parameter deadline: the deadline of the wait; `nil` when it is over.
  func wait(_ record: Ledger.Record, for direction: Direction, until deadline: Deadline?) {
    changeOwn(record) { start in
      store(deadline?.published ?? 0, at: start + (direction == .input ? 4 : 5))
    }
  }

  // MARK: Records

  /// Changes a record if it still belongs to this socket. By then it may be cleared, or belong to another socket.
  private func changeOwn(_ record: Ledger.Record, _ body: (_ start: Int) -> Void) {
    let slot = Int(record.slot)
    // The number of records used, and not `capacity`, which the ledger's lock guards. A slot below it is mapped; one in
    // which the socket was not entered does not have the socket's identity.
    guard slot < Int(clamping: load(4)) else { return }
    let identity = PublishedLedger.identity(record)
    let opened = UInt64(clamping: record.opened.nanoseconds)
    // The lower half of the socket's number wraps after 2³² sockets; the time of its opening does not.
    change(slot, if: { load($0 + 2) == identity && load($0 + 3) == opened }, body)
  }

  private func change(_ slot: Int, if isMeant: (Int) -> Bool = { _ in true }, _ body: (_ start: Int) -> Void) {
    let start = (slot + 1) * (PublishedLedger.recordSize / 8)
    turns[slot % turns.count].taken.withLock { _ in
      guard isMeant(start) else { return }
      let sequence = load(start)
      store(sequence &+ 1, at: start)
      // A reader that sees a field of the new record also sees that a change had begun.
      atomicMemoryFence(ordering: .releasing)
      body(start)
      unsafe word(start).pointee.store(sequence &+ 2, ordering: .releasing)
    }
  }

  /// Makes the file longer. The records in it keep their place, for this process and for readers.
  private func grow(toHold slot: Int) -> Bool {
    guard slot < PublishedLedger.most else { return false }
    let new = min(PublishedLedger.most, max(slot + 1, capacity + PublishedLedger.step))
    let (from, to) = ((capacity + 1) * PublishedLedger.recordSize, (new + 1) * PublishedLedger.recordSize)
    guard (try? Syscalls.lengthen(file.number, from: from, to: to)) != nil else { return false }
    capacity = new
    store(UInt64(capacity), at: 3)
    return true
  }

  /// The word of a record that holds line, kind and phase, with the rest of its bytes 0.
  private func described(_ record: Ledger.Record) -> UInt64 {
    let phase = Phase(rawValue: record.phase.load(ordering: .sequentiallyConsistent))!
    let kind: UInt64 =
      switch Ledger.Kind(phase, isDatagram: record.isDatagram) {
      case .socket: 1
      case .listener: 2
      case .connection: 3
      case .datagramSocket: 4
      }
    return UInt64(record.site.line) | kind << 32 | UInt64(phase.rawValue) << 40
  }

  private static func identity(_ record: Ledger.Record) -> UInt64 {
    UInt64(UInt32(truncatingIfNeeded: record.id)) | UInt64(UInt32(bitPattern: record.descriptor)) << 32
  }

  /// Writes a file's name. A name that is too long is replaced by three dots and its end.
  ///
  /// - Returns: the number of bytes written.
  private func write(_ name: String, at start: Int) -> Int {
    var bytes = Array(name.utf8)[...]
    if bytes.count > PublishedLedger.nameLength {
      bytes = bytes.suffix(PublishedLedger.nameLength - 3)
      // The rest does not begin in the middle of a character.
      while let first = bytes.first, first & 0xc0 == 0x80 { bytes = bytes.dropFirst() }
      bytes = "...".utf8 + bytes
    }
    for place in 0..<PublishedLedger.nameLength / 8 {
      store(PublishedLedger.number(of: bytes.dropFirst(place * 8).prefix(8)), at: start + place)
    }
    return bytes.count
  }

  /// Up to eight bytes as a number that has them in memory in the same order.
  private static func number(of bytes: some Sequence<UInt8>) -> UInt64 {
    var number: UInt64 = 0
    for (place, byte) in bytes.enumerated() { number |= UInt64(byte) << UInt64(place * 8) }
    return UInt64(littleEndian: number)
  }

  private func word(_ place: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
    unsafe (memory + place * 8).assumingMemoryBound(to: Atomic<UInt64>.self)
  }
  private func load(_ place: Int) -> UInt64 { unsafe word(place).pointee.load(ordering: .relaxed) }
  private func store(_ value: UInt64, at place: Int) { unsafe word(place).pointee.store(value, ordering: .relaxed) }
}

extension Deadline {
  /// The published form of the deadline: above 0, and all ones for never.
  fileprivate var published: UInt64 { self == .never ? .max : UInt64(max(1, nanoseconds)) }
}
