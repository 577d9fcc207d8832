internal import Glibc

/// An IP address as it was parsed.
package struct ParsedAddress: Hashable, Sendable {
  /// The interface on which an IPv6 address is valid (RFC 4007, section 11).
  package enum Zone: Hashable, Sendable {
    case none
    case index(UInt32)
    /// The range of the interface's name in the text. It has an index of its own in each network namespace.
    case name(Range<Int>)
  }

  /// The first eight bytes of an IPv6 address as a number in host order; 0 for IPv4.
  package var high: UInt64 = 0
  /// The last eight bytes as a number in host order; for IPv4 the address.
  package var low: UInt64 = 0
  package var isIPv6 = false
  package var zone = Zone.none
}

/// Parsing of IP addresses, strictly: `127.1` and `0177.0.0.1` are refused.
extension AddressText {
  /// Parses an IPv6 address if the text has a colon, otherwise an IPv4 address.
  package func address(in range: Range<Int>) throws(AddressRefusal) -> ParsedAddress {
    if first(UInt8(ascii: ":"), in: range) != nil { return try v6(in: range) }
    return ParsedAddress(low: UInt64(try v4(in: range)))
  }

  /// Parses four decimal numbers from 0 to 255, without leading zeros, with dots between them.
  /// - Returns: the address as a number in host order.
  package func v4(in range: Range<Int>) throws(AddressRefusal) -> UInt32 {
    guard !range.isEmpty else {
      throw refusal(at: range.lowerBound, "nothing where an IPv4 address belongs")
    }
    var value: UInt32 = 0
    var numbers = 0
    var start = range.lowerBound
    while true {
      if numbers == 4 {
        if start == range.upperBound { throw refusal(at: start - 1, "a dot after the fourth number") }
        let total = 1 + count(UInt8(ascii: "."), in: range)
        throw refusal(at: start, "\(inWords(total)) numbers where four belong")
      }
      let end = first(UInt8(ascii: "."), in: start..<range.upperBound) ?? range.upperBound
      value = value << 8 | (try number(start..<end))
      numbers += 1
      if end == range.upperBound { break }
      start = end + 1
    }
    guard numbers == 4 else {
      let noun = numbers == 1 ? "number" : "numbers"
      throw refusal(at: range.upperBound, "\(inWords(numbers)) \(noun) where four belong")
    }
    return value
  }

  private func number(_ range: Range<Int>) throws(AddressRefusal) -> UInt32 {
    guard !range.isEmpty else {
      throw refusal(at: range.lowerBound, "nothing where a number from 0 to 255 belongs")
    }
    for index in range where !bytes[index].isDigit {
      throw refusal(ofCharacterAt: index, "where a decimal digit belongs")
    }
    if bytes[range.lowerBound] == UInt8(ascii: "0"), range.count > 1 {
      throw refusal(at: range.lowerBound, "a leading zero, which some programs read as octal: leave it out")
    }
    guard let value = decimal(in: range, upTo: 255) else {
      throw refusal(at: range.lowerBound, "a number above 255")
    }
    return value
  }

  /// Parses any form of RFC 4291, section 2.2, and after a `%` the interface by its number or name.
  package func v6(in range: Range<Int>) throws(AddressRefusal) -> ParsedAddress {
    guard let percent = first(UInt8(ascii: "%"), in: range) else { return try groups(in: range) }
    var address = try groups(in: range.lowerBound..<percent)
    address.zone = try zone(in: (percent + 1)..<range.upperBound)
    return address
  }

