internal import FinBase

/// A JSON text (RFC 8259) that was checked once and is then read in place. A file of a hundred thousand sockets needs
/// no value in memory for each number in it.
package struct JSONText: Sendable {
  /// A mistake in a text.
  package struct Fault: Error, Hashable, Sendable, CustomStringConvertible {
    /// The number of the line, and of the byte in it, from 1.
    package var line: Int
    package var column: Int
    /// The mistake, as a phrase.
    package var problem: String

    package var description: String { "line \(line), column \(column): \(problem)" }
  }

  /// The limit on the nesting of arrays and objects.
  static let mostDepth = 32

  let bytes: [UInt8]
  /// The position of the outermost value.
  package private(set) var root = 0

  /// Checks a text.
  /// - Throws: A ``Fault`` for the first mistake.
  package init(_ bytes: [UInt8]) throws(Fault) {
    self.bytes = bytes
    var checking = Checking(text: self)
    do throws(Mistake) {
      root = checking.afterSpace(0)
      let end = checking.afterSpace(try checking.value(at: root, depth: 0))
      guard end == bytes.count else { throw Mistake(end, "text follows the value") }
    } catch {
      throw fault(at: error.position, error.problem)
    }
  }

  /// Makes the error for a position in the text.
  func fault(at position: Int, _ problem: String) -> Fault {
    let before = bytes.prefix(position)
    let line = before.count { $0 == UInt8(ascii: "\n") } + 1
    let start = before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
    return Fault(line: line, column: position - start + 1, problem: problem)
  }

  fileprivate struct Mistake: Error {
    var position: Int
    var problem: String

    init(_ position: Int, _ problem: String) {
      self.position = position
      self.problem = problem
    }
  }
}

/// Checking a text from its beginning to its end.
private struct Checking {
  let text: JSONText

  private subscript(position: Int) -> UInt8? { position < text.bytes.count ? text.bytes[position] : nil }

  func afterSpace(_ position: Int) -> Int { text.afterSpace(position) }

  /// Checks the value at a position, and returns its end.
  mutating func value(at position: Int, depth: Int) throws(JSONText.Mistake) -> Int {
    guard let first = self[position] else {
      throw JSONText.Mistake(position, "the text ends where a value is expected")
    }
    switch first {
    case UInt8(ascii: "{"): return try object(at: position, depth: depth + 1)
    case UInt8(ascii: "["): return try array(at: position, depth: depth + 1)
    case UInt8(ascii: "\""): return try string(at: position)
    case UInt8(ascii: "t"): return try word("true", at: position)
    case UInt8(ascii: "f"): return try word("false", at: position)
    case UInt8(ascii: "n"): return try word("null", at: position)
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number(at: position)
    default: throw JSONText.Mistake(position, "a value is expected")
    }
  }

  private func word(_ word: StaticString, at position: Int) throws(JSONText.Mistake) -> Int {
    let end = position + word.utf8CodeUnitCount
    guard end <= text.bytes.count, text.bytes[position..<end].begins(with: word) else {
      throw JSONText.Mistake(position, "a value is expected")
    }
    return end
  }

  private func number(at position: Int) throws(JSONText.Mistake) -> Int {
    var place = position
    if self[place] == UInt8(ascii: "-") { place += 1 }
    func digits() throws(JSONText.Mistake) {
      let first = place
      while let byte = self[place], byte >= 48, byte <= 57 { place += 1 }
      if place == first { throw JSONText.Mistake(place, "a digit is expected") }
    }
    if self[place] == UInt8(ascii: "0") { place += 1 } else { try digits() }
    if self[place] == UInt8(ascii: ".") {
      place += 1
      try digits()
    }
    if self[place] == UInt8(ascii: "e") || self[place] == UInt8(ascii: "E") {
      place += 1
      if self[place] == UInt8(ascii: "+") || self[place] == UInt8(ascii: "-") { place += 1 }
      try digits()
    }
    return place
  }

