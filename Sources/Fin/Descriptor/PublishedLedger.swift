internal import Synchronization
internal import SystemPackage

/// A ``Ledger`` as other processes read it: a file in memory, of one record a socket, which they find under
/// `/proc/PID/fd` by its name.
///
/// All numbers are in the machine's byte order. The file begins with a header of one record's length:
///
/// | bytes | |
/// | --- | --- |
/// | 0–7 | `fin-ldgr` |
/// | 8–11, 12–15 | version, 1; length of the header |
/// | 16–19, 20–23 | length of a record; the process, as it sees itself |
/// | 24–31 | records that the file has room for |
/// | 32–39 | records that were ever used: those after them are zero |
/// | 40–47 | sockets that found no room |
///
/// A record, of which no field means anything while its cookie is 0:
///
/// | bytes | |
/// | --- | --- |
/// | 0–7 | counts changes, by two; odd while one is being made |
/// | 8–15 | the socket's cookie |
/// | 16–19, 20–23 | the lower half of its number in the ledger; its descriptor |
/// | 24–31 | when it was opened: nanoseconds of `CLOCK_MONOTONIC`, as all that follow |
/// | 32–39, 40–47 | when the wait for input, or for output, that is going on will end; 0 for none, all ones for one without end |
/// | 48–55 | until when the purposes hold |
/// | 56–59 | the line that opened it |
/// | 60, 61, 62 | kind, from 1 on as in ``Ledger/Kind``; ``Phase``; ``Purpose`` |
/// | 63, 64–127 | how long the file's name is, and the name |
///
/// Who reads has to read a record twice: it is as it was at one moment when both are the same and their count is even.
@safe
final class PublishedLedger: @unchecked Sendable {
  static let name: StaticString = "fin-ledger"
  static let recordSize = 128
  /// As many as the usual hard limit of descriptors, and the room for them in the address space.
  static let most = 1 << 20
  /// Records that the file grows by.
  static let step = 512
  static let nameLength = 64

  private static let size = (most + 1) * recordSize

  private let file: Descriptor
  private let memory: UnsafeMutableRawPointer
  /// Which process this belongs to: the parent's is not written by its child.
  private let forks: UInt64
  /// Two threads may change one record: a reader's wait and a writer's. They take turns, by one of these for each record.
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
    // In a child there may be something else by now.
    if isOurs { unsafe Syscalls.unmap(memory, PublishedLedger.size) }
  }

  /// Whether this process made it, and not one that it was forked from.
  var isOurs: Bool { forks == Fork.times.load(ordering: .relaxed) }

  /// The descriptor, which nobody else closes.
  var number: CInt { file.number }

  // MARK: Writing, under the ledger's lock

  /// A socket is open.
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
      let purpose = declaration?.purpose ?? []
      store(described(record) | UInt64(purpose.rawValue) << 48 | UInt64(length) << 56, at: start + 7)
    }
    if slot >= count {
      count = slot + 1
      store(UInt64(count), at: 4)
    }
  }

  /// A socket is open no more.
  func leave(_ record: Ledger.Record) {
    changeOwn(record) { start in
      for place in 1..<PublishedLedger.recordSize / 8 { store(0, at: start + place) }
    }
  }

  /// What the program declared of it.
  func declare(_ declaration: Ledger.Declaration, of record: Ledger.Record) {
    changeOwn(record) { start in
      store(declaration.until.published, at: start + 6)
      let old = load(start + 7) & ~(0xff << 48)
      store(old | UInt64(declaration.purpose.rawValue) << 48, at: start + 7)
    }
  }

  // MARK: Writing, by whoever is inside a socket

  /// Its phase has changed.
  func advance(_ record: Ledger.Record) {
    changeOwn(record) { start in
      // Read here, where one change is made after the other, so that the last to write has the last phase.
      store(load(start + 7) & (0xffff << 48) | described(record), at: start + 7)
    }
  }

  /// Somebody waits.
  ///
  /// - Parameter deadline: until when; `nil` when the wait is over.
  func wait(_ record: Ledger.Record, for direction: Direction, until deadline: Deadline?) {
    changeOwn(record) { start in
      store(deadline?.published ?? 0, at: start + (direction == .input ? 4 : 5))
    }
  }

  // MARK: How

  /// Changes a record that still is this socket's: whoever comes late finds another's, or none.
  private func changeOwn(_ record: Ledger.Record, _ body: (_ start: Int) -> Void) {
    let slot = Int(record.slot)
    // Not `capacity`, which is somebody else's to change: within what is mapped, and entered, or it has no identity there.
    guard slot < Int(clamping: load(4)) else { return }
    let identity = PublishedLedger.identity(record)
    let opened = UInt64(clamping: record.opened.nanoseconds)
    // Half of its number comes round with 2³² sockets; the moment does not.
    change(slot, if: { load($0 + 2) == identity && load($0 + 3) == opened }, body)
  }

  private func change(_ slot: Int, if isMeant: (Int) -> Bool = { _ in true }, _ body: (_ start: Int) -> Void) {
    let start = (slot + 1) * (PublishedLedger.recordSize / 8)
    turns[slot % turns.count].taken.withLock { _ in
      guard isMeant(start) else { return }
      let sequence = load(start)
      store(sequence &+ 1, at: start)
      // Nobody sees a field of the new without having seen that a change had begun.
      atomicMemoryFence(ordering: .releasing)
      body(start)
      unsafe word(start).pointee.store(sequence &+ 2, ordering: .releasing)
    }
  }

  /// Makes the file longer. What lies in it stays where it is, for us and for whoever reads.
  private func grow(toHold slot: Int) -> Bool {
    guard slot < PublishedLedger.most else { return false }
    let new = min(PublishedLedger.most, max(slot + 1, capacity + PublishedLedger.step))
    let (from, to) = ((capacity + 1) * PublishedLedger.recordSize, (new + 1) * PublishedLedger.recordSize)
    guard (try? Syscalls.lengthen(file.number, from: from, to: to)) != nil else { return false }
    capacity = new
    store(UInt64(capacity), at: 3)
    return true
  }

  /// Line, kind and phase, where they stand in their word.
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

  /// Writes a name; of one that is too long its end, behind three dots.
  ///
  /// - Returns: how many bytes it takes.
  private func write(_ name: String, at start: Int) -> Int {
    var bytes = Array(name.utf8)[...]
    if bytes.count > PublishedLedger.nameLength {
      bytes = bytes.suffix(PublishedLedger.nameLength - 3)
      // Not in the middle of a character.
      while let first = bytes.first, first & 0xc0 == 0x80 { bytes = bytes.dropFirst() }
      bytes = "...".utf8 + bytes
    }
    for place in 0..<PublishedLedger.nameLength / 8 {
      store(PublishedLedger.number(of: bytes.dropFirst(place * 8).prefix(8)), at: start + place)
    }
    return bytes.count
  }

  /// Bytes in the order of memory.
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
  /// As it is published: above 0, and all ones for never.
  fileprivate var published: UInt64 { self == .never ? .max : UInt64(max(1, nanoseconds)) }
}
