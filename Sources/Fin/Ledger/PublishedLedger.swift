internal import FinBase
internal import Synchronization
internal import SystemPackage

/// A ``Ledger`` in the form that other processes read: see `LedgerFormat`.
@safe
final class PublishedLedger: @unchecked Sendable {
  private typealias Field = LedgerFormat.Record

  /// The number of records by which the file grows.
  static let step = 512

  /// Address space is reserved for all records.
  private static let size = (LedgerFormat.mostRecords + 1) * LedgerFormat.recordSize

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
    let file = Descriptor(owning: try Syscalls.makeMemoryFile(LedgerFormat.name))
    let size = LedgerFormat.recordSize
    try Syscalls.lengthen(file.number, from: 0, to: size + PublishedLedger.step * size)
    unsafe memory = try Syscalls.map(file.number, PublishedLedger.size)
    self.file = consume file
    turns = (0..<16).map { _ in Turn() }
    capacity = PublishedLedger.step
    typealias Header = LedgerFormat.Header
    store(PublishedLedger.number(of: LedgerFormat.magic.description.utf8), at: Header.magic)
    store(
      part(UInt64(LedgerFormat.version), at: Header.version) | part(UInt64(size), at: Header.headerSize),
      at: Header.version)
    store(
      part(UInt64(size), at: Header.recordSize)
        | part(UInt64(UInt32(bitPattern: Syscalls.process)), at: Header.process),
      at: Header.recordSize)
    store(UInt64(capacity), at: Header.capacity)
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
      return store(withoutRoom, at: LedgerFormat.Header.withoutRoom)
    }
    change(slot) { start in
      store(cookie, at: start + Field.cookie)
      store(identity(record), at: start + Field.number)
      store(UInt64(clamping: record.opened.nanoseconds), at: start + Field.opened)
      store(LedgerFormat.noWait, at: start + Field.input)
      store(LedgerFormat.noWait, at: start + Field.output)
      store(declaration?.until.published ?? 0, at: start + Field.intentEnds)
      let length = part(UInt64(write(record.site.file, at: start + Field.name)), at: Field.nameLength)
      let intent = part(UInt64((declaration?.intent ?? []).rawValue), at: Field.intent)
      store(described(record) | intent | length, at: start + Field.line)
    }
    if slot >= count {
      count = slot + 1
      store(UInt64(count), at: LedgerFormat.Header.count)
    }
  }

  /// Clears the record of a socket that leaves the ledger.
  func leave(_ record: Ledger.Record) {
    changeOwn(record) { start in
      for field in stride(from: Field.cookie, to: LedgerFormat.recordSize, by: 8) { store(0, at: start + field) }
    }
  }

  /// Writes the intent that the program declared for a socket.
  func declare(_ declaration: Ledger.Declaration, of record: Ledger.Record) {
    changeOwn(record) { start in
      store(declaration.until.published, at: start + Field.intentEnds)
      let old = load(start + Field.line) & ~part(0xff, at: Field.intent)
      store(old | part(UInt64(declaration.intent.rawValue), at: Field.intent), at: start + Field.line)
    }
  }

  // MARK: Writing, by operations on a socket

  /// Writes the phase of a socket after it has changed.
  func advance(_ record: Ledger.Record) {
    changeOwn(record) { start in
      // The phase is read here, where changes are serialized, so that the last write has the latest phase.
      let kept = load(start + Field.line) & (part(0xff, at: Field.intent) | part(0xff, at: Field.nameLength))
      store(kept | described(record), at: start + Field.line)
    }
  }

  /// Writes the deadline of a wait that begins, or clears it when the wait is over.
  ///
  /// - Parameter deadline: the deadline of the wait; `nil` when it is over.
  func wait(_ record: Ledger.Record, for direction: Direction, until deadline: Deadline?) {
    changeOwn(record) { start in
      store(deadline?.published ?? LedgerFormat.noWait, at: start + (direction == .input ? Field.input : Field.output))
    }
  }

  // MARK: Records

  /// Changes a record if it still belongs to this socket. By then it may be cleared, or belong to another socket.
  private func changeOwn(_ record: Ledger.Record, _ body: (_ start: Int) -> Void) {
    let slot = Int(record.slot)
    // The number of records used, and not `capacity`, which the ledger's lock guards. A slot below it is mapped; one in
    // which the socket was not entered does not have the socket's identity.
    guard slot < Int(clamping: load(LedgerFormat.Header.count)) else { return }
    let identity = identity(record)
    let opened = UInt64(clamping: record.opened.nanoseconds)
    // The lower half of the socket's number wraps after 2³² sockets; the time of its opening does not.
    change(slot, if: { load($0 + Field.number) == identity && load($0 + Field.opened) == opened }, body)
  }

  private func change(_ slot: Int, if isMeant: (Int) -> Bool = { _ in true }, _ body: (_ start: Int) -> Void) {
    let start = (slot + 1) * LedgerFormat.recordSize
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
    guard slot < LedgerFormat.mostRecords else { return false }
    let new = min(LedgerFormat.mostRecords, max(slot + 1, capacity + PublishedLedger.step))
    let (from, to) = ((capacity + 1) * LedgerFormat.recordSize, (new + 1) * LedgerFormat.recordSize)
    guard (try? Syscalls.lengthen(file.number, from: from, to: to)) != nil else { return false }
    capacity = new
    store(UInt64(capacity), at: LedgerFormat.Header.capacity)
    return true
  }

  /// The word of a record that holds line, kind and phase, with the rest of its bytes 0.
  private func described(_ record: Ledger.Record) -> UInt64 {
    let phase = Phase(rawValue: record.phase.load(ordering: .sequentiallyConsistent))!
    let kind: LedgerFormat.Kind =
      switch Ledger.Kind(phase, isDatagram: record.isDatagram) {
      case .socket: .socket
      case .listener: .listener
      case .connection: .connection
      case .datagramSocket: .datagramSocket
      }
    return part(UInt64(record.site.line), at: Field.line) | part(UInt64(kind.rawValue), at: Field.kind)
      | part(UInt64(LedgerFormat.Phase(phase).rawValue), at: Field.phase)
  }

  private func identity(_ record: Ledger.Record) -> UInt64 {
    part(UInt64(UInt32(truncatingIfNeeded: record.id)), at: Field.number)
      | part(UInt64(UInt32(bitPattern: record.descriptor)), at: Field.descriptor)
  }

  /// The value as a part of the word of eight bytes that has the field at this offset.
  private func part(_ value: UInt64, at offset: Int) -> UInt64 { value << UInt64(offset % 8 * 8) }

  /// Writes a file's name. A name that is too long is replaced by three dots and its end.
  ///
  /// - Returns: the number of bytes written.
  private func write(_ name: String, at start: Int) -> Int {
    var bytes = Array(name.utf8)[...]
    if bytes.count > LedgerFormat.nameLength {
      bytes = bytes.suffix(LedgerFormat.nameLength - 3)
      // The rest does not begin in the middle of a character.
      while let first = bytes.first, first & 0xc0 == 0x80 { bytes = bytes.dropFirst() }
      bytes = "...".utf8 + bytes
    }
    for place in stride(from: 0, to: LedgerFormat.nameLength, by: 8) {
      store(PublishedLedger.number(of: bytes.dropFirst(place).prefix(8)), at: start + place)
    }
    return bytes.count
  }

  /// Up to eight bytes as a number that has them in memory in the same order.
  private static func number(of bytes: some Sequence<UInt8>) -> UInt64 {
    var number: UInt64 = 0
    for (place, byte) in bytes.enumerated() { number |= UInt64(byte) << UInt64(place * 8) }
    return UInt64(littleEndian: number)
  }

  private func word(_ offset: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
    unsafe (memory + offset).assumingMemoryBound(to: Atomic<UInt64>.self)
  }
  private func load(_ offset: Int) -> UInt64 { unsafe word(offset).pointee.load(ordering: .relaxed) }
  private func store(_ value: UInt64, at offset: Int) { unsafe word(offset).pointee.store(value, ordering: .relaxed) }
}

extension Deadline {
  /// The published form of the deadline: above 0, and all ones for never.
  fileprivate var published: UInt64 { self == .never ? LedgerFormat.noDeadline : UInt64(max(1, nanoseconds)) }
}
