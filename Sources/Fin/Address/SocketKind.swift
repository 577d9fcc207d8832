import Glibc

/// How a socket carries bytes: the second argument of `socket`, without its flags.
public struct SocketKind: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
  /// The number the kernel uses (`SOCK_…`).
  public let rawValue: CInt

  /// Any number is taken; the kernel answers for it (`ESOCKTNOSUPPORT`, `EINVAL`).
  public init(rawValue: CInt) { self.rawValue = rawValue }

  /// `SOCK_STREAM`: bytes in order, with an end (TCP, Unix streams).
  public static let stream = SocketKind(rawValue: CInt(SOCK_STREAM.rawValue))
  /// `SOCK_DGRAM`: single messages without a connection's end (UDP, Unix datagrams).
  public static let datagram = SocketKind(rawValue: CInt(SOCK_DGRAM.rawValue))
  /// `SOCK_SEQPACKET`: messages in order, with an end (Unix, SCTP).
  public static let sequencedPacket = SocketKind(rawValue: CInt(SOCK_SEQPACKET.rawValue))

  /// `stream`, `datagram`, `sequenced packet`, or the number.
  public var description: String {
    switch self {
    case .stream: "stream"
    case .datagram: "datagram"
    case .sequencedPacket: "sequenced packet"
    default: "socket kind \(rawValue)"
    }
  }
}
