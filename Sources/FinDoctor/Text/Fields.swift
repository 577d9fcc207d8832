/// Splits bytes into words at spaces, tabs and line ends, as in the files under `/proc`.
struct Fields: Sequence, IteratorProtocol {
  private let bytes: ArraySlice<UInt8>
  private var position: Int

  init(_ bytes: some Collection<UInt8>) {
    self.bytes = (bytes as? ArraySlice<UInt8>) ?? ArraySlice(bytes)
    position = self.bytes.startIndex
  }

  var first: ArraySlice<UInt8>? {
    var copy = self
    return copy.next()
  }

  mutating func next() -> ArraySlice<UInt8>? {
    while position < bytes.endIndex, Self.isSpace(bytes[position]) { position += 1 }
    guard position < bytes.endIndex else { return nil }
    let start = position
    while position < bytes.endIndex, !Self.isSpace(bytes[position]) { position += 1 }
    return bytes[start..<position]
  }

  private static func isSpace(_ byte: UInt8) -> Bool { byte == 32 || (9...13).contains(byte) }
}

extension FixedWidthInteger {
  /// Parses a number that consists of decimal digits only; nil if it does not fit.
  init?(decimal bytes: some Collection<UInt8>) {
    guard !bytes.isEmpty else { return nil }
    var value: Self = 0
    for byte in bytes {
      guard byte >= 48, byte <= 57 else { return nil }
      let (scaled, tooMuch) = value.multipliedReportingOverflow(by: 10)
      let (sum, over) = scaled.addingReportingOverflow(Self(byte - 48))
      guard !tooMuch, !over else { return nil }
      value = sum
    }
    self = value
  }

  /// Parses a number that consists of hexadecimal digits only; nil if it does not fit.
  init?(hexadecimal bytes: some Collection<UInt8>) {
    guard !bytes.isEmpty, bytes.count <= Self.bitWidth / 4 else { return nil }
    var value: Self = 0
    for byte in bytes {
      let digit: UInt8
      switch byte {
      case 48...57: digit = byte - 48
      case 97...102: digit = byte - 87
      case 65...70: digit = byte - 55
      default: return nil
      }
      value = value << 4 | Self(digit)
    }
    self = value
  }
}

extension Sequence<UInt8> {
  /// Whether the bytes begin with this text.
  func begins(with text: StaticString) -> Bool {
    unsafe starts(with: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }
}
