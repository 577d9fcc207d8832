/// A datagram of a batch that is to be sent.
public struct OutgoingDatagram: Hashable, Sendable {
  /// The bytes, 0 or more; 65,507 at most for UDP over IPv4.
  public var bytes: [UInt8]
  /// The address to send to; `nil` for the one that the socket is connected to.
  public var peer: SocketAddress?

  /// Makes a datagram for ``DatagramSocketProtocol``'s `send(batch:within:)`.
  public init(_ bytes: [UInt8], to peer: SocketAddress? = nil) {
    self.bytes = bytes
    self.peer = peer
  }
}
