/// A key of a terminal's keyboard.
package enum Key: Hashable, Sendable {
  case character(Character)
  case up, down, left, right, pageUp, pageDown, home, end
  case enter, escape, backspace, tab
  /// Ctrl and a letter, by the letter in lower case.
  case control(Character)
}

/// Reads keys from the bytes that a terminal sends. Bytes may be cut anywhere.
///
/// A control sequence that is no key is left out as a whole, so that its letters do not pass for keys.
package struct KeyReader: Sendable {
  private var pending: [UInt8] = []

  package init() {}

  /// Whether bytes have been read that may be the beginning of a longer key. If none follow soon, ``flush()`` says
  /// what they are.
  package var isWithin: Bool { !pending.isEmpty }

  /// The keys in these bytes, behind what was read before.
  package mutating func keys(in bytes: some Sequence<UInt8>) -> [Key] {
    pending += bytes
    var keys: [Key] = []
    while !pending.isEmpty {
      guard let (key, count) = Self.first(of: pending[...]) else { break }
      if let key { keys.append(key) }
      pending.removeFirst(count)
    }
    // No key and no sequence of a terminal is as long as this.
    if pending.count > 64 { pending = [] }
    return keys
  }

  /// The key that the bytes are if no more follow: an ESC alone is the key of that name.
  package mutating func flush() -> [Key] {
    defer { pending = [] }
    return pending == [0x1b] ? [.escape] : []
  }

  /// The first key and the number of its bytes; no key for a sequence that is none; nil if more bytes are needed.
  private static func first(of bytes: ArraySlice<UInt8>) -> (Key?, Int)? {
    let first = bytes[bytes.startIndex]
    switch first {
    case 0x1b: return escaped(bytes.dropFirst()).map { ($0.0, $0.1 + 1) }
    case 0x0d, 0x0a: return (.enter, 1)
    case 0x09: return (.tab, 1)
    case 0x08, 0x7f: return (.backspace, 1)
    case 0x01...0x1a: return (.control(Character(Unicode.Scalar(first + 0x60))), 1)
    case 0..<0x20: return (nil, 1)
    case 0x20..<0x7f: return (.character(Character(Unicode.Scalar(first))), 1)
    default: break
    }
    let length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2
    guard first >= 0xc2, first < 0xf5 else { return (nil, 1) }
    guard bytes.count >= length else {
      // A byte that cannot follow shows that no more of this character come.
      return bytes.dropFirst().allSatisfy({ $0 & 0xc0 == 0x80 }) ? nil : (nil, 1)
    }
    guard let text = String(validating: bytes.prefix(length), as: UTF8.self), let character = text.first else {
      return (nil, 1)
    }
    return (.character(character), length)
  }

  /// The key of a sequence, without its ESC.
  private static func escaped(_ bytes: ArraySlice<UInt8>) -> (Key?, Int)? {
    guard let first = bytes.first else { return nil }
    switch first {
    case UInt8(ascii: "["):
      // Parameters, then a final byte.
      guard let end = bytes.dropFirst().firstIndex(where: { (0x40...0x7e).contains($0) || $0 < 0x20 }) else {
        return nil
      }
      let parameters = bytes[(bytes.startIndex + 1)..<end]
      let count = end - bytes.startIndex + 1
      // A control character inside means that the sequence was broken off.
      if bytes[end] < 0x20 { return (nil, count - 1) }
      return (key(final: bytes[end], parameters), count)
    case UInt8(ascii: "O"):
      guard bytes.count > 1 else { return nil }
      return (key(final: bytes[bytes.startIndex + 1], []), 2)
    // The beginnings of texts that a terminal sends when it is asked; it is not.
    case UInt8(ascii: "]"), UInt8(ascii: "P"), UInt8(ascii: "X"), UInt8(ascii: "^"), UInt8(ascii: "_"): return (nil, 1)
    // Two keys whose bytes came together.
    default: return (.escape, 0)
    }
  }

  private static func key(final: UInt8, _ parameters: ArraySlice<UInt8>) -> Key? {
    switch final {
    case UInt8(ascii: "A"): return .up
    case UInt8(ascii: "B"): return .down
    case UInt8(ascii: "C"): return .right
    case UInt8(ascii: "D"): return .left
    case UInt8(ascii: "H"): return .home
    case UInt8(ascii: "F"): return .end
    case UInt8(ascii: "M") where parameters.isEmpty: return .enter
    case UInt8(ascii: "~"):
      switch parameters.prefix(while: { $0 != UInt8(ascii: ";") }).map({ Character(Unicode.Scalar($0)) }) {
      case ["1"], ["7"]: return .home
      case ["4"], ["8"]: return .end
      case ["5"]: return .pageUp
      case ["6"]: return .pageDown
      default: return nil
      }
    default: return nil
    }
  }
}
