internal import FinBase

extension HostAndPort {
  /// Splits a text such as `[::1]:80`.
  init(reading source: AddressText) throws(AddressError) {
    self = try AddressError.refusing { () throws(AddressRefusal) in try HostAndPort(splitting: source) }
  }
}

extension Endpoint.Host {
  /// Parses the part before the port.
  init(reading source: AddressText, _ parts: HostAndPort) throws(AddressError) {
    try self.init(AddressError.refusing { () throws(AddressRefusal) in try ParsedHost(reading: source, parts) }, source)
  }

  /// Parses a host without a port, where an IPv6 address needs no brackets.
  init(readingAlone source: AddressText) throws(AddressError) {
    try self.init(AddressError.refusing { () throws(AddressRefusal) in try ParsedHost(readingAlone: source) }, source)
  }

  private init(_ parsed: ParsedHost, _ source: AddressText) throws(AddressError) {
    self =
      switch parsed {
      case .anywhere: .anywhere
      case .ip(let address):
        .ip(try AddressError.refusing { () throws(AddressRefusal) in try IPAddress(address, source) })
      case .name(let range): .name(source.string(range))
      }
  }
}

extension Endpoint.Port {
  /// Parses a port number, or a service name if the text begins with a letter.
  init(reading source: AddressText, _ range: Range<Int>) throws(AddressError) {
    if let first = source.bytes[range].first, first.isLetter {
      self = .service(try Self.service(source, range))
    } else {
      self = .number(try AddressError.refusing { () throws(AddressRefusal) in try source.port(in: range) })
    }
  }

  /// Parses a service name with the characters that occur in `/etc/services`; RFC 6335 allows fewer.
  private static func service(_ source: AddressText, _ range: Range<Int>) throws(AddressError) -> String {
    for index in range {
      let byte = source.bytes[index]
      let isAllowed =
        byte.isLetter || byte.isDigit
        || [UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "+")]
          .contains(byte)
      guard isAllowed else { throw source.error(ofCharacterAt: index, "in a service's name") }
    }
    guard range.count <= 64 else {
      throw source.error(at: range.lowerBound + 64, "a service's name longer than 64 bytes")
    }
    return source.string(range)
  }
}
