import ArgumentParser
import Fin
import FinDoctor

/// An address, or all addresses with a prefix: `10.0.0.0/8`.
struct AddressRange: ExpressibleByArgument, Sendable {
  private let bits: AddressBits
  private let mask: AddressBits
  private let isIPv6: Bool
  /// The interface that a link-local address names; 0 for any.
  private var interface: UInt32 = 0

  init?(argument: String) {
    let parts = argument.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count <= 2, let address = IPAddress(String(parts[0])) else { return nil }
    var length: Int?
    if parts.count == 2 {
      guard let number = Int(parts[1]), number >= 0 else { return nil }
      length = number
    }
    switch address.canonical {
    case .v4(let address):
      guard length ?? 32 <= 32 else { return nil }
      isIPv6 = false
      bits = AddressBits(low: UInt64(address.rawValue))
      mask = AddressBits(low: UInt64(UInt32(truncatingIfNeeded: ~UInt64(0) << UInt64(32 - (length ?? 32)))))
    case .v6(let address):
      let length = length ?? 128
      guard length <= 128 else { return nil }
      isIPv6 = true
      interface = address.scope
      bits = AddressBits(high: address.high, low: address.low)
      mask = AddressBits(
        high: length >= 64 ? .max : ~(.max >> UInt64(length)),
        low: length <= 64 ? 0 : ~(length == 128 ? 0 : .max >> UInt64(length - 64)))
    }
  }

  func contains(_ address: NetworkAddress) -> Bool {
    if !isIPv6 {
      guard let v4 = address.asIPv4 else { return false }
      return UInt64(v4) & mask.low == bits.low & mask.low
    }
    if interface != 0, address.interface != interface { return false }
    return address.isIPv6 && address.bits.high & mask.high == bits.high & mask.high
      && address.bits.low & mask.low == bits.low & mask.low
  }
}
