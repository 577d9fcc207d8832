/// The ranges of the host and the port in a text such as `[::1]:80`.
package struct HostAndPort {
  /// The range of the host, without the brackets.
  package let host: Range<Int>
  package let isBracketed: Bool
  package let port: Range<Int>

  package init(splitting source: AddressText) throws(AddressRefusal) {
    let all = source.all
    guard !all.isEmpty else {
      throw source.refusal(at: 0, "nothing where an address belongs: write host:port or a path such as /run/x.sock")
    }
    if source.hasPrefix("[", in: all) {
      guard let end = source.first(UInt8(ascii: "]"), in: all) else {
        throw source.refusal(at: all.upperBound, "no \"]\" behind the IPv6 address")
      }
      guard end + 1 < all.upperBound else {
        throw source.refusal(at: all.upperBound, "no port: write it behind a colon, as in \"[::1]:80\"")
      }
      guard source.bytes[end + 1] == UInt8(ascii: ":") else {
        throw source.refusal(ofCharacterAt: end + 1, "where a colon and the port belong")
      }
      host = 1..<end
      isBracketed = true
      port = (end + 2)..<all.upperBound
      return
    }
    guard let colon = source.first(UInt8(ascii: ":"), in: all) else {
      throw source.refusal(
        at: all.upperBound,
        "no port: write it behind a colon, as in \"localhost:80\" or \":80\" (a path begins with / or ./)")
    }
    if let second = source.first(UInt8(ascii: ":"), in: (colon + 1)..<all.upperBound) {
      throw Self.refusal(source, second)
    }
    host = 0..<colon
    isBracketed = false
    port = (colon + 1)..<all.upperBound
  }

  /// The refusal of a text with two colons and no brackets: an IPv6 address with or without a port, or a typing error.
  private static func refusal(_ source: AddressText, _ second: Int) -> AddressRefusal {
    let groups = source.bytes.prefix { $0 != UInt8(ascii: "%") }
    let looksLikeIPv6 = groups.allSatisfy {
      $0.hexadecimal != nil || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: ".")
    }
    guard looksLikeIPv6 else { return source.refusal(at: second, "a second colon: only the port has one before it") }
    let reason = "an IPv6 address without brackets, so that the start of its port is ambiguous"
    let last = source.bytes.lastIndex(of: UInt8(ascii: ":")) ?? second
    let address = source.string(0..<last)
    let port = source.string((last + 1)..<source.bytes.count)
    if (try? source.v6(in: 0..<last)) != nil, source.decimal(in: (last + 1)..<source.bytes.count, upTo: 65535) != nil {
      return source.refusal(at: 0, "\(reason): write [\(address)]:\(port)")
    }
    return source.refusal(at: 0, "\(reason): write [address]:port")
  }
}

