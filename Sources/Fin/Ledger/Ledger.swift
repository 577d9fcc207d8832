internal import Synchronization

/// The open sockets of this program: their number, their state, and where each was opened.
///
/// Counting is always on. `Ledger.current` is the process's ledger unless the code runs inside
/// `Ledger.$current.withValue(Ledger()) { … }`. A socket stays in the ledger in which it was opened, and a connection
/// that a listener accepts goes into the listener's ledger.
///
/// Other processes can read a ledger that is published: see <doc:Publishing>.
public final class Ledger: Sendable {
  /// The ledger that records new sockets. The process's own is published from the beginning when the environment
  /// contains `FIN_LEDGER=1`.
  @TaskLocal public static var current = Ledger.ofProcess()

  /// The number of sockets that were opened, and of those that left the ledger in each way.
  public struct Counts: Hashable, Sendable {
    /// Sockets opened since the ledger was created.
    public internal(set) var opened = 0
    /// Sockets released by a close, an abort or a stop.
    public internal(set) var closed = 0
    /// Sockets released because their last reference was dropped. Each is a leak, and is reported by the leak policy.
    public internal(set) var leaked = 0
    /// Sockets handed to the caller by `detach`.
    public internal(set) var detached = 0
    /// Sockets that are open at this moment.
    public var open: Int { opened - closed - leaked - detached }
  }

  /// The kind of a socket, for the ledger and for messages.
  public enum Kind: String, Hashable, Sendable {
    /// A stream socket that is neither connected nor listening yet.
    case socket
    /// A stream socket that accepts connections, is paused or is stopping.
    case listener
    /// A stream socket that connects, is connected or was connected.
    case connection
    /// A socket for datagrams.
    case datagramSocket = "datagram socket"

    /// The kind of a stream socket follows from its phase.
    init(_ phase: Phase, isDatagram: Bool) {
      self =
        switch phase {
        case .fresh, .bound: isDatagram ? .datagramSocket : .socket
        case .listening, .paused, .stopping: .listener
        case .connecting, .connected, .sendFinished, .peerFinished, .bothFinished, .failed, .confirming,
          .confirmingLast,
          .lingering, .lingeringAcknowledged, .closed:
          isDatagram ? .datagramSocket : .connection
        }
    }
  }

  /// One open socket, as it was when the list was made.
  public struct Entry: Hashable, Sendable {
    /// The socket's number in its ledger, counted from 1 and never used twice.
    public let id: UInt64
    /// The kernel's identifier of the socket (`SO_COOKIE`), which `ss -e` prints after `sk:`.
    public let cookie: UInt64?
    /// The kind of socket.
    public let kind: Kind
    /// The phase that it is in.
    public let phase: Phase
    /// The source file that opened it, as `Module/File.swift`.
    public let file: String
    /// The line that opened it.
    public let line: Int
    /// The time for which it has been open.
    public let age: Duration
    /// The file descriptor. The number may belong to another socket by the time this is read.
    public let descriptor: Int32
    /// The intent that the program declared for it; empty when there is none, or when its time is over.
    public let intent: SocketIntent
  }

  /// The record of one socket. It is removed from the ledger before the descriptor is closed, so that a descriptor in
  /// the list always belongs to the socket it is listed for.
  final class Record: Sendable {
    // Ordered so that there is no padding between the fields: every socket has a record.
    let id: UInt64
    let opened: Instant
    let descriptor: CInt
    /// The index of the record in the ledger, and in the published ledger.
    let slot: UInt32
    let site: Site
    let isDatagram: Bool
    let phase: Atomic<UInt8>

    var kind: Kind { Kind(Phase(rawValue: phase.load(ordering: .acquiring))!, isDatagram: isDatagram) }

    fileprivate init(id: UInt64, isDatagram: Bool, descriptor: CInt, site: Site, phase: Phase, slot: UInt32) {
      self.id = id
      self.isDatagram = isDatagram
      self.descriptor = descriptor
      self.site = site
      self.opened = .now
      self.phase = Atomic(phase.rawValue)
      self.slot = slot
    }
  }

  /// The place in the source where a socket was opened.
  @safe struct Site: Sendable {
    // The text of a `StaticString`, which itself would take seven bytes more. It is part of the program and is never
    // freed.
    private nonisolated(unsafe) let start: UnsafePointer<UInt8>
    let line: UInt32
    private let count: UInt16

    init(file: StaticString, line: UInt) {
      // A `StaticString` of a single character may have no bytes in memory.
      let file = file.hasPointerRepresentation ? file : "a file"
      unsafe start = file.utf8Start
      count = UInt16(clamping: file.utf8CodeUnitCount)
      self.line = UInt32(clamping: line)
    }

    var file: String { unsafe String(decoding: UnsafeBufferPointer(start: start, count: Int(count)), as: UTF8.self) }
  }

  /// How a socket left the ledger.
  enum RemovalReason { case closed, leaked, detached }

