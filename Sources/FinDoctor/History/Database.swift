internal import CSQLite
internal import FinBase

/// One open SQLite file. It belongs to one thread.
///
/// This is the only code that calls SQLite, which is looked for when the program runs.
@safe final class Database {
  /// The reason why a call of SQLite failed.
  struct Failure: Error, Hashable, Sendable, CustomStringConvertible {
    /// The extended result code of SQLite.
    let code: Int32
    /// The reason in words, escaped for printing.
    let description: String

    /// Whether there is no room for more on the disk.
    var isFull: Bool { code & 0xff == 13 }
    /// Whether the file is damaged, or no file of SQLite.
    var isDamaged: Bool { [11, 26].contains(code & 0xff) }
  }

  /// How a file is opened.
  enum Access { case reading, writing, creating }

  /// The reason why there is no SQLite, as a sentence; nil if there is one.
  static var absence: String? {
    unsafe fin_sqlite_load().map { "the history needs SQLite, and \(unsafe String(cString: $0))" }
  }

  private let handle: UnsafeMutableRawPointer

  /// Opens a file.
  /// - Throws: A ``Failure``, also where there is no SQLite.
  init(_ path: String, _ access: Access) throws(Failure) {
    if let absence = Self.absence { throw Failure(code: -1, description: absence) }
    // SQLITE_OPEN_READONLY, READWRITE, CREATE; NOMUTEX, because it stays in one thread.
    let flags: Int32 =
      switch access {
      case .reading: 0x1
      case .writing: 0x2
      case .creating: 0x2 | 0x4
      }
    var handle: UnsafeMutableRawPointer?
    let code = unsafe fin_sqlite_open(path, &handle, flags | 0x8000)
    guard code == 0, let handle = unsafe handle else {
      let words = unsafe fin_sqlite_errstr(code).map { unsafe String(cString: $0) } ?? "error \(code)"
      unsafe _ = fin_sqlite_close(handle)
      throw Failure(code: code, description: visible(words))
    }
    unsafe self.handle = handle
    unsafe _ = fin_sqlite_busy_timeout(handle, 5000)
  }

  deinit { unsafe _ = fin_sqlite_close(handle) }

  /// The failure of the last call.
  fileprivate var failure: Failure {
    let words = unsafe fin_sqlite_errmsg(handle).map { unsafe String(cString: $0) } ?? "error"
    return Failure(code: unsafe fin_sqlite_extended_errcode(handle), description: visible(words, limit: 200))
  }

  /// Executes statements that have no result.
  func execute(_ text: String) throws(Failure) {
    if unsafe fin_sqlite_exec(handle, text) != 0 { throw failure }
  }

  /// Compiles a statement, to be run any number of times.
  func prepare(_ text: String) throws(Failure) -> Statement {
    var statement: UnsafeMutableRawPointer?
    guard unsafe fin_sqlite_prepare(handle, text, &statement) == 0, let statement = unsafe statement else {
      throw failure
    }
    return unsafe Statement(statement, of: self)
  }

  /// The number of the last row that was inserted.
  var lastRow: Int64 { unsafe fin_sqlite_last_insert_rowid(handle) }

  /// Runs `body` in one transaction, which has no effect if it fails.
  func transaction(_ body: () throws(Failure) -> Void) throws(Failure) {
    try execute("BEGIN IMMEDIATE")
    do throws(Failure) {
      try body()
      try execute("COMMIT")
    } catch {
      // SQLite has already gone back after some failures, and then this fails too.
      try? execute("ROLLBACK")
      throw error
    }
  }

  /// A compiled statement.
  @safe final class Statement {
    private let handle: UnsafeMutableRawPointer
    /// Kept open as long as it has statements.
    private let database: Database

    fileprivate init(_ handle: UnsafeMutableRawPointer, of database: Database) {
      unsafe self.handle = handle
      self.database = database
    }

    deinit { unsafe _ = fin_sqlite_finalize(handle) }

    /// Runs it, with these values in the places of its question marks, and calls `body` with each row of the result.
    func run(_ values: [Value], _ body: (Row) throws(Failure) -> Void = { _ in }) throws(Failure) {
      defer { unsafe _ = fin_sqlite_reset(handle) }
      for (place, value) in values.enumerated() {
        guard bind(value, at: Int32(place + 1)) == 0 else { throw database.failure }
      }
      while true {
        switch unsafe fin_sqlite_step(handle) {
        case 100: try unsafe body(Row(handle))
        case 101: return
        default: throw database.failure
        }
      }
    }

