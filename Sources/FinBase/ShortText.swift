/// A few characters, assembled before they are appended: a number, or an address with its port.
///
/// Each append to an array checks its capacity and whether the storage is shared. A long listing would do that seven
/// million times. So all of this is inlined into the module that writes the listing.
@usableFromInline
package struct ShortText {
  /// More than the longest address needs: `[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535`.
  @inlinable package static var capacity: Int { 64 }
  @usableFromInline package var bytes = InlineArray<64, UInt8>(repeating: 0)
  @usableFromInline package var count = 0

  @inlinable package init() {}

  /// The characters as a string.
  package var text: String {
    unsafe withUnsafeBytes(of: bytes) { unsafe String(decoding: $0[..<count], as: UTF8.self) }
  }

  @inlinable package mutating func put(_ byte: UInt8) {
    bytes[count] = byte
    count += 1
  }

  @inlinable package mutating func put(_ text: StaticString) {
    for index in 0..<text.utf8CodeUnitCount { unsafe put(text.utf8Start[index]) }
  }

  @inlinable package mutating func put(decimal number: UInt64) {
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

  @inlinable package mutating func put(hexadecimal number: UInt64) {
    var shift = number == 0 ? 0 : (63 - number.leadingZeroBitCount) & ~3
    while shift >= 0 {
      let digit = UInt8(truncatingIfNeeded: number >> UInt64(shift)) & 15
      put(digit < 10 ? 48 + digit : 87 + digit)
      shift -= 4
    }
  }
}

/// The text of IP addresses.
extension ShortText {
  /// Writes an IPv4 address, given as a number in host order: `127.0.0.1`.
  @inlinable package mutating func put(v4 address: UInt32) {
    put(decimal: UInt64(address >> 24))
    var shift: UInt32 = 24
    while shift > 0 {
      shift -= 8
      put(UInt8(ascii: "."))
      put(decimal: UInt64(address >> shift & 0xff))
    }
  }

  /// Writes an IPv6 address as in RFC 5952, given as two numbers in host order: `2001:db8::1`, `::ffff:1.2.3.4`; with
  /// the number of an interface behind it, unless that is 0: `fe80::1%2`.
  @inlinable package mutating func put(v6 high: UInt64, _ low: UInt64, interface: UInt32 = 0) {
    if high == 0, low >> 32 == 0xffff {
      put("::ffff:")
      put(v4: UInt32(truncatingIfNeeded: low))
    } else {
      put(groups: high, low)
    }
    if interface > 0 {
      put(UInt8(ascii: "%"))
      put(decimal: UInt64(interface))
    }
  }

  @inlinable mutating func put(groups high: UInt64, _ low: UInt64) {
    func group(_ index: Int) -> UInt64 {
      (index < 4 ? high : low) >> UInt64(48 - 16 * (index & 3)) & 0xffff
    }
    // The first of the longest runs of two or more zero groups becomes "::" (section 4.2).
    var gap = 8..<8
    var start = 0
    for index in 0..<8 {
      if group(index) != 0 {
        start = index + 1
      } else if index + 1 - start > max(gap.count, 1) {
        gap = start..<index + 1
      }
    }
    var index = 0
    while index < 8 {
      if index == gap.lowerBound {
        put(UInt8(ascii: ":"))
        put(UInt8(ascii: ":"))
        index = gap.upperBound
        continue
      }
      if index > 0, index != gap.upperBound || gap.isEmpty { put(UInt8(ascii: ":")) }
      put(hexadecimal: group(index))
      index += 1
    }
  }
}
