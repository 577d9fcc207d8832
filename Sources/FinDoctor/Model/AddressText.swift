internal import FinBase

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
    if address.isIPv6 {
      put(v6: address.bits.high, address.bits.low, interface: address.isLinkLocal ? address.interface : 0)
    } else {
      put(v4: UInt32(truncatingIfNeeded: address.bits.low))
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
