internal import FinBase

/// An address of either IP version.
public enum IPAddress: Hashable, Sendable {
  /// An IPv4 address.
  case v4(IPv4Address)
  /// An IPv6 address, which may have a scope and may be an IPv4-mapped one.
  case v6(IPv6Address)

  /// The family of a socket that accepts the address unchanged.
  public var family: AddressFamily {
    switch self {
    case .v4: .ipv4
    case .v6: .ipv6
    }
  }

  /// The address in one canonical form: an IPv4-mapped IPv6 address becomes the IPv4 address, all others
  /// stay unchanged.
  ///
  /// A listener of the IPv6 family sees IPv4 peers as `::ffff:1.2.3.4`. Compare, count and log peers in this form; pass
  /// the address to the kernel as it was received.
  public var canonical: IPAddress {
    if case .v6(let address) = self, let mapped = address.v4Mapped { return .v4(mapped) }
    return self
  }

  /// Whether the address is 0.0.0.0 or `::`.
  public var isAny: Bool {
    switch self {
    case .v4(let address): address.isAny
    case .v6(let address): address.isAny
    }
  }
  /// Whether the address is in 127.0.0.0/8, `::1`, or IPv4-mapped and in 127.0.0.0/8.
  public var isLoopback: Bool {
    switch canonical {
    case .v4(let address): address.isLoopback
    case .v6(let address): address.isLoopback
    }
  }
  /// Whether the address is a multicast group of either version, also when IPv4-mapped.
  public var isMulticast: Bool {
    switch canonical {
    case .v4(let address): address.isMulticast
    case .v6(let address): address.isMulticast
    }
  }
  /// Whether the address is valid on one link only: in 169.254.0.0/16 or `fe80::/10`, also when IPv4-mapped.
  public var isLinkLocal: Bool {
    switch canonical {
    case .v4(let address): address.isLinkLocal
    case .v6(let address): address.isLinkLocal
    }
  }
}

extension IPAddress: Comparable {
  /// Orders IPv4 before IPv6, then by the order of the version's own addresses.
  public static func < (left: Self, right: Self) -> Bool {
    switch (left, right) {
    case (.v4(let left), .v4(let right)): left < right
    case (.v6(let left), .v6(let right)): left < right
    case (.v4, .v6): true
    case (.v6, .v4): false
    }
  }
}

extension IPAddress: LosslessStringConvertible {
  /// The text of the address in its version, without brackets.
  public var description: String {
    switch self {
    case .v4(let address): address.description
    case .v6(let address): address.description
    }
  }

  /// Parses a text like `init(parsing:)`; nil for a refusal.
  public init?(_ description: String) {
    do throws(AddressError) { try self.init(parsing: description) } catch { return nil }
  }

  /// Parses an IPv6 address if the text has a colon, otherwise an IPv4 address.
  /// - Throws: `AddressError` with the reason and the position.
  public init(parsing text: String) throws(AddressError) {
    self = try AddressError.parsing(text) { source throws(AddressRefusal) in
      try IPAddress(source.address(in: source.all), source)
    }
  }

  /// Makes an address from a parsed one. The name of an interface is looked up in the calling thread's namespace.
  init(_ parsed: ParsedAddress, _ source: AddressText) throws(AddressRefusal) {
    let scope = try source.index(of: parsed.zone)
    self =
      parsed.isIPv6
      ? .v6(IPv6Address(high: parsed.high, low: parsed.low, scope: scope))
      : .v4(IPv4Address(rawValue: UInt32(truncatingIfNeeded: parsed.low)))
  }
}
