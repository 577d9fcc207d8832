import Glibc

/// The kind of network that an address belongs to: the first argument of `socket(2)`.
public struct AddressFamily: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
  /// The number that the kernel uses (`AF_…`).
  public let rawValue: CInt

  /// Accepts any number; the kernel rejects one that it does not support (`EAFNOSUPPORT`).
  public init(rawValue: CInt) { self.rawValue = rawValue }

  /// `AF_INET`.
  public static let ipv4 = AddressFamily(rawValue: AF_INET)
  /// `AF_INET6`.
  public static let ipv6 = AddressFamily(rawValue: AF_INET6)
  /// `AF_UNIX`: sockets between programs of one machine.
  public static let unix = AddressFamily(rawValue: AF_UNIX)

  /// `IPv4`, `IPv6`, `Unix`, or the number.
  public var description: String {
    switch self {
    case .ipv4: "IPv4"
    case .ipv6: "IPv6"
    case .unix: "Unix"
    default: "address family \(rawValue)"
    }
  }
}
