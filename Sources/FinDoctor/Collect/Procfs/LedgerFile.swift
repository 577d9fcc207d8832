internal import FinBase

/// The bytes of a published ledger. Another program wrote them and may be writing them now, so every number is checked.
///
/// The layout is that of `LedgerFormat`.
struct LedgerFile {
  private typealias Header = LedgerFormat.Header
  private typealias Field = LedgerFormat.Record

  var headerSize: Int
  var recordSize: Int
  var pid: Int32
  var count: Int
  /// The number of sockets that did not fit into the ledger.
  var withoutRoom: UInt64

  enum Failure: Error, Hashable {
    /// The file is not a ledger.
    case foreign
    /// The ledger has a version that this reader does not support.
    case version(UInt32)
    /// The header's numbers are inconsistent.
    case absurd
  }

  /// Reads and checks the header.
  /// - Parameters:
  ///   - bytes: The beginning of the file.
  ///   - size: The length of the file.
  init(_ bytes: [UInt8], size: UInt64) throws(Failure) {
    guard bytes.count >= Header.length, bytes.begins(with: LedgerFormat.magic) else { throw .foreign }
    let version = Self.half(bytes, at: Header.version)
    guard version == LedgerFormat.version else { throw .version(version) }
    let headerSize = Self.half(bytes, at: Header.headerSize)
    let recordSize = Self.half(bytes, at: Header.recordSize)
    let count = Self.word(bytes, at: Header.count)
    guard (UInt32(Header.length)...4096).contains(headerSize),
      (UInt32(LedgerFormat.recordSize)...4096).contains(recordSize), recordSize % 8 == 0, headerSize % 8 == 0,
      UInt64(headerSize) <= size, count <= Self.word(bytes, at: Header.capacity)
    else { throw .absurd }
    self.headerSize = Int(headerSize)
    self.recordSize = Int(recordSize)
    pid = Int32(bitPattern: Self.half(bytes, at: Header.process))
    // The file cannot hold more records than its size allows.
    let room = (size - UInt64(headerSize)) / UInt64(recordSize)
    self.count = Int(min(count, room, UInt64(LedgerFormat.mostRecords)))
    withoutRoom = Self.word(bytes, at: Header.withoutRoom)
  }

  /// The contents of one record.
  enum Record: Hashable {
    /// The record is unused.
    case free
    /// The record was being written.
    case changing
    case absurd
    /// The record is about a socket that is not wanted.
    case other
    case socket(cookie: UInt64, descriptor: Int32, PublishedSocket)
  }

  /// Decodes a record from two reads of it. The record is a seqlock: it is consistent if both are equal and the count
  /// is even.
  /// - Parameters:
  ///   - bytes: The record, from the first read.
  ///   - again: The same record, from a second read after that.
  ///   - now: The time by `CLOCK_MONOTONIC`.
  ///   - names: The names that were found before, so that each is stored once.
  ///   - isWanted: Whether the socket of this cookie and descriptor is wanted. A ledger may have very many others, and
  ///     no name is made for them.
  static func record(
    _ bytes: ArraySlice<UInt8>, again: ArraySlice<UInt8>, now: UInt64, names: inout [[UInt8]: String],
    isWanted: (_ cookie: UInt64, _ descriptor: Int32) -> Bool = { _, _ in true }
  ) -> Record {
    guard bytes.count >= LedgerFormat.recordSize, bytes.count == again.count else { return .absurd }
    let cookie = word(bytes, at: Field.cookie)
    if cookie == 0, word(again, at: Field.cookie) == 0 { return .free }
    guard word(bytes, at: Field.sequence) % 2 == 0 else { return .changing }
    let descriptor = Int32(bitPattern: half(bytes, at: Field.descriptor))
    if !isWanted(cookie, descriptor) {
      let other = (word(again, at: Field.cookie), Int32(bitPattern: half(again, at: Field.descriptor)))
      if (cookie, descriptor) == other || !isWanted(other.0, other.1) { return .other }
    }
    guard bytes == again else { return .changing }
    let length = Int(byte(bytes, at: Field.nameLength))
    guard let phase = PublishedSocket.Phase(rawValue: byte(bytes, at: Field.phase)),
      LedgerFormat.Kind(rawValue: byte(bytes, at: Field.kind)) != nil, length <= LedgerFormat.nameLength
    else { return .absurd }
    let start = bytes.startIndex + Field.name
    // A copy: a slice would keep all the bytes of the read that it came with.
    let name = Array(bytes[start..<start + length])
    let file = names[name] ?? visible(name)
    names[name] = file
    var socket = PublishedSocket(file: file, line: half(bytes, at: Field.line), phase: phase)
    let opened = word(bytes, at: Field.opened)
    socket.opened = opened <= now ? opened : nil
    socket.input = PublishedSocket.Wait(word(bytes, at: Field.input))
    socket.output = PublishedSocket.Wait(word(bytes, at: Field.output))
    socket.intentEnds = word(bytes, at: Field.intentEnds)
    socket.intent = PublishedSocket.Intent(rawValue: byte(bytes, at: Field.intent))
    return .socket(cookie: cookie, descriptor: descriptor, socket)
  }

  // MARK: Integers in native byte order

  private static func byte(_ bytes: ArraySlice<UInt8>, at place: Int) -> UInt8 { bytes[bytes.startIndex + place] }

  private static func half(_ bytes: [UInt8], at place: Int) -> UInt32 { half(bytes[...], at: place) }
  private static func word(_ bytes: [UInt8], at place: Int) -> UInt64 { word(bytes[...], at: place) }

  private static func half(_ bytes: ArraySlice<UInt8>, at place: Int) -> UInt32 {
    unsafe bytes.withUnsafeBytes { unsafe $0.loadUnaligned(fromByteOffset: place, as: UInt32.self) }
  }
  private static func word(_ bytes: ArraySlice<UInt8>, at place: Int) -> UInt64 {
    unsafe bytes.withUnsafeBytes { unsafe $0.loadUnaligned(fromByteOffset: place, as: UInt64.self) }
  }
}
