import Glibc
import Peers

@testable import Fin

/// Reads a published ledger as another process would: by the layout that `LedgerFormat` documents, without sharing
/// its code.
struct LedgerReader {
  struct Record: Hashable {
    var cookie: UInt64
    var descriptor: Int32
    var opened: UInt64
    var input: UInt64
    var output: UInt64
    var intentEnds: UInt64
    var line: UInt32
    var kind: UInt8
    var phase: Phase?
    var intent: UInt8
    var file: String
  }

  let number: CInt

  init(_ number: CInt) { self.number = number }

  init?(_ ledger: Ledger) {
    guard let published = ledger.published else { return nil }
    number = published.number
  }

  private func bytes(_ count: Int, at place: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    let got = unsafe pread(number, &bytes, count, off_t(place))
    return Array(bytes.prefix(max(0, got)))
  }

  private static func number<N: FixedWidthInteger>(_ bytes: [UInt8], _ place: Int) -> N {
    unsafe bytes.withUnsafeBytes { unsafe $0.loadUnaligned(fromByteOffset: place, as: N.self) }
  }

  func half(_ place: Int) -> UInt32 { Self.number(bytes(4, at: place), 0) }
  func word(_ place: Int) -> UInt64 { Self.number(bytes(8, at: place), 0) }

  var capacity: Int { Int(word(24)) }
  var count: Int { Int(word(32)) }
  var size: Int {
    var status = stat()
    unsafe fstat(number, &status)
    return Int(status.st_size)
  }

  /// Returns every consistent record, and the number of slots that were being written.
  func look() -> (records: [Record], unsettled: Int) {
    var records: [Record] = []
    var unsettled = 0
    for slot in 0..<count {
      let first = bytes(128, at: (slot + 1) * 128)
      let second = bytes(128, at: (slot + 1) * 128)
      let sequence: UInt64 = Self.number(first, 0)
      guard first == second, sequence % 2 == 0 else {
        unsettled += 1
        continue
      }
      let cookie: UInt64 = Self.number(first, 8)
      if cookie == 0 { continue }
      records.append(
        Record(
          cookie: cookie, descriptor: Self.number(first, 20), opened: Self.number(first, 24),
          input: Self.number(first, 32), output: Self.number(first, 40), intentEnds: Self.number(first, 48),
          line: Self.number(first, 56), kind: first[60], phase: Phase(rawValue: first[61]), intent: first[62],
          file: String(decoding: first[64..<64 + Int(first[63])], as: UTF8.self)))
    }
    return (records, unsettled)
  }

  var records: [Record] { look().records }

  /// The record of a descriptor. Retries while the record is being written: its writer may have been preempted in
  /// the middle.
  subscript(descriptor: CInt) -> Record? {
    let deadline = Peers.Deadline.after(.seconds(20))
    while true {
      let (records, unsettled) = look()
      if unsettled == 0 || deadline.hasPassed { return records.first { $0.descriptor == descriptor } }
      usleep(100)
    }
  }
}
