package import FinBase

/// An address as a user writes it: `127.0.0.1`, `2001:db8::1`, `fe80::1%2`, `fe80::1%eth0`.
///
/// The name of an interface has an index of its own in each network namespace, so the census looks it up, in each
/// namespace that it reads: see ``Census/Options/interfaceNames``.
package struct WrittenAddress: Hashable, Sendable {
  /// The address, with the interface that is written as a number; 0 where it is a name.
  package let address: NetworkAddress
  /// The name of the interface, if it is written as a name.
  package let interfaceName: String?

  /// Makes one from an address that needs no lookup.
  package init(_ address: NetworkAddress) { self.init(address, interfaceName: nil) }

  private init(_ address: NetworkAddress, interfaceName: String?) {
    self.address = address
    self.interfaceName = interfaceName
  }

  /// Parses an address without a port. Names of hosts are not resolved.
  /// - Throws: The reason and the position.
  package init(parsing text: String) throws(AddressRefusal) {
    let source = AddressText(text)
    self.init(try source.address(in: source.all), source)
  }

  fileprivate init(_ parsed: ParsedAddress, _ source: AddressText) {
    let bits = AddressBits(high: parsed.high, low: parsed.low)
    switch parsed.zone {
    case .none: self.init(NetworkAddress(bits, isIPv6: parsed.isIPv6))
    case .index(let index): self.init(NetworkAddress(bits, isIPv6: parsed.isIPv6, interface: index))
    case .name(let range):
      self.init(NetworkAddress(bits, isIPv6: parsed.isIPv6), interfaceName: source.string(range))
    }
  }

  /// The index of the interface in a namespace: 0 for none; nil where no interface has the name.
  package func interface(in namespace: Namespace) -> UInt32? {
    guard let interfaceName else { return address.interface }
    return namespace.interfaces[interfaceName]
  }

  /// The address in a namespace; nil where no interface has the name.
  package func resolved(in namespace: Namespace) -> NetworkAddress? {
    interface(in: namespace).map { NetworkAddress(address.bits, isIPv6: address.isIPv6, interface: $0) }
  }
}

/// One end of a connection as a user writes it: `127.0.0.1:80`, `[::1]:80`, `[fe80::1%eth0]:80`, `:80`, `*:80`.
package struct WrittenEnd: Hashable, Sendable {
  /// The address; nil for every address.
  package let address: WrittenAddress?
  /// The port.
  package let port: UInt16

  /// Parses an address and a port. Names of hosts and of services are not resolved.
  /// - Throws: The reason and the position.
  package init(parsing text: String) throws(AddressRefusal) {
    let source = AddressText(text)
    let parts = try HostAndPort(splitting: source)
    switch try ParsedHost(reading: source, parts) {
    case .anywhere: address = nil
    case .ip(let parsed): address = WrittenAddress(parsed, source)
    case .name(let range):
      throw source.refusal(at: range.lowerBound, "names are not resolved; write the address")
    }
    port = try source.port(in: parts.port)
  }
}
