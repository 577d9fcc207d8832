import Glibc

/// An IPv6 address: sixteen bytes (RFC 4291), and for a local address the interface on which it is valid (RFC 4007).
///
/// Two addresses with different scopes are different addresses. An IPv4-mapped address (`::ffff:1.2.3.4`) is not
/// converted, because a socket of the IPv6 family needs this form; `IPAddress.canonical` is the IPv4 address inside.
public struct IPv6Address: Hashable, Sendable {
  /// The first eight bytes as a number in host order.
  public let high: UInt64
  /// The last eight bytes as a number in host order.
  public let low: UInt64
  /// The index of the interface on which the address is valid (`sin6_scope_id`), 0 for none.
  public let scope: UInt32

  /// Makes an address from its two halves.
  ///
  /// - Parameters:
  ///   - high: The first eight bytes as a number in host order.
  ///   - low: The last eight bytes as a number in host order.
  ///   - scope: The index of the interface (`if_nametoindex`), 0 for none.
  public init(high: UInt64, low: UInt64, scope: UInt32 = 0) {
    self.high = high
    self.low = low
    self.scope = scope
  }

  /// Makes an address from the eight groups of its text, in order, and the index of the interface, 0 for none.
  public init(
    _ a: UInt16, _ b: UInt16, _ c: UInt16, _ d: UInt16, _ e: UInt16, _ f: UInt16, _ g: UInt16, _ h: UInt16,
    scope: UInt32 = 0
  ) {
    let high = UInt64(a) << 48 | UInt64(b) << 32 | UInt64(c) << 16 | UInt64(d)
    let low = UInt64(e) << 48 | UInt64(f) << 32 | UInt64(g) << 16 | UInt64(h)
    self.init(high: high, low: low, scope: scope)
  }

  /// Makes the IPv4-mapped address: the form in which a socket of the IPv6 family sees an IPv4 peer (RFC 4291, section
  /// 2.5.5.2).
  public init(mapping address: IPv4Address) {
    self.init(high: 0, low: 0xFFFF << 32 | UInt64(address.rawValue))
  }

  /// `::`, every address of this machine when listening (`in6addr_any`).
  public static let any = IPv6Address(high: 0, low: 0)
  /// `::1`, this machine (`in6addr_loopback`).
  public static let loopback = IPv6Address(high: 0, low: 1)

  /// Returns the same address on the interface with this index, 0 for none.
  public func scoped(_ scope: UInt32) -> IPv6Address { IPv6Address(high: high, low: low, scope: scope) }

  /// Returns the name of the interface in `scope`, or nil if the scope is 0 or no interface has that index. Asks the
  /// kernel (`if_indextoname`).
  public func interfaceName() -> String? {
    guard scope != 0 else { return nil }
    return unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(IF_NAMESIZE)) { buffer in
      guard let base = buffer.baseAddress, let name = unsafe if_indextoname(scope, base) else { return nil }
      return unsafe String(cString: name)
    }
  }

  /// The IPv4 address inside an address of `::ffff:0:0/96`, or nil for every other address.
  public var v4Mapped: IPv4Address? {
    high == 0 && low >> 32 == 0xFFFF ? IPv4Address(rawValue: UInt32(truncatingIfNeeded: low)) : nil
  }
  /// Whether the address is `::`, on any interface.
  public var isAny: Bool { high == 0 && low == 0 }
  /// Whether the address is `::1`, on any interface.
  public var isLoopback: Bool { high == 0 && low == 1 }
  /// Whether the address is in `fe80::/10` (RFC 4291, section 2.5.6). A socket needs the scope of such an address.
  public var isLinkLocal: Bool { high >> 54 == 0x3FA }
  /// Whether the address is in `fc00::/7` (RFC 4193).
  public var isUniqueLocal: Bool { high >> 57 == 0x7E }
  /// Whether the address is in `ff00::/8` (RFC 4291, section 2.7).
  public var isMulticast: Bool { high >> 56 == 0xFF }
}

extension IPv6Address: Comparable {
  /// Orders by the bytes, then by the scopes.
  public static func < (left: Self, right: Self) -> Bool {
    (left.high, left.low, left.scope) < (right.high, right.low, right.scope)
  }
}
