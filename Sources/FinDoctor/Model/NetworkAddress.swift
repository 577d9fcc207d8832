/// The sixteen bytes of an address, as two integers whose first byte is the most significant one.
///
/// An IPv4 address is the lowest 32 bits. The socket's row says which of the two it is.
public struct AddressBits: Hashable, Sendable {
  /// The first eight bytes; 0 for IPv4.
  public var high: UInt64
  /// The last eight bytes; for IPv4 the address.
  public var low: UInt64

  /// Makes an address from both halves; all zeros unless given.
  public init(high: UInt64 = 0, low: UInt64 = 0) {
    self.high = high
    self.low = low
  }

  /// The IPv4 address of one that is mapped into IPv6 (`::ffff:1.2.3.4`); any other address as it is. An IPv6 socket
  /// with a mapped address, as Java opens, talks to IPv4 sockets.
  var unmapped: AddressBits { high == 0 && low >> 32 == 0xffff ? AddressBits(low: low & 0xffff_ffff) : self }
}

/// An address of a socket, made from its row on request.
public struct NetworkAddress: Hashable, Sendable {
  /// The address's bytes.
  public let bits: AddressBits
  /// Whether all sixteen bytes are significant, or only the lowest four.
  public let isIPv6: Bool
  /// The interface that the socket is bound to, or that a link-local address belongs to; 0 for none.
  public let interface: UInt32

  /// Makes an address from its values.
  public init(_ bits: AddressBits, isIPv6: Bool, interface: UInt32 = 0) {
    self.bits = bits
    self.isIPv6 = isIPv6
    self.interface = interface
  }

  /// Whether it comes first in a list: IPv4 before IPv6, then by the value of the address, then by interface.
  func isBefore(_ other: NetworkAddress) -> Bool {
    if isIPv6 != other.isIPv6 { return other.isIPv6 }
    return (bits.high, bits.low, interface) < (other.bits.high, other.bits.low, other.interface)
  }

  /// Makes an IPv4 address from its four bytes.
  public init(_ a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8) {
    let low = UInt64(a) << 24 | UInt64(b) << 16 | UInt64(c) << 8 | UInt64(d)
    self.init(AddressBits(low: low), isIPv6: false)
  }

  /// Whether it means every address of the machine, `0.0.0.0` or `::`.
  public var isUnspecified: Bool { bits.high == 0 && bits.low == 0 }

  /// The IPv4 address: that of an IPv4 socket, or the one in a mapped address of the form `::ffff:1.2.3.4`; nil for
  /// any other.
  public var asIPv4: UInt32? {
    if !isIPv6 { return UInt32(truncatingIfNeeded: bits.low) }
    return bits.high == 0 && bits.low >> 32 == 0xffff ? UInt32(truncatingIfNeeded: bits.low) : nil
  }

  /// Whether it is a loopback address, 127.0.0.0/8 or `::1`.
  public var isLoopback: Bool {
    if let v4 = asIPv4 { return v4 >> 24 == 127 }
    return bits.high == 0 && bits.low == 1
  }

  /// Whether it is the address of the same host, mapped into IPv6 or not.
  func isSame(as other: NetworkAddress) -> Bool {
    asIPv4 == other.asIPv4 && (asIPv4 != nil || bits == other.bits)
  }

  /// Whether it is a link-local address, `fe80::/10`, so that the interface is a part of it.
  public var isLinkLocal: Bool { isIPv6 && bits.high >> 54 == 0x3fa }
}
