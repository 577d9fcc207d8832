/// The header with which a proxy tells a server whose connection it passes on: version 2 of the PROXY protocol, as
/// HAProxy specifies it. It is the first that is sent on a connection, before TLS.
public enum ProxyAnnouncement {
  private static let signature: [UInt8] = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]

  /// Makes the header for a client.
  ///
  /// Addresses of different families are both written as IPv6, the IPv4 one mapped (`::ffff:192.0.2.1`). A client
  /// without an IP address, such as that of a Unix socket, is announced as unknown: the server then takes the proxy's
  /// own address.
  /// - Parameters:
  ///   - client: the client's address.
  ///   - server: the address at which the client reached the proxy.
  /// - Returns: 16 bytes, or 28 for IPv4, or 52 for IPv6.
  public static func header(client: SocketAddress?, server: SocketAddress?) -> [UInt8] {
    guard case .ip(let source, let sourcePort)? = client, case .ip(let destination, let port)? = server else {
      return signature + [0x21, 0x00, 0, 0]
    }
    let ports = bytes(sourcePort) + bytes(port)
    if case .v4(let source) = source, case .v4(let destination) = destination {
      return signature + [0x21, 0x11, 0, 12] + bytes(source.rawValue) + bytes(destination.rawValue) + ports
    }
    return signature + [0x21, 0x21, 0, 36] + wide(source) + wide(destination) + ports
  }

  private static func wide(_ address: IPAddress) -> [UInt8] {
    switch address {
    case .v4(let address): wide(.v6(IPv6Address(mapping: address)))
    case .v6(let address): bytes(address.high) + bytes(address.low)
    }
  }

  /// The bytes of a number, the highest first.
  private static func bytes<Number: FixedWidthInteger & UnsignedInteger>(_ number: Number) -> [UInt8] {
    stride(from: Number.bitWidth - 8, through: 0, by: -8).map { UInt8(truncatingIfNeeded: number >> Number($0)) }
  }
}
