internal import FinBase

/// The address of a socket as the kernel accepts it: an IP address and a port, or the path of a Unix socket.
///
/// It is always exact and needs no lookup. The text that a user writes, which may contain a name, is an `Endpoint`.
public enum SocketAddress: Hashable, Sendable {
  /// An IP address and a port; port 0 lets the kernel choose.
  case ip(IPAddress, port: UInt16)
  /// The path or the abstract name of a Unix socket, or neither.
  case unix(UnixPath)

  /// 127.0.0.1 and the port.
  public static func loopback(port: UInt16) -> Self { .ip(.v4(.loopback), port: port) }
  /// `[::1]` and the port.
  public static func loopback6(port: UInt16) -> Self { .ip(.v6(.loopback), port: port) }
  /// 0.0.0.0 and the port: every IPv4 address of this machine when listening.
  public static func any(port: UInt16) -> Self { .ip(.v4(.any), port: port) }
  /// `[::]` and the port: every IPv6 address of this machine when listening, and every IPv4 address unless
  /// `IPV6_V6ONLY` is set.
  public static func any6(port: UInt16) -> Self { .ip(.v6(.any), port: port) }
  /// An IPv4 address and a port.
  public static func v4(_ address: IPv4Address, port: UInt16) -> Self { .ip(.v4(address), port: port) }
  /// An IPv6 address and a port.
  public static func v6(_ address: IPv6Address, port: UInt16) -> Self { .ip(.v6(address), port: port) }

  /// Returns the address of a Unix socket at the path, which is taken literally; `@` in front makes it an
  /// abstract name.
  /// - Parameter path: 1 to 107 bytes of UTF-8, and no NUL unless the name is abstract.
  /// - Throws: `AddressError` when it is empty or longer, or when a path holds a NUL.
  public static func unix(_ path: String) throws(AddressError) -> Self {
    guard path.utf8.first == UInt8(ascii: "@") else { return .unix(try UnixPath(path: path)) }
    return .unix(try UnixPath(abstract: path.utf8.dropFirst()))
  }

  /// The port, or nil for a Unix socket.
  public var port: UInt16? {
    if case .ip(_, let port) = self { return port }
    return nil
  }

  /// The IP address, or nil for a Unix socket.
  public var ip: IPAddress? {
    if case .ip(let address, _) = self { return address }
    return nil
  }

  /// The path of a Unix socket, or nil for an IP address.
  public var path: UnixPath? {
    if case .unix(let path) = self { return path }
    return nil
  }

  /// The family of a socket that accepts this address.
  public var family: AddressFamily {
    switch self {
    case .ip(let address, _): address.family
    case .unix: .unix
    }
  }

  /// The address in one canonical form: see `IPAddress.canonical`.
  public var canonical: SocketAddress {
    switch self {
    case .ip(let address, let port): .ip(address.canonical, port: port)
    case .unix: self
    }
  }
}

extension SocketAddress: LosslessStringConvertible {
  /// The text of the address: `1.2.3.4:80`, `[::1]:80`, `/run/x.sock`, `@name` or `(unnamed)`; `unix:x.sock` for a path
  /// that does not begin with `/`, `./` or `../`. Bytes of a path that are not printable appear as `\xHH`.
  public var description: String {
    switch self {
    case .ip(.v4(let address), let port): return "\(address):\(port)"
    case .ip(.v6(let address), let port): return "[\(address)]:\(port)"
    case .unix(let path):
      let text = path.description
      return AddressText(text).isUnixAddress(in: 0..<text.utf8.count, allowingPrefix: false) ? text : "unix:\(text)"
    }
  }

  /// Parses a text like `init(parsing:)`; nil for a refusal.
  public init?(_ description: String) {
    do throws(AddressError) { try self.init(parsing: description) } catch { return nil }
  }

  /// Parses the text that `description` prints. A name that needs a lookup is refused: see `Endpoint`.
  /// - Throws: `AddressError` with the reason and the position.
  public init(parsing text: String) throws(AddressError) {
    let source = AddressText(text)
    if let path = try UnixPath(readingAddress: source) {
      self = .unix(path)
      return
    }
    let parts = try HostAndPort(reading: source)
    let address: IPAddress =
      switch try Endpoint.Host(reading: source, parts) {
      case .ip(let address): address
      case .name:
        throw source.error(at: parts.host.lowerBound, "a name where an address in numbers belongs")
      case .anywhere:
        throw source.error(at: parts.host.lowerBound, "no address before the port (0.0.0.0 is any address)")
      }
    guard case .number(let port) = try Endpoint.Port(reading: source, parts.port) else {
      throw source.error(at: parts.port.lowerBound, "a service's name where a port's number belongs")
    }
    self = .ip(address, port: port)
  }
}

extension AddressText {
  /// Whether the text can only mean the address of a Unix socket.
  func isUnixAddress(in range: Range<Int>, allowingPrefix: Bool = true) -> Bool {
    hasPrefix("/", in: range) || hasPrefix("./", in: range) || hasPrefix("../", in: range) || hasPrefix("@", in: range)
      || string(range) == "(unnamed)" || (allowingPrefix && hasPrefix("unix:", in: range))
  }
}

extension UnixPath {
  /// Parses a text whose beginning marks it as the address of a Unix socket; nil for every other text.
  init?(readingAddress source: AddressText) throws(AddressError) {
    guard source.isUnixAddress(in: source.all) else { return nil }
    let prefix = source.hasPrefix("unix:", in: source.all) ? 5 : 0
    try self.init(reading: source, prefix..<source.bytes.count)
  }
}