/// The host of an address and port, as it was parsed.
package enum ParsedHost: Hashable, Sendable {
  /// Nothing or `*`: every address, or this machine.
  case anywhere
  case ip(ParsedAddress)
  /// A name to look up, by its range in the text.
  case name(Range<Int>)

  /// Parses the part before the port.
  package init(reading source: AddressText, _ parts: HostAndPort) throws(AddressRefusal) {
    if parts.isBracketed {
      self = .ip(try Self.bracketed(source, parts.host))
    } else {
      try self.init(reading: source, parts.host)
    }
  }

  /// Parses a host without a port, where an IPv6 address needs no brackets.
  package init(readingAlone source: AddressText) throws(AddressRefusal) {
    let all = source.all
    if source.hasPrefix("[", in: all) {
      guard source.bytes[all.upperBound - 1] == UInt8(ascii: "]") else {
        throw source.refusal(at: all.upperBound, "no \"]\" at the end of the IPv6 address")
      }
      self = .ip(try Self.bracketed(source, 1..<(all.upperBound - 1)))
    } else if source.first(UInt8(ascii: ":"), in: all) != nil {
      self = .ip(try source.v6(in: all))
    } else if source.text == "unix" {
      throw source.refusal(
        at: 0, "\"unix\" before a colon is the start of a path: for a host of that name write \"unix.\"")
    } else {
      try self.init(reading: source, all)
    }
  }

  private static func bracketed(_ source: AddressText, _ range: Range<Int>) throws(AddressRefusal) -> ParsedAddress {
    guard range.isEmpty || source.first(UInt8(ascii: ":"), in: range) != nil else {
      throw source.refusal(
        at: range.lowerBound, "no IPv6 address in the brackets: write anything else without brackets")
    }
    return try source.v6(in: range)
  }

  private init(reading source: AddressText, _ range: Range<Int>) throws(AddressRefusal) {
    if range.isEmpty || source.string(range) == "*" {
      self = .anywhere
    } else if Self.endsInNumber(source, range) {
      self = .ip(try source.address(in: range))
    } else {
      self = .name(try Self.name(source, range))
    }
  }

  /// Whether the last label is a number. Host names do not end in one, and the C library would parse such a text like
  /// `inet_aton`, which reads `127.1` and `0x7f000001` as 127.0.0.1. The text must therefore be an IPv4 address, and is
  /// parsed strictly.
  private static func endsInNumber(_ source: AddressText, _ range: Range<Int>) -> Bool {
    var host = source.bytes[range]
    if host.last == UInt8(ascii: ".") { host.removeLast() }
    let label = host[(host.lastIndex(of: UInt8(ascii: ".")).map { $0 + 1 } ?? host.startIndex)...]
    guard let first = label.first, first.isDigit else { return false }
    if label.allSatisfy(\.isDigit) { return true }
    guard first == UInt8(ascii: "0"), label.dropFirst().first.map({ $0 | 0x20 }) == UInt8(ascii: "x") else {
      return false
    }
    return label.dropFirst(2).allSatisfy { $0.hexadecimal != nil }
  }

  /// Parses a host name: labels of 1 to 63 letters, digits, hyphens and underscores, 253 bytes in all (RFC 1123,
  /// section 2.1).
  private static func name(_ source: AddressText, _ range: Range<Int>) throws(AddressRefusal) -> Range<Int> {
    let dot = UInt8(ascii: ".")
    var start = range.lowerBound
    for index in range {
      let byte = source.bytes[index]
      if byte == dot {
        guard index > start else { throw source.refusal(at: index, "nothing between two dots of a host's name") }
        start = index + 1
      } else if byte == UInt8(ascii: "-"), index == start {
        throw source.refusal(at: index, "\"-\" where a letter or digit of a host's name belongs")
      } else if byte >= 0x80 {
        throw source.refusal(
          ofCharacterAt: index, "in a host's name, which must be ASCII: write the name in its xn-- form")
      } else if byte == UInt8(ascii: "/") {
        throw source.refusal(
          at: index, "\"/\" in a host's name (a path begins with / or ./, and a URL is not an address)")
      } else if !(byte.isLetter || byte.isDigit || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")) {
        throw source.refusal(ofCharacterAt: index, "in a host's name")
      } else if index - start == 63 {
        throw source.refusal(at: index, "a label of a host's name longer than 63 bytes")
      }
    }
    let length = source.bytes[range.upperBound - 1] == dot ? range.count - 1 : range.count
    guard length <= 253 else {
      throw source.refusal(at: range.lowerBound + 253, "a host's name longer than 253 bytes")
    }
    return range
  }
}

extension AddressText {
  /// Parses a port number from 0 to 65535.
  package func port(in range: Range<Int>) throws(AddressRefusal) -> UInt16 {
    guard !range.isEmpty else {
      throw refusal(
        at: range.lowerBound, "nothing where a port belongs: a number from 0 to 65535 (0 lets the kernel choose)")
    }
    for index in range where !bytes[index].isDigit {
      throw refusal(ofCharacterAt: index, "in a port, which is a number from 0 to 65535")
    }
    guard let number = decimal(in: range, upTo: 65535) else {
      let hasZero = bytes[range.lowerBound] == UInt8(ascii: "0")
      throw refusal(
        at: range.lowerBound,
        hasZero ? "a leading zero in a port: leave it out" : "a port above 65535, the highest one")
    }
    return UInt16(number)
  }
}
