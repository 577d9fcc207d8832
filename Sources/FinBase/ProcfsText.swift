/// Splits bytes into words at spaces, tabs and line ends, as in the files under `/proc`.
package struct Fields: Sequence, IteratorProtocol {
  private let bytes: ArraySlice<UInt8>
  private var position: Int

  package init(_ bytes: some Collection<UInt8>) {
    self.bytes = (bytes as? ArraySlice<UInt8>) ?? ArraySlice(bytes)
    position = self.bytes.startIndex
  }

  package var first: ArraySlice<UInt8>? {
    var copy = self
    return copy.next()
  }

  /// The bytes behind the last word that was returned, with the space before the next one.
  package var rest: ArraySlice<UInt8> { bytes[position...] }

  package mutating func next() -> ArraySlice<UInt8>? {
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
  @inlinable package init?(decimal bytes: some Collection<UInt8>) {
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
  @inlinable package init?(hexadecimal bytes: some Collection<UInt8>) {
    guard !bytes.isEmpty, bytes.count <= Self.bitWidth / 4 else { return nil }
    var value: Self = 0
    for byte in bytes {
      guard let digit = byte.hexadecimal else { return nil }
      value = value << 4 | Self(digit)
    }
    self = value
  }
}

extension UInt8 {
  @inlinable package var isDigit: Bool { self >= 48 && self <= 57 }
  @inlinable package var isLetter: Bool { (self | 0x20) >= 97 && (self | 0x20) <= 122 }

  /// The value of this character as a hexadecimal digit, or nil for any other character.
  @inlinable package var hexadecimal: UInt8? {
    if isDigit { return self - 48 }
    let lower = self | 0x20
    return lower >= 97 && lower <= 102 ? lower - 87 : nil
  }
}

extension Sequence<UInt8> {
  /// Whether the bytes begin with this text.
  @inlinable package func begins(with text: StaticString) -> Bool {
    unsafe starts(with: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }
}

/// The number in brackets in the target of a link below `/proc`: `socket:[123]`, `net:[4026531840]`.
/// - Parameters:
///   - target: The target of the link.
///   - prefix: The text up to and including the opening bracket.
/// - Returns: nil for a link with another prefix, or without a number.
@inlinable
package func linkedInode(_ target: UnsafeRawBufferPointer, after prefix: StaticString) -> UInt32? {
  let start = prefix.utf8CodeUnitCount
  guard target.count > start + 1, unsafe target[target.count - 1] == UInt8(ascii: "]"),
    unsafe target.begins(with: prefix)
  else { return nil }
  return unsafe UInt32(decimal: UnsafeRawBufferPointer(rebasing: target[start..<target.count - 1]))
}
