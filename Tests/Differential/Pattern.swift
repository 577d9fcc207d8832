import Glibc

/// The bytes that are sent: lines of letters without repetition, so that a lost, duplicated or misplaced byte
/// is detected.
enum Pattern {
  private static let size = 1 << 20
  private static let bytes: [UInt8] = {
    var state: UInt32 = 12345
    return unsafe [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
      for index in 0..<size {
        state = state &* 1_664_525 &+ 1_013_904_223
        let letter = UInt8(97 + (state >> 16) % 26)
        unsafe buffer[index] = index % 43 == 42 ? 10 : letter
      }
      count = size
    }
  }()

  /// A part of the endless pattern.
  static func part(from start: Int, count: Int) -> [UInt8] {
    let start = start % (size / 2)
    return Array(bytes[start..<(start + count)])
  }

  /// The number of bytes before the next line end; `nil` if it is not within `count` bytes.
  static func lineLength(from start: Int, within count: Int) -> Int? {
    let length = (43 - start % 43 - 1 + 43) % 43
    return length < count ? length : nil
  }

  static func same(_ a: [UInt8], _ b: [UInt8]) -> Bool {
    guard a.count == b.count else { return false }
    return unsafe a.withUnsafeBytes { a in
      unsafe b.withUnsafeBytes { b in unsafe a.isEmpty ? true : memcmp(a.baseAddress!, b.baseAddress!, a.count) == 0 }
    }
  }
}
