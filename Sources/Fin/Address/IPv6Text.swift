import Glibc

extension IPv6Address: LosslessStringConvertible {
  /// The text form of RFC 5952, with the scope as a number: `2001:db8::1`, `::ffff:1.2.3.4`, `fe80::1%2`.
  ///
  /// The scope is printed as a number because the name of an interface may change, and because printing makes no
  /// system call.
  public var description: String {
    let zone = scope == 0 ? "" : "%\(scope)"
    if let mapped = v4Mapped { return "::ffff:\(mapped)\(zone)" }
    let gap = longestRunOfZeros()
    var text = ""
    var index = 0
    while index < 8 {
      if index == gap.lowerBound, !gap.isEmpty {
        text += "::"
        index = gap.upperBound
        continue
      }
      if index > 0, index != gap.upperBound || gap.isEmpty { text += ":" }
      text += String(group(index), radix: 16)
      index += 1
    }
    return text + zone
  }

  /// The first of the longest runs of two or more zero groups; empty if there is none (RFC 5952, section 4.2).
  private func longestRunOfZeros() -> Range<Int> {
    var longest = 0..<0
    var start = 0
    for index in 0..<8 {
      guard group(index) == 0 else {
        start = index + 1
        continue
      }
      if index + 1 - start > max(longest.count, 1) { longest = start..<(index + 1) }
    }
    return longest
  }

  /// Parses a text like `init(parsing:)`; nil for a refusal.
  public init?(_ description: String) {
    do throws(AddressError) { try self.init(parsing: description) } catch { return nil }
  }

  /// Parses any form of RFC 4291, section 2.2, and after a `%` the interface by its number or name (RFC 4007, section
  /// 11).
  ///
  /// A name is looked up at once (`if_nametoindex`). Digits are always a number; the kernel checks whether an interface
  /// has it.
  /// - Throws: `AddressError` with the reason and the position; also when no interface has the name.
  public init(parsing text: String) throws(AddressError) {
    let source = AddressText(text)
    try self.init(reading: source, source.all)
  }

  /// Parses a part of a longer text.
  init(reading source: AddressText, _ range: Range<Int>) throws(AddressError) {
    guard let percent = source.first(UInt8(ascii: "%"), in: range) else {
      try self.init(readingGroups: source, range)
      return
    }
    let address = try IPv6Address(readingGroups: source, range.lowerBound..<percent)
    self = address.scoped(try Self.scope(source, (percent + 1)..<range.upperBound))
  }

  private init(readingGroups source: AddressText, _ range: Range<Int>) throws(AddressError) {
    let colon = UInt8(ascii: ":")
    let bytes = source.bytes
    guard !range.isEmpty else {
      throw source.refusal(at: range.lowerBound, "nothing where an IPv6 address belongs")
    }
    var groups: [UInt16] = []
    var gap: (position: Int, offset: Int)?
    var index = range.lowerBound
    while index < range.upperBound {
      if bytes[index] == colon {
        if index + 1 < range.upperBound, bytes[index + 1] == colon {
          guard gap == nil else { throw source.refusal(at: index, "a second \"::\", which may stand only once") }
          gap = (groups.count, index)
          index += 2
          if index < range.upperBound, bytes[index] == colon {
            throw source.refusal(at: index, "three colons in a row")
          }
          continue
        }
        guard index > range.lowerBound else {
          throw source.refusal(at: index, "one colon at the beginning, where \"::\" or a group belongs")
        }
        guard index + 1 < range.upperBound else {
          throw source.refusal(at: index, "one colon at the end, where \"::\" or a group belongs")
        }
        index += 1
      }
      let end = source.first(colon, in: index..<range.upperBound) ?? range.upperBound
      if source.first(UInt8(ascii: "."), in: index..<end) != nil {
        guard end == range.upperBound else {
          throw source.refusal(at: index, "an IPv4 address before the end of an IPv6 address")
        }
        guard groups.count <= 6 else { throw source.refusal(at: index, "more than eight groups") }
        let tail = try IPv4Address(reading: source, index..<end).rawValue
        groups += [UInt16(truncatingIfNeeded: tail >> 16), UInt16(truncatingIfNeeded: tail)]
      } else {
        guard groups.count < 8 else { throw source.refusal(at: index, "more than eight groups") }
        groups.append(try Self.group(source, index..<end))
      }
      index = end
    }
    if let gap {
      guard groups.count < 8 else {
        throw source.refusal(at: gap.offset, "\"::\" beside eight groups, although it stands for at least one more")
      }
      groups.insert(contentsOf: repeatElement(0, count: 8 - groups.count), at: gap.position)
    } else if groups.count < 8 {
      let noun = groups.count == 1 ? "group" : "groups"
      throw source.refusal(
        at: range.upperBound, "\(inWords(groups.count)) \(noun) where eight belong (\"::\" stands for zeros left out)")
    }
    self.init(
      groups[0], groups[1], groups[2], groups[3], groups[4], groups[5], groups[6], groups[7])
  }

  private static func group(_ source: AddressText, _ range: Range<Int>) throws(AddressError) -> UInt16 {
    var value: UInt16 = 0
    for index in range {
      guard let digit = source.bytes[index].hexadecimal else {
        throw source.refusal(ofCharacterAt: index, "where a hexadecimal digit belongs")
      }
      guard index - range.lowerBound < 4 else {
        throw source.refusal(at: index, "a fifth hexadecimal digit in a group of four")
      }
      value = value << 4 | UInt16(digit)
    }
    return value
  }

  private static func scope(_ source: AddressText, _ range: Range<Int>) throws(AddressError) -> UInt32 {
    guard !range.isEmpty else {
      throw source.refusal(at: range.lowerBound, "nothing where an interface belongs: write its name or number")
    }
    if let number = source.decimal(in: range, upTo: .max) {
      guard number > 0 else { throw source.refusal(at: range.lowerBound, "interface 0: the numbers begin with 1") }
      return number
    }
    // A NUL would end the C string early, and the text before it might be the name of an interface.
    for index in range where source.bytes[index] <= 0x20 || source.bytes[index] == UInt8(ascii: "/") {
      throw source.refusal(ofCharacterAt: index, "in an interface's name")
    }
    let number = range.count < Int(IF_NAMESIZE) ? unsafe if_nametoindex(source.string(range)) : 0
    guard number > 0 else {
      let name = printable(source.bytes[range], limit: 64)
      throw source.refusal(
        at: range.lowerBound, "no interface is called \"\(name)\": the names are in /sys/class/net")
    }
    return number
  }
}
