import ArgumentParser
import FinDoctor

/// An address, or all addresses with a prefix: `10.0.0.0/8`.
struct AddressRange: ExpressibleByArgument, Sendable {
  private let bits: AddressBits
  private let mask: AddressBits
  private let isIPv6: Bool
  /// The address, with its interface.
  private let written: WrittenAddress

  /// The name of the interface that the address names, if it is written as a name.
  var interfaceName: String? { written.interfaceName }

  init?(argument: String) {
    let parts = argument.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count <= 2, let written = try? WrittenAddress(parsing: String(parts[0])) else { return nil }
    self.written = written
    var length: Int?
    if parts.count == 2 {
      guard let number = Int(parts[1]), number >= 0 else { return nil }
      length = number
    }
    if let v4 = written.address.asIPv4 {
      guard length ?? 32 <= 32 else { return nil }
      isIPv6 = false
      bits = AddressBits(low: UInt64(v4))
      mask = AddressBits(low: UInt64(UInt32(truncatingIfNeeded: ~UInt64(0) << UInt64(32 - (length ?? 32)))))
    } else {
      let length = length ?? 128
      guard length <= 128 else { return nil }
      isIPv6 = true
      bits = written.address.bits
      mask = AddressBits(
        high: length >= 64 ? .max : ~(.max >> UInt64(length)),
        low: length <= 64 ? 0 : ~(length == 128 ? 0 : .max >> UInt64(length - 64)))
    }
  }

  /// Whether it contains an address that a socket of this namespace has.
  func contains(_ address: NetworkAddress, in namespace: @autoclosure () -> Namespace) -> Bool {
    if !isIPv6 {
      guard let v4 = address.asIPv4 else { return false }
      return UInt64(v4) & mask.low == bits.low & mask.low
    }
    guard address.isIPv6, address.bits.high & mask.high == bits.high & mask.high,
      address.bits.low & mask.low == bits.low & mask.low, let interface = written.interface(in: namespace())
    else { return false }
    return interface == 0 || address.interface == interface
  }
}
