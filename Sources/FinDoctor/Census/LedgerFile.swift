/// The bytes of a published ledger. Somebody else wrote them, and may be writing them now: no number in them is believed.
///
/// The layout is described where it is written, in Fin's `PublishedLedger`.
struct LedgerFile {
  /// The version that is known here.
  static let version: UInt32 = 1
  /// The least that a record of this version has; a later library may add to its end.
  static let leastRecord = 128
  /// No program has more descriptors than this, unless its limit was raised beyond what Linux allows by default.
  static let mostRecords = 1 << 20
  static let nameLength = 64

  var headerSize: Int
  var recordSize: Int
  var pid: Int32
  var count: Int
  /// Sockets that the program could not write down.
  var withoutRoom: UInt64

  enum Failure: Error, Hashable {
    /// It is not a ledger at all.
    case foreign
    /// It has a version that is not known here.
    case version(UInt32)
    /// Its numbers make no sense.
    case absurd
  }

  /// - Parameters:
  ///   - bytes: The beginning of the file.
  ///   - size: How long the file is.
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
    // What the file has no room for cannot be there.
    let room = (size - UInt64(headerSize)) / UInt64(recordSize)
    self.count = Int(min(count, room, UInt64(Self.mostRecords)))
    withoutRoom = Self.word(bytes, at: 40)
  }

  /// What one record says.
  enum Record: Hashable {
    /// No socket is in this place.
    case free
    /// It was being written.
    case changing
    case absurd
    case socket(cookie: UInt64, descriptor: Int32, PublishedSocket)
  }

  /// - Parameters:
  ///   - bytes: A record, as it was read.
  ///   - again: The same, read a second time after that.
  ///   - now: `CLOCK_MONOTONIC`.
  ///   - names: Names that were met already, so that each is kept once.
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
    socket.purposeEnds = word(bytes, at: 48)
    socket.purpose = PublishedSocket.Purpose(rawValue: byte(bytes, at: 62))
    return .socket(cookie: cookie, descriptor: Int32(bitPattern: half(bytes, at: 20)), socket)
  }

  // MARK: Numbers in the machine's order

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