  /// The intent that the program declared for a socket, and the time until which it holds.
  struct Declaration {
    let intent: SocketIntent
    let until: Deadline
  }

  struct Book {
    var counts = Counts()
    var records: [Record?] = []
    var free: [UInt32] = []
    var leakPolicy = LeakPolicy.report
    /// The declarations by slot. Apart from the records, which need no field for them: most programs declare nothing.
    var declarations: [UInt32: Declaration] = [:]
  }

  let book = Mutex(Book())
  // [atomic pointer]
  /// The address of the retained ``PublishedLedger``; 0 while there is none.
  let publication = Atomic<UInt>(0)

  /// The descriptors of all sockets of Fin, in any ledger. They may not be adopted a second time.
  private static let owned = Mutex(DescriptorSet())

  static func owns(_ number: CInt) -> Bool { owned.withLock { $0.contains(number) } }

  /// Reserves a descriptor for a socket that is to be adopted.
  ///
  /// - Returns: `false` when the number belongs to a socket of Fin already, or is reserved for one.
  static func claim(_ number: CInt) -> Bool {
    owned.withLock { numbers in
      if numbers.contains(number) { return false }
      numbers.insert(number)
      return true
    }
  }

  /// Cancels the reservation that ``claim(_:)`` made.
  static func disclaim(_ number: CInt) { owned.withLock { $0.remove(number) } }

  /// Creates an empty ledger with the leak policy ``LeakPolicy/report``.
  public init() {}

  deinit { replacePublication(with: nil) }

  /// The number of sockets that were opened, that left and that are open, at this moment.
  public var counts: Counts { book.withLock { $0.counts } }

  /// The reaction to a socket that is dropped open. The default is ``LeakPolicy/report``.
  public var leakPolicy: LeakPolicy {
    get { book.withLock { $0.leakPolicy } }
    set { book.withLock { $0.leakPolicy = newValue } }
  }

  /// Returns every socket that is open now, oldest first.
  public func openSockets() -> [Entry] {
    book.withLock { book in
      book.records.compactMap { record in
        guard let record else { return nil }
        return Entry(
          id: record.id, cookie: try? Syscalls.cookie(record.descriptor), kind: record.kind,
          phase: Phase(rawValue: record.phase.load(ordering: .acquiring))!, file: record.site.file,
          line: Int(record.site.line), age: record.opened.elapsed, descriptor: record.descriptor,
          intent: book.declarations[record.slot].map { $0.until.hasPassed ? [] : $0.intent } ?? [])
      }
    }.sorted { $0.id < $1.id }
  }

  func open(_ descriptor: CInt, isDatagram: Bool, _ site: Site, _ phase: Phase) -> Record {
    Ledger.owned.withLock { $0.insert(descriptor) }
    // The system call is made before the lock is taken, so that no other thread waits for it.
    let cookie = isPublished ? try? Syscalls.cookie(descriptor) : nil
    return book.withLock { book in
      book.counts.opened += 1
      let slot = book.free.popLast() ?? UInt32(book.records.count)
      let record = Record(
        id: UInt64(book.counts.opened), isDatagram: isDatagram, descriptor: descriptor, site: site, phase: phase,
        slot: slot)
      if slot == book.records.count { book.records.append(record) } else { book.records[Int(slot)] = record }
      if isPublished { publish(record, cookie: cookie, in: &book) }
      return record
    }
  }

  func close(_ record: Record, _ departure: RemovalReason) {
    Ledger.owned.withLock { $0.remove(record.descriptor) }
    book.withLock { book in
      assert(book.records[Int(record.slot)] === record, "a socket left the ledger twice")
      if isPublished { published?.leave(record) }
      if !book.declarations.isEmpty { book.declarations[record.slot] = nil }
      book.records[Int(record.slot)] = nil
      book.free.append(record.slot)
      switch departure {
      case .closed: book.counts.closed += 1
      case .leaked: book.counts.leaked += 1
      case .detached: book.counts.detached += 1
      }
    }
  }
}

/// A set of descriptors as a bitmap. It stays small, because the kernel assigns the lowest free number.
private struct DescriptorSet {
  private var words: [UInt64] = []

  func contains(_ number: CInt) -> Bool {
    let (word, bit) = DescriptorSet.place(of: number)
    return word < words.count && words[word] & bit != 0
  }

  mutating func insert(_ number: CInt) {
    let (word, bit) = DescriptorSet.place(of: number)
    if word >= words.count { words.append(contentsOf: repeatElement(0, count: word + 1 - words.count)) }
    words[word] |= bit
  }

  mutating func remove(_ number: CInt) {
    let (word, bit) = DescriptorSet.place(of: number)
    words[word] &= ~bit
  }

  private static func place(of number: CInt) -> (word: Int, bit: UInt64) {
    (Int(number) >> 6, 1 << (UInt64(number) & 63))
  }
}
