/// Writing addresses.
extension TextBuffer {
  /// Writes an address: `127.0.0.1`; IPv6 as in RFC 5952, with the interface of a link-local one: `fe80::1%2`.
  package mutating func write(_ address: NetworkAddress) {
    var line = ShortText()
    line.put(address)
    append(line)
  }

  /// Writes an address and a port: `127.0.0.1:80`, `[::1]:80`. Port 0 is written as `*`.
  package mutating func write(_ address: NetworkAddress, port: UInt16) {
    var line = ShortText()
    if address.isIPv6 { line.put(UInt8(ascii: "[")) }
    line.put(address)
    if address.isIPv6 { line.put(UInt8(ascii: "]")) }
    line.put(UInt8(ascii: ":"))
    if port == 0 { line.put(UInt8(ascii: "*")) } else { line.put(decimal: UInt64(port)) }
    append(line)
  }
}

extension ShortText {
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
