/// Text under construction, as bytes: a table of a hundred thousand lines is made without a string for each cell.
public struct TextBuffer: Sendable {
  /// What was written so far, UTF-8.
  public var bytes: [UInt8] = []

  /// Nothing written.
  public init() {}

  /// The text so far.
  public var text: String { String(decoding: bytes, as: UTF8.self) }

  /// How many bytes there are.
  public var count: Int { bytes.count }

  /// Writes text as it is.
  public mutating func write(_ text: String) { bytes.append(contentsOf: text.utf8) }

  /// Writes one ASCII character.
  public mutating func write(ascii character: Unicode.Scalar) { bytes.append(UInt8(ascii: character)) }

  /// Writes a number in decimal.
  public mutating func write(decimal number: UInt64) {
    if number < 10 {
      bytes.append(48 + UInt8(truncatingIfNeeded: number))
      return
    }
    var rest = number
    var digits = InlineArray<20, UInt8>(repeating: 0)
    var first = 20
    while rest > 0 {
      let (quotient, digit) = rest.quotientAndRemainder(dividingBy: 10)
      first -= 1
      digits[first] = 48 + UInt8(truncatingIfNeeded: digit)
      rest = quotient
    }
    for index in first..<20 { bytes.append(digits[index]) }
  }

  /// Writes a number in decimal.
  public mutating func write(decimal number: some UnsignedInteger) { write(decimal: UInt64(number)) }

  /// Writes a number in hexadecimal, without zeros before it.
  public mutating func write(hexadecimal number: UInt64) {
    var shift = number == 0 ? 0 : (63 - number.leadingZeroBitCount) & ~3
    while shift >= 0 {
      let digit = UInt8(truncatingIfNeeded: number >> UInt64(shift)) & 15
      bytes.append(digit < 10 ? 48 + digit : 87 + digit)
      shift -= 4
    }
  }

  /// Writes spaces.
  public mutating func write(spaces count: Int) {
    if count > 0 { bytes.append(contentsOf: repeatElement(32, count: count)) }
  }
}

/// Addresses.
extension TextBuffer {
  /// Writes an address: `127.0.0.1`; IPv6 as RFC 5952 asks for, with the interface of a link-local one: `fe80::1%2`.
  public mutating func write(_ address: NetworkAddress) {
    if !address.isIPv6 {
      write(v4: UInt32(truncatingIfNeeded: address.bits.low))
      return
    }
    if let mapped = address.asIPv4 {
      write("::ffff:")
      write(v4: mapped)
    } else {
      write(v6: address.bits)
    }
    if address.isLinkLocal, address.interface > 0 {
      write(ascii: "%")
      write(decimal: address.interface)
    }
  }

  /// Writes an address and a port: `127.0.0.1:80`, `[::1]:80`; with `*` for the port 0.
  public mutating func write(_ address: NetworkAddress, port: UInt16) {
    if address.isIPv6 { write(ascii: "[") }
    write(address)
    if address.isIPv6 { write(ascii: "]") }
    write(ascii: ":")
    if port == 0 { write(ascii: "*") } else { write(decimal: UInt64(port)) }
  }

  private mutating func write(v4 address: UInt32) {
    write(decimal: UInt64(address >> 24))
    for shift: UInt32 in [16, 8, 0] {
      bytes.append(46)
      write(decimal: UInt64(address >> shift & 0xff))
    }
  }

  private mutating func write(v6 bits: AddressBits) {
    func group(_ index: Int) -> UInt64 {
      (index < 4 ? bits.high : bits.low) >> UInt64(48 - 16 * (index & 3)) & 0xffff
    }
    // The first of the longest runs of two or more zero groups becomes "::".
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
        write("::")
        index = gap.upperBound
        continue
      }
      if index > 0, index != gap.upperBound || gap.isEmpty { write(ascii: ":") }
      write(hexadecimal: group(index))
      index += 1
    }
  }
}

extension NetworkAddress: CustomStringConvertible {
  /// `127.0.0.1`, `2001:db8::1`, `fe80::1%2`.
  public var description: String {
    var buffer = TextBuffer()
    buffer.write(self)
    return buffer.text
  }

  /// With a port: `127.0.0.1:80`, `[::1]:80`.
  public func with(port: UInt16) -> String {
    var buffer = TextBuffer()
    buffer.write(self, port: port)
    return buffer.text
  }
}
