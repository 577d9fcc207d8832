import Glibc

/// The kind of transfer of a socket: the second argument of `socket(2)`, without its flags.
public struct SocketKind: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
  /// The number that the kernel uses (`SOCK_…`).
  public let rawValue: CInt

  /// Accepts any number; the kernel rejects one that it does not support (`ESOCKTNOSUPPORT`, `EINVAL`).
  public init(rawValue: CInt) { self.rawValue = rawValue }

  /// `SOCK_STREAM`: bytes in order, with an EOF (TCP, Unix streams).
  public static let stream = SocketKind(rawValue: CInt(SOCK_STREAM.rawValue))
  /// `SOCK_DGRAM`: single messages, without an EOF (UDP, Unix datagrams).
  public static let datagram = SocketKind(rawValue: CInt(SOCK_DGRAM.rawValue))
  /// `SOCK_SEQPACKET`: messages in order, with an EOF (Unix, SCTP).
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