    private func bind(_ value: Value, at place: Int32) -> Int32 {
      switch value {
      case .null: return unsafe fin_sqlite_bind_null(handle, place)
      case .number(let number): return unsafe fin_sqlite_bind_int64(handle, place, number)
      case .text(var text):
        return text.withUTF8 { bytes in
          unsafe bytes.withMemoryRebound(to: CChar.self) {
            unsafe fin_sqlite_bind_text(handle, place, $0.baseAddress ?? UnsafePointer(bitPattern: 1)!, Int32($0.count))
          }
        }
      case .bytes(let bytes):
        return unsafe bytes.withUnsafeBytes {
          let start = unsafe $0.baseAddress ?? UnsafeRawPointer(bitPattern: 1)!
          return unsafe fin_sqlite_bind_blob(handle, place, start, Int32($0.count))
        }
      }
    }
  }

  /// A value of a statement or of a row.
  enum Value: Hashable, Sendable {
    case null
    case number(Int64)
    case text(String)
    case bytes([UInt8])

    /// A number, or null.
    static func optional(_ number: Int64?) -> Value { number.map { .number($0) } ?? .null }
    /// The number of these bits; SQLite has signed numbers only.
    static func bits(_ number: UInt64) -> Value { .number(Int64(bitPattern: number)) }
  }

  /// One row of a result, valid until the next one.
  @safe struct Row {
    private let handle: UnsafeMutableRawPointer

    fileprivate init(_ handle: UnsafeMutableRawPointer) { unsafe self.handle = handle }

    /// A number; 0 for null and for what is no number.
    func number(_ column: Int32) -> Int64 { unsafe fin_sqlite_column_int64(handle, column) }
    func isNull(_ column: Int32) -> Bool { unsafe fin_sqlite_column_type(handle, column) == 5 }
    func optional(_ column: Int32) -> Int64? { isNull(column) ? nil : number(column) }
    /// A moment in milliseconds, or the number of a look or of a row. It is cut to the years from 1970 to 2248, whose
    /// nanoseconds still are a number of 64 bits: a file may hold anything.
    func bounded(_ column: Int32) -> Int64 { min(max(number(column), 0), 1 << 43) }
    /// A number of a smaller type, cut to its range: a file may hold anything.
    func clamped<Number: FixedWidthInteger>(_ column: Int32) -> Number { Number(clamping: number(column)) }
    /// The number of a process; 0 where the file has one below zero, which no census may have.
    func pid(_ column: Int32) -> Int32 { max(0, clamped(column)) }
    /// A text that is safe to print: a file may come from anywhere.
    func text(_ column: Int32) -> String { SafeText.checked(bytes(column)) }

    func bytes(_ column: Int32) -> [UInt8] {
      guard let start = unsafe fin_sqlite_column_blob(handle, column) else { return [] }
      let count = unsafe Int(fin_sqlite_column_bytes(handle, column))
      return unsafe Array(UnsafeRawBufferPointer(start: start, count: count))
    }
  }
}

/// Text of a file that was escaped when it was written.
enum SafeText {
  /// The text; what is not safe to print in it is escaped, as in a file that another program has written.
  static func checked(_ bytes: [UInt8]) -> String {
    let parts = bytes.split(separator: UInt8(ascii: "\\"), omittingEmptySubsequences: false)
    return parts.map { visible($0) }.joined(separator: "\\")
  }
}

/// zlib, which is looked for when the program runs too.
enum Deflate {
  /// Whether there is a zlib.
  static var isThere: Bool { unsafe fin_zlib_load() == nil }

  /// The bytes compressed; nil without zlib.
  static func compressed(_ bytes: [UInt8]) -> [UInt8]? {
    guard isThere else { return nil }
    var room = fin_zlib_bound(UInt64(bytes.count))
    var packed = [UInt8](repeating: 0, count: Int(room))
    let code = unsafe packed.withUnsafeMutableBytes { target in
      unsafe bytes.withUnsafeBytes { source in
        let start = unsafe source.baseAddress ?? UnsafeRawPointer(target.baseAddress!)
        return unsafe fin_zlib_compress(target.baseAddress!, &room, start, UInt64(source.count), 4)
      }
    }
    guard code == 0 else { return nil }
    packed.removeLast(packed.count - Int(room))
    return packed
  }

  /// The bytes as they were; nil without zlib, or if they are not of this size.
  static func expanded(_ bytes: [UInt8], to size: Int) -> [UInt8]? {
    guard isThere, size >= 0, size <= CensusRecord.mostBytes, !bytes.isEmpty else { return nil }
    var room = UInt64(max(1, size))
    var whole = [UInt8](repeating: 0, count: Int(room))
    let code = unsafe whole.withUnsafeMutableBytes { target in
      unsafe bytes.withUnsafeBytes { source in
        unsafe fin_zlib_uncompress(target.baseAddress!, &room, source.baseAddress!, UInt64(source.count))
      }
    }
    guard code == 0, room == UInt64(size) else { return nil }
    return size == 0 ? [] : whole
  }
}
