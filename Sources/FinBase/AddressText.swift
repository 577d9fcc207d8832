/// The source text of an address parser: its bytes, and refusals that carry the whole text and a position in it.
///
/// Parsers take a range of the source instead of a substring, so that the offset of an error always counts from the
/// start of the user's text.
package struct AddressText: Sendable {
  package let text: String
  package let bytes: [UInt8]

  package init(_ text: String) {
    self.text = text
    bytes = Array(text.utf8)
  }

  package var all: Range<Int> { 0..<bytes.count }

  package func refusal(at offset: Int, _ reason: String) -> AddressRefusal {
    AddressRefusal(text: text, offset: offset, reason: reason)
  }

  /// A refusal of the character at `offset`. Its reason begins with the printable form of that character.
  package func refusal(ofCharacterAt offset: Int, _ reason: String) -> AddressRefusal {
    var end = offset + 1
    while end < bytes.count, bytes[end] & 0xC0 == 0x80 { end += 1 }
    return refusal(at: offset, "\"\(printable(bytes[offset..<end]))\" \(reason)")
  }

  package func first(_ byte: UInt8, in range: Range<Int>) -> Int? { bytes[range].firstIndex(of: byte) }

  package func count(_ byte: UInt8, in range: Range<Int>) -> Int {
    bytes[range].reduce(0) { $1 == byte ? $0 + 1 : $0 }
  }

  package func hasPrefix(_ prefix: StaticString, in range: Range<Int>) -> Bool { bytes[range].begins(with: prefix) }

  package func string(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }

  /// The value of a decimal number without sign or leading zero; nil if the text is not such a number or the value is
  /// above the limit.
  package func decimal(in range: Range<Int>, upTo limit: UInt32) -> UInt32? {
    if range.count > 1, bytes[range.lowerBound] == UInt8(ascii: "0") { return nil }
    return UInt32(decimal: bytes[range]).flatMap { $0 <= limit ? $0 : nil }
  }
}

/// The refusal of a text as an address: the text, the position in it in bytes of UTF-8, and the reason with its remedy,
/// as a phrase without a full stop.
package struct AddressRefusal: Error, Hashable, Sendable, CustomStringConvertible {
  package let text: String
  package let offset: Int
  package let reason: String

  /// - Parameter offset: a value outside the text is moved to its nearer end.
  package init(text: String, offset: Int, reason: String) {
    self.text = text
    self.offset = min(max(0, offset), text.utf8.count)
    self.reason = reason
  }

  /// One line, such as `address "1.2.3.4.5:80": five numbers where four belong, at character 8`. The character number
  /// counts Unicode scalars from zero. A text longer than 256 bytes is cut.
  package var description: String {
    let before = String(decoding: text.utf8.prefix(offset), as: UTF8.self).unicodeScalars.count
    return "address \"\(printable(text.utf8, limit: 256))\": \(reason), at character \(before)"
  }
}

/// A count as text: an English word up to ten, digits above.
func inWords(_ count: Int) -> String {
  let words = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
  return words.indices.contains(count) ? words[count] : String(count)
}