  private func string(at position: Int) throws(JSONText.Mistake) -> Int {
    var place = position + 1
    var isPlain = true
    while let byte = self[place], byte != UInt8(ascii: "\"") {
      if byte < 0x20 { throw JSONText.Mistake(place, "a control character in a string") }
      if byte >= 0x80 { isPlain = false }
      if byte == UInt8(ascii: "\\") {
        place += 1
        switch self[place] {
        case UInt8(ascii: "u"):
          let digits = text.bytes[min(place + 1, text.bytes.count)..<min(place + 5, text.bytes.count)]
          guard digits.count == 4, UInt16(hexadecimal: digits) != nil else {
            throw JSONText.Mistake(place, "four hexadecimal digits are expected")
          }
          place += 4
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
          UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
          break
        default: throw JSONText.Mistake(place, "no such escape in a string")
        }
      }
      place += 1
    }
    guard self[place] != nil else { throw JSONText.Mistake(position, "the string does not end") }
    guard isPlain || String(validating: text.bytes[position..<place], as: UTF8.self) != nil else {
      throw JSONText.Mistake(position, "the string is not UTF-8")
    }
    return place + 1
  }

  private mutating func array(at position: Int, depth: Int) throws(JSONText.Mistake) -> Int {
    try check(depth, position)
    var place = afterSpace(position + 1)
    if self[place] == UInt8(ascii: "]") { return place + 1 }
    while true {
      place = afterSpace(try value(at: place, depth: depth))
      if self[place] == UInt8(ascii: "]") { return place + 1 }
      guard self[place] == UInt8(ascii: ",") else { throw JSONText.Mistake(place, "a comma or ] is expected") }
      place = afterSpace(place + 1)
    }
  }

  private mutating func object(at position: Int, depth: Int) throws(JSONText.Mistake) -> Int {
    try check(depth, position)
    var place = afterSpace(position + 1)
    if self[place] == UInt8(ascii: "}") { return place + 1 }
    var keys: Set<ArraySlice<UInt8>> = []
    while true {
      guard self[place] == UInt8(ascii: "\"") else { throw JSONText.Mistake(place, "a key is expected") }
      let end = try string(at: place)
      guard keys.insert(text.bytes[place..<end]).inserted else {
        throw JSONText.Mistake(place, "the key stands in the object twice")
      }
      place = afterSpace(end)
      guard self[place] == UInt8(ascii: ":") else { throw JSONText.Mistake(place, "a colon is expected") }
      place = afterSpace(try value(at: afterSpace(place + 1), depth: depth))
      if self[place] == UInt8(ascii: "}") { return place + 1 }
      guard self[place] == UInt8(ascii: ",") else { throw JSONText.Mistake(place, "a comma or } is expected") }
      place = afterSpace(place + 1)
    }
  }

  private func check(_ depth: Int, _ position: Int) throws(JSONText.Mistake) {
    if depth > JSONText.mostDepth { throw JSONText.Mistake(position, "nested more than \(JSONText.mostDepth) deep") }
  }
}

/// Reading the checked text. A position is that of a value's first byte.
extension JSONText {
  /// A key of an object, as its raw bytes, and the position of its value.
  package struct Member {
    var key: Range<Int>
    package var value: Int
  }

  /// The key of a member; nil if a surrogate in it has no counterpart.
  package func key(of member: Member) -> String? { string(at: member.key.lowerBound - 1) }

  fileprivate func afterSpace(_ position: Int) -> Int {
    var place = position
    while place < bytes.count, [0x20, 0x0A, 0x0D, 0x09].contains(bytes[place]) { place += 1 }
    return place
  }

  /// The members of the object at a position; nil if there is no object.
  package func members(at position: Int) -> [Member]? {
    guard bytes[position] == UInt8(ascii: "{") else { return nil }
    var all: [Member] = []
    var place = afterSpace(position + 1)
    while bytes[place] != UInt8(ascii: "}") {
      let end = self.end(of: place)
      let value = afterSpace(afterSpace(end) + 1)
      all.append(Member(key: place + 1..<end - 1, value: value))
      place = afterSpace(self.end(of: value))
      if bytes[place] == UInt8(ascii: ",") { place = afterSpace(place + 1) }
    }
    return all
  }

