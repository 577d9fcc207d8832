/// A text being read as an address: its bytes, and refusals that name the whole text and the place in it.
///
/// Readers take a range of it rather than a piece cut out, so that an error deep inside still counts from the start of
/// what the person wrote.
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

  /// A refusal of the character at the offset, which the reason calls by its printable form.
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

  /// A decimal number without sign or leading zero, or nil when it is no such number or above the limit.
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

/// A number below eleven in words, as a person would say it.
func inWords(_ count: Int) -> String {
  let words = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
  return words.indices.contains(count) ? words[count] : String(count)
}

extension UInt8 {
  var isDigit: Bool { self >= UInt8(ascii: "0") && self <= UInt8(ascii: "9") }
  var isLetter: Bool { (self | 0x20) >= UInt8(ascii: "a") && (self | 0x20) <= UInt8(ascii: "z") }

  /// What it is worth as a hexadecimal digit.
  var hexadecimal: UInt8? {
    if isDigit { return self - UInt8(ascii: "0") }
    let lower = self | 0x20
    return lower >= UInt8(ascii: "a") && lower <= UInt8(ascii: "f") ? lower - UInt8(ascii: "a") + 10 : nil
  }
}
