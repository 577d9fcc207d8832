/// Text under construction, as bytes, so that a table of a hundred thousand lines needs no string for each cell.
public struct TextBuffer: Sendable {
  /// The UTF-8 bytes written so far.
  public var bytes: [UInt8] = []

  /// Creates an empty buffer.
  public init() {}

  /// The text so far.
  public var text: String { String(decoding: bytes, as: UTF8.self) }

  /// The number of bytes.
  public var count: Int { bytes.count }

  /// Appends a text unchanged.
  public mutating func write(_ text: String) { bytes.append(contentsOf: text.utf8) }

  /// Appends a literal without making a string of it.
  public mutating func write(literal text: StaticString) {
    unsafe bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  /// Writes a key of a JSON object: `,"name":`.
  /// - Parameters:
  ///   - key: The key, which must need no escaping.
  ///   - isFirst: Whether it is the first key of its object, so that no comma precedes it.
  public mutating func write(key: StaticString, isFirst: Bool) {
    let length = key.utf8CodeUnitCount
    guard length <= Line.capacity - 4 else {
      write(isFirst ? "\"\(key)\":" : ",\"\(key)\":")
      return
    }
    var line = Line()
    if !isFirst { line.put(UInt8(ascii: ",")) }
    line.put(UInt8(ascii: "\""))
    line.put(key)
    line.put(UInt8(ascii: "\""))
    line.put(UInt8(ascii: ":"))
    append(line)
  }

  /// Writes one ASCII character.
  public mutating func write(ascii character: Unicode.Scalar) { bytes.append(UInt8(ascii: character)) }

  /// Writes a number in decimal.
  public mutating func write(decimal number: UInt64) {
    if number < 10 {
      bytes.append(48 + UInt8(truncatingIfNeeded: number))
    } else {
      var line = Line()
      line.put(decimal: number)
      append(line)
    }
  }

  /// Writes a number in decimal.
  @inlinable public mutating func write(decimal number: some UnsignedInteger) { write(decimal: UInt64(number)) }

  /// Writes a number in hexadecimal, without leading zeros.
  public mutating func write(hexadecimal number: UInt64) {
    var line = Line()
    line.put(hexadecimal: number)
    append(line)
  }

  /// Writes this number of spaces.
  public mutating func write(spaces count: Int) {
    let many: StaticString = "                                                                "
    var rest = count
    while rest > 0 {
      let some = min(rest, many.utf8CodeUnitCount)
      unsafe bytes.append(contentsOf: UnsafeBufferPointer(start: many.utf8Start, count: some))
      rest -= some
    }
  }

  private mutating func append(_ line: Line) {
    unsafe withUnsafeBytes(of: line.bytes) { bytes in
      unsafe self.bytes.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes[..<line.count]))
    }
  }
}

/// A few characters, assembled before they are appended: a number, or an address with its port.
///
/// Each append to an array checks its capacity and whether the storage is shared. A long listing would do that seven
/// million times.
private struct Line {
  /// More than the longest address needs: `[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535`.
  static let capacity = 64
  var bytes = InlineArray<64, UInt8>(repeating: 0)
  var count = 0

  mutating func put(_ byte: UInt8) {
    bytes[count] = byte
    count += 1
  }

  mutating func put(_ text: StaticString) {
    for index in 0..<text.utf8CodeUnitCount { unsafe put(text.utf8Start[index]) }
  }

  mutating func put(decimal number: UInt64) {
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

  mutating func put(hexadecimal number: UInt64) {
    var shift = number == 0 ? 0 : (63 - number.leadingZeroBitCount) & ~3
    while shift >= 0 {
      let digit = UInt8(truncatingIfNeeded: number >> UInt64(shift)) & 15
      put(digit < 10 ? 48 + digit : 87 + digit)
      shift -= 4
    }
  }
}

/// Writing addresses.
extension TextBuffer {
  /// Writes an address: `127.0.0.1`; IPv6 as in RFC 5952, with the interface of a link-local one: `fe80::1%2`.
  public mutating func write(_ address: NetworkAddress) {
    var line = Line()
    line.put(address)
    append(line)
  }

  /// Writes an address and a port: `127.0.0.1:80`, `[::1]:80`. Port 0 is written as `*`.
  public mutating func write(_ address: NetworkAddress, port: UInt16) {
    var line = Line()
    if address.isIPv6 { line.put(UInt8(ascii: "[")) }
    line.put(address)
    if address.isIPv6 { line.put(UInt8(ascii: "]")) }
    line.put(UInt8(ascii: ":"))
    if port == 0 { line.put(UInt8(ascii: "*")) } else { line.put(decimal: UInt64(port)) }
    append(line)
  }
}

extension Line {
  fileprivate mutating func put(_ address: NetworkAddress) {
    if !address.isIPv6 {
      put(v4: UInt32(truncatingIfNeeded: address.bits.low))
      return
    }
    if let mapped = address.asIPv4 {
      put("::ffff:")
      put(v4: mapped)
    } else {
      put(v6: address.bits)
    }
    if address.isLinkLocal, address.interface > 0 {
      put(UInt8(ascii: "%"))
      put(decimal: UInt64(address.interface))
    }
  }

  private mutating func put(v4 address: UInt32) {
    put(decimal: UInt64(address >> 24))
    var shift: UInt32 = 24
    while shift > 0 {
      shift -= 8
      put(UInt8(ascii: "."))
      put(decimal: UInt64(address >> shift & 0xff))
    }
  }

  private mutating func put(v6 bits: AddressBits) {
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

extension NetworkAddress: CustomStringConvertible {
  /// `127.0.0.1`, `2001:db8::1`, `fe80::1%2`.
  public var description: String {
    var buffer = TextBuffer()
    buffer.write(self)
    return buffer.text
  }

  /// The address with a port: `127.0.0.1:80`, `[::1]:80`.
  public func with(port: UInt16) -> String {
    var buffer = TextBuffer()
    buffer.write(self, port: port)
    return buffer.text
  }
}
