/// The source text of an address parser: its bytes, and refusals that carry the whole text and a position in it.
///
/// Parsers take a range of the source instead of a substring, so that the offset of an error always counts from the
/// start of the user's text.
struct AddressText {
  let text: String
  let bytes: [UInt8]

  init(_ text: String) {
    self.text = text
    bytes = Array(text.utf8)
  }

  var all: Range<Int> { 0..<bytes.count }

  func refusal(at offset: Int, _ reason: String) -> AddressError {
    AddressError(text: text, offset: offset, reason: reason)
  }

  /// A refusal of the character at `offset`. Its reason begins with the printable form of that character.
  func refusal(ofCharacterAt offset: Int, _ reason: String) -> AddressError {
    var end = offset + 1
    while end < bytes.count, bytes[end] & 0xC0 == 0x80 { end += 1 }
    return refusal(at: offset, "\"\(printable(bytes[offset..<end]))\" \(reason)")
  }

  func first(_ byte: UInt8, in range: Range<Int>) -> Int? { bytes[range].firstIndex(of: byte) }

  func count(_ byte: UInt8, in range: Range<Int>) -> Int {
    bytes[range].reduce(0) { $1 == byte ? $0 + 1 : $0 }
  }

  func hasPrefix(_ prefix: StaticString, in range: Range<Int>) -> Bool {
    let wanted = prefix.description.utf8
    return bytes[range].starts(with: wanted)
  }

  func string(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }

  /// The value of a decimal number without sign or leading zero; nil if the text is not such a number or the value is
  /// above the limit.
  func decimal(in range: Range<Int>, upTo limit: UInt32) -> UInt32? {
    guard !range.isEmpty, range.count <= 10 else { return nil }
    if bytes[range.lowerBound] == UInt8(ascii: "0"), range.count > 1 { return nil }
    var value: UInt64 = 0
    for byte in bytes[range] {
      guard byte.isDigit else { return nil }
      value = value * 10 + UInt64(byte - UInt8(ascii: "0"))
    }
    return value <= UInt64(limit) ? UInt32(value) : nil
  }
}

/// A count as text: an English word up to ten, digits above.
func inWords(_ count: Int) -> String {
  let words = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
  return words.indices.contains(count) ? words[count] : String(count)
}

extension UInt8 {
  var isDigit: Bool { self >= UInt8(ascii: "0") && self <= UInt8(ascii: "9") }
  var isLetter: Bool { (self | 0x20) >= UInt8(ascii: "a") && (self | 0x20) <= UInt8(ascii: "z") }

  /// The value of this character as a hexadecimal digit, or nil for any other character.
  var hexadecimal: UInt8? {
    if isDigit { return self - UInt8(ascii: "0") }
    let lower = self | 0x20
    return lower >= UInt8(ascii: "a") && lower <= UInt8(ascii: "f") ? lower - UInt8(ascii: "a") + 10 : nil
  }
}
