/// One message, as it arrived.
public struct Datagram: Hashable, Sendable, CustomStringConvertible {
  /// What there was room for. Empty is a datagram too, and no end.
  public let bytes: [UInt8]
  /// Who sent it; `nil` for a Unix sender without a name, who cannot be answered.
  public let from: SocketAddress?
  /// How many bytes the datagram had.
  public let length: Int
  /// Whether it had more bytes than there was room for. The rest is gone: the kernel keeps no part of a datagram.
  public var isTruncated: Bool { length > bytes.count }

  public var description: String {
    "\(length) bytes from \(from.map { "\($0)" } ?? "a sender without a name")"
      + (isTruncated ? ", the first \(bytes.count) received" : "")
  }

  /// What is known of a datagram whose bytes are elsewhere: see ``DatagramEnd/receive(into:within:)-7odcl``.
  public struct Envelope: Hashable, Sendable {
    /// Who sent it; `nil` for a Unix sender without a name.
    public let from: SocketAddress?
    /// How many bytes the datagram had.
    public let length: Int
    /// How many of them were received.
    public let received: Int
    /// Whether it had more bytes than there was room for.
    public var isTruncated: Bool { length > received }
  }
}
