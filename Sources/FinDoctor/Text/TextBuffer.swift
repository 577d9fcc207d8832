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

/// A few characters, assembled before they are appended: a number, or an address with its port.
///
/// Each append to an array checks its capacity and whether the storage is shared. A long listing would do that seven
/// million times.
struct ShortText {
  /// More than the longest address needs: `[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535`.
  static let capacity = 64
  var bytes = InlineArray<64, UInt8>(repeating: 0)
  var count = 0

  mutating func put(_ byte: UInt8) {
    bytes[count] = byte
    count += 1
  }

  mutating func put(_ text: StaticString) {
    for index in 0..<text.utf8CodeUnitCount { unsafe put(text.utf8Start[index]) }
  }

  mutating func put(decimal number: UInt64) {
    // Counts the digits first, so that each can be written to its final position.
    var digits = 1
    var bound: UInt64 = 10
    while digits < 20, number >= bound {
      digits += 1
      bound &*= 10
    }
    var rest = number
    for place in 0..<digits {
      let (quotient, digit) = rest.quotientAndRemainder(dividingBy: 10)
      bytes[count + digits - 1 - place] = 48 + UInt8(truncatingIfNeeded: digit)
      rest = quotient
    }
    count += digits
  }

  mutating func put(hexadecimal number: UInt64) {
    var shift = number == 0 ? 0 : (63 - number.leadingZeroBitCount) & ~3
    while shift >= 0 {
      let digit = UInt8(truncatingIfNeeded: number >> UInt64(shift)) & 15
      put(digit < 10 ? 48 + digit : 87 + digit)
      shift -= 4
    }
  }
}
