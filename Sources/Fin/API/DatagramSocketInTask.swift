/// The operations of ``DatagramSocketProtocol`` in a task: they suspend where the others block. A cancelled operation
/// throws `.cancelled` at once, and loses no datagram.
extension DatagramSocketProtocol where Self: ~Copyable {
  /// Sends one datagram, of 0 bytes or more: `sendto`, `send`.
  ///
  /// - Parameters:
  ///   - bytes: 0 or more bytes; 65,507 at most for UDP over IPv4.
  ///   - peer: the address to send to; `nil` for the one that the socket is connected to.
  ///   - within: the timeout; by default ``Timeouts/send``.
  /// - Throws: as in a thread, and `.cancelled`.
  public borrowing func send(
    _ bytes: RawSpan, to peer: SocketAddress? = nil, within: Timeout = .default
  ) async throws(SocketError) {
    let core = reference.core
    var timeout = LazyDeadline(within, or: timeouts.send)
    var outgoing = DatagramSendState(peer: peer)
    try await core.perform(.using, .send, &timeout, &outgoing) { outgoing, access throws(SocketError) in
      try unsafe bytes.withUnsafeBytes { bytes throws(SocketError) in
        try unsafe core.sendDatagram(bytes, &outgoing, access)
      }
    }
  }

  /// Sends the bytes of an array as one datagram, without copying it.
  public borrowing func send(
    _ bytes: [UInt8], to peer: SocketAddress? = nil, within: Timeout = .default
  ) async throws(SocketError) {
    try await send(unsafe bytes.span.bytes, to: peer, within: within)
  }

  /// Sends the UTF-8 of a string as one datagram.
  public borrowing func send(
    _ text: some StringProtocol, to peer: SocketAddress? = nil, within: Timeout = .default
  ) async throws(SocketError) {
    try await send(Array(text.utf8), to: peer, within: within)
  }

  /// Receives one datagram: `recvfrom`, with `MSG_TRUNC`.
  ///
  /// - Parameters:
  ///   - most: the most bytes to take of it, up to 16 MiB; a longer datagram is cut, and ``Datagram/isTruncated``
  ///     is true.
  ///   - within: the timeout; by default ``Timeouts/receive``.
  /// - Throws: as in a thread, and `.cancelled`.
  public borrowing func receive(upTo most: Int = 65_535, within: Timeout = .default) async throws(SocketError)
    -> Datagram
  {
    let core = reference.core
    var timeout = LazyDeadline(within, or: timeouts.receive)
    var progress = Stateless()
    return try await core.perform(.using, .receive, &timeout, &progress) { _, access throws(SocketError) in
      try core.receiveDatagram(upTo: most, access)
    }
  }

  /// Receives one datagram into the free part of `output`, without copying it again.
  @discardableResult
  public borrowing func receive(
    into output: inout OutputRawSpan, within: Timeout = .default
  ) async throws(SocketError) -> Datagram.Envelope {
    let core = reference.core
    var timeout = LazyDeadline(within, or: timeouts.receive)
    var progress = Stateless()
    return try await core.perform(.using, .receive, &timeout, &progress) { _, access throws(SocketError) in
      try core.receiveDatagram(into: &output, access)
    }
  }
}