  /// Calls `body` with the position of each element of the array at a position; returns false if there is no array.
  package func forEachElement<Failure: Error>(
    at position: Int, _ body: (Int) throws(Failure) -> Void
  ) throws(Failure) -> Bool {
    guard bytes[position] == UInt8(ascii: "[") else { return false }
    var place = afterSpace(position + 1)
    while bytes[place] != UInt8(ascii: "]") {
      try body(place)
      place = afterSpace(end(of: place))
      if bytes[place] == UInt8(ascii: ",") { place = afterSpace(place + 1) }
    }
    return true
  }

  /// The whole number at a position; nil if there is none, or if it does not fit.
  package func number<Number: FixedWidthInteger>(at position: Int) -> Number? {
    let digits = bytes[position..<end(of: position)]
    if digits.first != UInt8(ascii: "-") { return Number(decimal: digits) }
    // The least number has no positive counterpart.
    guard let magnitude = UInt64(decimal: digits.dropFirst()) else { return nil }
    return Number(exactly: magnitude == 1 << 63 ? Int64.min : -(Int64(exactly: magnitude) ?? 0))
  }

  package func flag(at position: Int) -> Bool? {
    switch bytes[position] {
    case UInt8(ascii: "t"): true
    case UInt8(ascii: "f"): false
    default: nil
    }
  }

  /// The string at a position; nil if there is none, or if a surrogate in it has no counterpart.
  package func string(at position: Int) -> String? {
    guard bytes[position] == UInt8(ascii: "\"") else { return nil }
    let raw = bytes[position + 1..<end(of: position) - 1]
    guard raw.contains(UInt8(ascii: "\\")) else { return String(decoding: raw, as: UTF8.self) }
    var units: [UInt16] = []
    var rest = raw
    while let byte = rest.first {
      guard byte == UInt8(ascii: "\\") else {
        let plain = rest.prefix { $0 != UInt8(ascii: "\\") }
        units += String(decoding: plain, as: UTF8.self).utf16
        rest = rest.dropFirst(plain.count)
        continue
      }
      let kind = rest[rest.startIndex + 1]
      if kind == UInt8(ascii: "u") {
        units.append(UInt16(hexadecimal: rest.dropFirst(2).prefix(4)) ?? 0)
        rest = rest.dropFirst(6)
      } else {
        let others: [UInt8: UInt16] = [0x62: 8, 0x66: 12, 0x6e: 10, 0x72: 13, 0x74: 9]
        units.append(others[kind] ?? UInt16(kind))
        rest = rest.dropFirst(2)
      }
    }
    return String(validating: units, as: UTF16.self)
  }

  /// The end of the value at a position.
  private func end(of position: Int) -> Int {
    switch bytes[position] {
    case UInt8(ascii: "\""): return endOfString(position)
    case UInt8(ascii: "{"), UInt8(ascii: "["):
      var (place, depth) = (position, 0)
      while true {
        switch bytes[place] {
        case UInt8(ascii: "\""):
          place = endOfString(place)
          continue
        case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
        case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
        default: break
        }
        place += 1
        if depth == 0 { return place }
      }
    default:
      var place = position
      while place < bytes.count, !Self.endsWord(bytes[place]) { place += 1 }
      return place
    }
  }

  private func endOfString(_ position: Int) -> Int {
    var place = position + 1
    while bytes[place] != UInt8(ascii: "\"") { place += bytes[place] == UInt8(ascii: "\\") ? 2 : 1 }
    return place + 1
  }

  private static func endsWord(_ byte: UInt8) -> Bool {
    byte <= 0x20 || byte == UInt8(ascii: ",") || byte == UInt8(ascii: "}") || byte == UInt8(ascii: "]")
  }
}
