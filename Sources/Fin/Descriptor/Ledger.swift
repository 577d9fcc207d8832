internal import Synchronization

/// Every open socket of ours: how many, which, and where each was opened.
///
/// Counting is always on. `Ledger.current` is the process's ledger unless the code runs inside
/// `Ledger.$current.withValue(Ledger()) { … }`; a socket stays in the ledger it was opened in, and what a listener accepts
/// goes into the listener's.
///
/// Other processes can read a ledger that is published: see <doc:Publishing>.
public final class Ledger: Sendable {
  /// The ledger that new sockets are written into. The process's own is published from the beginning when the environment
  /// says `FIN_LEDGER=1`.
  @TaskLocal public static var current = Ledger.ofProcess()

  /// How many sockets were opened, and how they left.
  public struct Counts: Hashable, Sendable {
    /// Sockets opened since the ledger was made.
    public internal(set) var opened = 0
    /// Of those, released by a close, an abort or a stop.
    public internal(set) var closed = 0
    /// Released because their last reference died: a leak, each reported.
    public internal(set) var leaked = 0
    /// Handed to the caller by `detach`.
    public internal(set) var detached = 0
    /// Open at this moment.
    public var open: Int { opened - closed - leaked - detached }
  }

  /// What a socket is, for the ledger and for messages.
  public enum Kind: String, Hashable, Sendable {
    /// A stream socket that is neither connected nor listening yet.
    case socket
    /// A stream socket that takes clients, pauses or stops.
    case listener
    /// A stream socket that connects, is connected or was.
    case connection
    /// A socket for single messages.
    case datagramSocket = "datagram socket"

    /// A stream is what its phase makes it.
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
    /// Counted from 1 in each ledger; never used twice.
    public let id: UInt64
    /// `SO_COOKIE`: the kernel's own name for the socket, as `ss -e` prints it after `sk:`.
    public let cookie: UInt64?
    /// What it is.
    public let kind: Kind
    /// Where it is in its life.
    public let phase: Phase
    /// `Module/File.swift`.
    public let file: String
    /// The line that opened it.
    public let line: Int
    /// How long it has been open.
    public let age: Duration
    /// The descriptor's number. It may be another socket's by the time this is read.
    public let descriptor: Int32
    /// What the program declared of it, as far as that holds at this moment.
    public let purpose: Purpose
  }

  /// The record of one socket. It is taken out of the ledger before the descriptor is closed, so that a number in the list
  /// is always its own.
  final class Record: Sendable {
    // In an order without gaps: there is one of these for every socket.
    let id: UInt64
    let opened: Instant
    let descriptor: CInt
    /// Its place in the ledger, and in what is published of it.
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

  /// Where in the source a socket was opened.
  @safe struct Site: Sendable {
    // What a `StaticString` says in seven bytes more. It is a part of the program, and stays.
    private nonisolated(unsafe) let start: UnsafePointer<UInt8>
    let line: UInt32
    private let count: UInt16

    init(file: StaticString, line: UInt) {
      // One that holds a single character may have no bytes in memory.
      let file = file.hasPointerRepresentation ? file : "a file"
      unsafe start = file.utf8Start
      count = UInt16(clamping: file.utf8CodeUnitCount)
      self.line = UInt32(clamping: line)
    }

    var file: String { unsafe String(decoding: UnsafeBufferPointer(start: start, count: Int(count)), as: UTF8.self) }
  }

  /// How a socket left the ledger.
  enum Departure { case closed, leaked, detached }

  /// What a program said of a socket, and how long that holds.
  struct Declaration {
    let purpose: Purpose
    let until: Deadline
  }

  struct Book {
    var counts = Counts()
    var records: [Record?] = []
    var free: [UInt32] = []
    var leakPolicy = LeakPolicy.report
    /// By slot. Most programs declare nothing: no socket pays for it.
    var declarations: [UInt32: Declaration] = [:]
  }

  let book = Mutex(Book())
  /// The address of the ``PublishedLedger``, which is retained; 0 while there is none.
  let publication = Atomic<UInt>(0)

  /// Numbers that are ours, in whatever ledger: what may not be adopted a second time.
  private static let owned = Mutex(Numbers())

  static func owns(_ number: CInt) -> Bool { owned.withLock { $0.contains(number) } }

  /// Takes a number for a socket that is to be adopted.
  ///
  /// - Returns: `false` when it is a socket of ours already, or about to become one.
  static func claim(_ number: CInt) -> Bool {
    owned.withLock { numbers in
      if numbers.contains(number) { return false }
      numbers.insert(number)
      return true
    }
  }

  /// Gives back what ``claim(_:)`` took.
  static func disclaim(_ number: CInt) { owned.withLock { $0.remove(number) } }

  /// An empty ledger, with the leak policy ``LeakPolicy/report``.
  public init() {}

  deinit { replacePublication(with: nil) }

  /// How many sockets were opened and how many are open, at this moment.
  public var counts: Counts { book.withLock { $0.counts } }

  /// What happens when a socket is dropped open. The default is ``LeakPolicy/report``.
  public var leakPolicy: LeakPolicy {
    get { book.withLock { $0.leakPolicy } }
    set { book.withLock { $0.leakPolicy = newValue } }
  }

  /// Every socket that is open now, oldest first.
  public func openSockets() -> [Entry] {
    book.withLock { book in
      book.records.compactMap { record in
        guard let record else { return nil }
        return Entry(
          id: record.id, cookie: try? Syscalls.cookie(record.descriptor), kind: record.kind,
          phase: Phase(rawValue: record.phase.load(ordering: .acquiring))!, file: record.site.file,
          line: Int(record.site.line), age: record.opened.elapsed, descriptor: record.descriptor,
          purpose: book.declarations[record.slot].map { $0.until.hasPassed ? [] : $0.purpose } ?? [])
      }
    }.sorted { $0.id < $1.id }
  }

  func open(_ descriptor: CInt, isDatagram: Bool, _ site: Site, _ phase: Phase) -> Record {
    Ledger.owned.withLock { $0.insert(descriptor) }
    // Asked before the lock, where others would wait for it.
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

  func close(_ record: Record, _ departure: Departure) {
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

/// A set of descriptor numbers, a bit for each: the kernel gives the lowest that is free, so they lie together.
private struct Numbers {
  private var words: [UInt64] = []

  func contains(_ number: CInt) -> Bool {
    let (word, bit) = Numbers.place(of: number)
    return word < words.count && words[word] & bit != 0
  }

  mutating func insert(_ number: CInt) {
    let (word, bit) = Numbers.place(of: number)
    if word >= words.count { words.append(contentsOf: repeatElement(0, count: word + 1 - words.count)) }
    words[word] |= bit
  }

  mutating func remove(_ number: CInt) {
    let (word, bit) = Numbers.place(of: number)
    words[word] &= ~bit
  }

  private static func place(of number: CInt) -> (word: Int, bit: UInt64) {
    (Int(number) >> 6, 1 << (UInt64(number) & 63))
  }
}
