import Fin

/// Random addresses and texts from a seed, so that a failure can be reproduced.
struct AddressDice: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  /// The next value of SplitMix64.
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
    return mixed ^ mixed >> 31
  }

  mutating func port() -> UInt16 { UInt16.random(in: 0 ... .max, using: &self) }

  mutating func ipv4() -> IPv4Address { IPv4Address(rawValue: UInt32(truncatingIfNeeded: next())) }

  /// A random IPv6 address. Half of the groups are zero, so that "::" occurs in all its forms; some addresses are
  /// IPv4-mapped, some have a scope.
  mutating func ipv6() -> IPv6Address {
    if Int.random(in: 0..<10, using: &self) == 0 { return IPv6Address(mapping: ipv4()) }
    var halves: [UInt64] = [0, 0]
    for group in 0..<8 where Bool.random(using: &self) {
      halves[group / 4] |= UInt64(UInt16.random(in: 0 ... .max, using: &self)) << (UInt64(group % 4) * 16)
    }
    let scope = Bool.random(using: &self) ? UInt32.random(in: 1 ... .max, using: &self) : 0
    return IPv6Address(high: halves[0], low: halves[1], scope: scope)
  }

  /// Random bytes: of any value, or only those with a special meaning in the text of a path.
  mutating func bytes(_ count: ClosedRange<Int>, from lowest: UInt8) -> [UInt8] {
    let telling: [UInt8] = Array("\\x00@(unnamed)./:\"é\u{202E} ".utf8)
    let isTelling = Bool.random(using: &self)
    return (0..<Int.random(in: count, using: &self)).map { _ in
      isTelling ? telling.randomElement(using: &self)! : UInt8.random(in: lowest ... .max, using: &self)
    }
  }

  mutating func path() throws -> UnixPath {
    switch Int.random(in: 0..<10, using: &self) {
    case 0: .unnamed
    case 1...4: try UnixPath(abstract: bytes(0...107, from: 0))
    default: try UnixPath(path: bytes(1...107, from: 1))
    }
  }

  mutating func address() throws -> SocketAddress {
    switch Int.random(in: 0..<3, using: &self) {
    case 0: .v4(ipv4(), port: port())
    case 1: .v6(ipv6(), port: port())
    default: .unix(try path())
    }
  }

  /// Random text: pieces of addresses in meaningless order, with an occasional arbitrary scalar.
  mutating func text() -> String {
    let pieces = [
      "1", "255", "256", "0", "00", "65535", "65536", ".", ":", "::", ":::", "[", "]", "%", "%lo", "%2", "@", "/", "./",
      "unix:", "\\", "\\x", "\\x00", "\\x2f", "ffff", "fe80", "g", "localhost", "http", "*", "-", "_", " ", "\0", "\n",
      "(unnamed)", "é", "\u{202E}", "🏁", "x", "0x7f",
    ]
    var text = ""
    for _ in 0..<Int.random(in: 0...9, using: &self) {
      if Int.random(in: 0..<12, using: &self) == 0 {
        text.unicodeScalars.append(Unicode.Scalar(UInt32.random(in: 0..<0xD800, using: &self))!)
      } else {
        text += pieces.randomElement(using: &self)!
      }
    }
    return text
  }
}