  private func groups(in range: Range<Int>) throws(AddressRefusal) -> ParsedAddress {
    let colon = UInt8(ascii: ":")
    guard !range.isEmpty else {
      throw refusal(at: range.lowerBound, "nothing where an IPv6 address belongs")
    }
    var groups: [UInt16] = []
    var gap: (position: Int, offset: Int)?
    var index = range.lowerBound
    while index < range.upperBound {
      if bytes[index] == colon {
        if index + 1 < range.upperBound, bytes[index + 1] == colon {
          guard gap == nil else { throw refusal(at: index, "a second \"::\", which may stand only once") }
          gap = (groups.count, index)
          index += 2
          if index < range.upperBound, bytes[index] == colon {
            throw refusal(at: index, "three colons in a row")
          }
          continue
        }
        guard index > range.lowerBound else {
          throw refusal(at: index, "one colon at the beginning, where \"::\" or a group belongs")
        }
        guard index + 1 < range.upperBound else {
          throw refusal(at: index, "one colon at the end, where \"::\" or a group belongs")
        }
        index += 1
      }
      let end = first(colon, in: index..<range.upperBound) ?? range.upperBound
      if first(UInt8(ascii: "."), in: index..<end) != nil {
        guard end == range.upperBound else {
          throw refusal(at: index, "an IPv4 address before the end of an IPv6 address")
        }
        guard groups.count <= 6 else { throw refusal(at: index, "more than eight groups") }
        let tail = try v4(in: index..<end)
        groups += [UInt16(truncatingIfNeeded: tail >> 16), UInt16(truncatingIfNeeded: tail)]
      } else {
        guard groups.count < 8 else { throw refusal(at: index, "more than eight groups") }
        groups.append(try group(index..<end))
      }
      index = end
    }
    if let gap {
      guard groups.count < 8 else {
        throw refusal(at: gap.offset, "\"::\" beside eight groups, although it stands for at least one more")
      }
      groups.insert(contentsOf: repeatElement(0, count: 8 - groups.count), at: gap.position)
    } else if groups.count < 8 {
      let noun = groups.count == 1 ? "group" : "groups"
      throw refusal(
        at: range.upperBound, "\(inWords(groups.count)) \(noun) where eight belong (\"::\" stands for zeros left out)")
    }
    func half(_ groups: ArraySlice<UInt16>) -> UInt64 { groups.reduce(0) { $0 << 16 | UInt64($1) } }
    return ParsedAddress(high: half(groups[..<4]), low: half(groups[4...]), isIPv6: true)
  }

  private func group(_ range: Range<Int>) throws(AddressRefusal) -> UInt16 {
    var value: UInt16 = 0
    for index in range {
      guard let digit = bytes[index].hexadecimal else {
        throw refusal(ofCharacterAt: index, "where a hexadecimal digit belongs")
      }
      guard index - range.lowerBound < 4 else {
        throw refusal(at: index, "a fifth hexadecimal digit in a group of four")
      }
      value = value << 4 | UInt16(digit)
    }
    return value
  }

  private func zone(in range: Range<Int>) throws(AddressRefusal) -> ParsedAddress.Zone {
    guard !range.isEmpty else {
      throw refusal(at: range.lowerBound, "nothing where an interface belongs: write its name or number")
    }
    if let number = decimal(in: range, upTo: .max) {
      guard number > 0 else { throw refusal(at: range.lowerBound, "interface 0: the numbers begin with 1") }
      return .index(number)
    }
    // A NUL would end the C string early, and the text before it might be the name of an interface.
    for index in range where bytes[index] <= 0x20 || bytes[index] == UInt8(ascii: "/") {
      throw refusal(ofCharacterAt: index, "in an interface's name")
    }
    return .name(range)
  }
}

/// The interfaces of the calling thread's network namespace.
package enum NetworkInterface {
  /// The index of the interface with this name (`if_nametoindex`); nil if there is none.
  package static func index(_ name: String) -> UInt32? {
    guard name.utf8.count < Int(IF_NAMESIZE) else { return nil }
    let index = unsafe if_nametoindex(name)
    return index == 0 ? nil : index
  }

  /// The reason of a refusal.
  package static func refusal(_ name: String) -> String {
    "no interface is called \"\(printable(name.utf8, limit: 64))\": the names are in /sys/class/net"
  }
}

extension AddressText {
  /// The index of the interface that a zone names, looked up in the calling thread's network namespace; 0 for none.
  /// - Throws: when no interface has the name.
  package func index(of zone: ParsedAddress.Zone) throws(AddressRefusal) -> UInt32 {
    switch zone {
    case .none: return 0
    case .index(let number): return number
    case .name(let range):
      guard let index = NetworkInterface.index(string(range)) else {
        throw refusal(at: range.lowerBound, NetworkInterface.refusal(string(range)))
      }
      return index
    }
  }
}
