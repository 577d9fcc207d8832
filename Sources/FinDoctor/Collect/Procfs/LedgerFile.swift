/// The bytes of a published ledger. Another program wrote them and may be writing them now, so every number is checked.
///
/// The layout is described at its writer, Fin's `PublishedLedger`.
struct LedgerFile {
  /// The version that this reader supports.
  static let version: UInt32 = 1
  /// The minimum size of a record of this version; a later library may append fields.
  static let leastRecord = 128
  /// The most records that are read. No program has more descriptors than this, unless its limit was raised beyond what
  /// Linux allows by default.
  static let mostRecords = 1 << 20
  static let nameLength = 64

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
    guard bytes.count >= 48, bytes.prefix(8).elementsEqual("fin-ldgr".utf8) else { throw .foreign }
    let version = Self.half(bytes, at: 8)
    guard version == Self.version else { throw .version(version) }
    let headerSize = Self.half(bytes, at: 12)
    let recordSize = Self.half(bytes, at: 16)
    let count = Self.word(bytes, at: 32)
    guard (48...4096).contains(headerSize), (UInt32(Self.leastRecord)...4096).contains(recordSize),
      recordSize % 8 == 0, headerSize % 8 == 0, UInt64(headerSize) <= size, count <= Self.word(bytes, at: 24)
    else { throw .absurd }
    self.headerSize = Int(headerSize)
    self.recordSize = Int(recordSize)
    pid = Int32(bitPattern: Self.half(bytes, at: 20))
    // The file cannot hold more records than its size allows.
    let room = (size - UInt64(headerSize)) / UInt64(recordSize)
    self.count = Int(min(count, room, UInt64(Self.mostRecords)))
    withoutRoom = Self.word(bytes, at: 40)
  }

  /// The contents of one record.
  enum Record: Hashable {
    /// The record is unused.
    case free
    /// The record was being written.
    case changing
    case absurd
    case socket(cookie: UInt64, descriptor: Int32, PublishedSocket)
  }

  /// Decodes a record from two reads of it. The record is a seqlock: it is consistent if both are equal and the count
  /// is even.
  /// - Parameters:
  ///   - bytes: The record, from the first read.
  ///   - again: The same record, from a second read after that.
  ///   - now: The time by `CLOCK_MONOTONIC`.
  ///   - names: The names that were found before, so that each is stored once.
  static func record(
    _ bytes: ArraySlice<UInt8>, again: ArraySlice<UInt8>, now: UInt64, names: inout [ArraySlice<UInt8>: String]
  ) -> Record {
    guard bytes.count >= leastRecord, bytes.count == again.count else { return .absurd }
    let cookie = word(bytes, at: 8)
    if cookie == 0, word(again, at: 8) == 0 { return .free }
    guard word(bytes, at: 0) % 2 == 0, bytes == again else { return .changing }
    let length = Int(byte(bytes, at: 63))
    guard let phase = PublishedSocket.Phase(rawValue: byte(bytes, at: 61)), (1...4).contains(byte(bytes, at: 60)),
      length <= nameLength
    else { return .absurd }
    let start = bytes.startIndex + 64
    let name = bytes[start..<start + length]
    let file = names[name] ?? visible(name)
    names[name] = file
    var socket = PublishedSocket(file: file, line: half(bytes, at: 56), phase: phase)
    let opened = word(bytes, at: 24)
    socket.opened = opened <= now ? opened : nil
    socket.input = PublishedSocket.Wait(word(bytes, at: 32))
    socket.output = PublishedSocket.Wait(word(bytes, at: 40))
    socket.intentEnds = word(bytes, at: 48)
    socket.intent = PublishedSocket.Intent(rawValue: byte(bytes, at: 62))
    return .socket(cookie: cookie, descriptor: Int32(bitPattern: half(bytes, at: 20)), socket)
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
