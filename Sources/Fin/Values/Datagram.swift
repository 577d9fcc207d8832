/// A datagram, as it arrived.
public struct Datagram: Hashable, Sendable, CustomStringConvertible {
  /// The bytes received, as many as there was room for. A program may change them, for example to pass them on. An
  /// empty datagram is a datagram too, and not an end of file.
  public var bytes: [UInt8]
  /// The sender's address; `nil` for a Unix sender without a name, to which no answer can be sent.
  public let sender: SocketAddress?
  /// The number of bytes that the datagram had.
  public let length: Int
  /// Whether the datagram had more bytes than there was room for. The kernel discards the rest.
  public var isTruncated: Bool { length > received }
  /// The number of bytes that were received, whatever ``bytes`` has become since.
  private let received: Int

  init(bytes: [UInt8], sender: SocketAddress?, length: Int) {
    self.bytes = bytes
    self.sender = sender
    self.length = length
    received = bytes.count
  }

  public var description: String {
    "\(length) bytes from \(sender.map { "\($0)" } ?? "a sender without a name")"
      + (isTruncated ? ", the first \(received) received" : "")
  }

  /// The sender and the length of a datagram whose bytes are elsewhere: see
  /// `DatagramSocketProtocol.receive(into:within:)`.
  public struct Envelope: Hashable, Sendable {
    /// The sender's address; `nil` for a Unix sender without a name.
    public let sender: SocketAddress?
    /// The number of bytes that the datagram had.
    public let length: Int
    /// The number of bytes that were received.
    public let received: Int
    /// Whether the datagram had more bytes than there was room for.
    public var isTruncated: Bool { length > received }
  }
}
