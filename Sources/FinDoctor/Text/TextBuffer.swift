internal import FinBase

/// Text under construction, as bytes, so that a table of a hundred thousand lines needs no string for each cell.
package struct TextBuffer: Sendable {
  /// The UTF-8 bytes written so far.
  package var bytes: [UInt8] = []

  /// Creates an empty buffer.
  package init() {}

  /// The text so far.
  package var text: String { String(decoding: bytes, as: UTF8.self) }

  /// The number of bytes.
  package var count: Int { bytes.count }

  /// Appends a text unchanged.
  package mutating func write(_ text: String) { bytes.append(contentsOf: text.utf8) }

  /// Appends a literal without making a string of it.
  package mutating func write(literal text: StaticString) {
    unsafe bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  /// Writes a key of a JSON object: `,"name":`.
  /// - Parameters:
  ///   - key: The key, which must need no escaping.
  ///   - isFirst: Whether it is the first key of its object, so that no comma precedes it.
  package mutating func write(key: StaticString, isFirst: Bool) {
    let length = key.utf8CodeUnitCount
    guard length <= ShortText.capacity - 4 else {
      write(isFirst ? "\"\(key)\":" : ",\"\(key)\":")
      return
    }
    var line = ShortText()
    if !isFirst { line.put(UInt8(ascii: ",")) }
    line.put(UInt8(ascii: "\""))
    line.put(key)
    line.put(UInt8(ascii: "\""))
    line.put(UInt8(ascii: ":"))
    append(line)
  }

  /// Writes one ASCII character.
  package mutating func write(ascii character: Unicode.Scalar) { bytes.append(UInt8(ascii: character)) }

  /// Writes a number in decimal.
  package mutating func write(decimal number: UInt64) {
    if number < 10 {
      bytes.append(48 + UInt8(truncatingIfNeeded: number))
    } else {
      var line = ShortText()
      line.put(decimal: number)
      append(line)
    }
  }

  /// Writes a number in decimal.
  @inlinable public mutating func write(decimal number: some UnsignedInteger) { write(decimal: UInt64(number)) }

  /// Writes a number in hexadecimal, without leading zeros.
  package mutating func write(hexadecimal number: UInt64) {
    var line = ShortText()
    line.put(hexadecimal: number)
    append(line)
  }

  /// Writes this number of spaces.
  package mutating func write(spaces count: Int) {
    let many: StaticString = "                                                                "
    var rest = count
    while rest > 0 {
      let some = min(rest, many.utf8CodeUnitCount)
      unsafe bytes.append(contentsOf: UnsafeBufferPointer(start: many.utf8Start, count: some))
      rest -= some
    }
  }

  mutating func append(_ line: ShortText) {
    unsafe withUnsafeBytes(of: line.bytes) { bytes in
      unsafe self.bytes.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes[..<line.count]))
    }
  }
}
