/// A block of IP addresses that begin with the same bits: `10.0.0.0/8`, `2001:db8::/32` (RFC 4632, RFC 4291).
public struct AddressPrefix: Hashable, Sendable, LosslessStringConvertible {
  /// The first address of the block.
  public let address: IPAddress
  /// The number of bits that all addresses of the block share.
  public let length: Int

  /// Makes a block.
  ///
  /// - Returns: `nil` when the length is not one of the family, or when a bit behind it is set.
  public init?(_ address: IPAddress, length: Int) {
    self.address = address
    self.length = length
    guard length >= 0, length <= (address.family == .ipv4 ? 32 : 128), address.masked(to: length) == address else {
      return nil
    }
  }

  /// Parses `10.0.0.0/8`. An address without a length is a block of one.
  public init?(_ description: String) {
    let parts = description.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    guard let address = IPAddress(String(parts[0])) else { return nil }
    guard parts.count == 2 else {
      self.init(address, length: address.family == .ipv4 ? 32 : 128)
      return
    }
    guard let length = Int(parts[1]), String(length) == parts[1] else { return nil }
    self.init(address, length: length)
  }

  /// The block as text: `10.0.0.0/8`.
  public var description: String { "\(address)/\(length)" }

  /// Whether an address is in the block. An IPv4-mapped address counts as the IPv4 address.
  public func contains(_ address: IPAddress) -> Bool {
    let address = address.canonical
    guard address.family == self.address.family else { return false }
    return address.masked(to: length) == self.address
  }
}

extension IPAddress {
  /// The address with all bits behind the first `length` cleared, and without a scope unless all bits are kept.
  func masked(to length: Int) -> IPAddress {
    switch self {
    case .v4(let address):
      return .v4(IPv4Address(rawValue: length <= 0 ? 0 : address.rawValue & (.max << max(0, 32 - length))))
    case .v6(let address):
      if length >= 128 { return self }
      let high: UInt64 = length <= 0 ? 0 : .max << UInt64(max(0, 64 - length))
      let low: UInt64 = length <= 64 ? 0 : .max << UInt64(128 - length)
      return .v6(IPv6Address(high: address.high & high, low: address.low & low))
    }
  }

  /// The part of an address by which a peer is counted: an IPv4 address whole, and the /64 of an IPv6 address, behind
  /// which a client has all addresses.
  var peerKey: IPAddress {
    let address = canonical
    return address.family == .ipv6 ? address.masked(to: 64) : address
  }
}
