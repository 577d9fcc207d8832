/// What sends and receives datagrams: ``DatagramSocket`` and ``SharedDatagramSocket``.
///
/// A datagram arrives whole or not at all; it may be lost, come twice, or come late, and nobody tells. There is no end
/// of file: 0 bytes are a datagram. Any number of threads may send and receive at once; each datagram goes to one of
/// them. An error is about one datagram and does not end the socket. With `IP_RECVERR` or `IPV6_RECVERR` set, each
/// report of the socket's error queue is the error of one call, in their order, with the address of the datagram that
/// it is about as ``SocketError/peer``; the queue is this library's to read then. Every verb waits at most `within`, or
/// ``SocketEnd/timeouts``.
public protocol DatagramEnd: SocketEnd, ~Copyable {}

extension DatagramEnd where Self: ~Copyable {
  /// Sends one datagram, of 0 bytes or more.
  ///
  /// The corresponding C functions are `sendto` and `send`, with `MSG_NOSIGNAL`. It waits while the send buffer, or the queue
  /// of a Unix receiver, is full.
  /// - Parameters:
  ///   - bytes: 0 or more; 65,507 at most for UDP over IPv4.
  ///   - peer: where to; `nil` for the address that the socket is connected to.
  ///   - within: `nil` for ``Timeouts/send``.
  /// - Throws: `.system(EMSGSIZE)` when it is too long for one datagram; `.system(EACCES)` for a broadcast address without
  ///   ``SocketOption/broadcast``; `.system(ECONNREFUSED)` when an earlier datagram of a connected socket met a port that
  ///   nobody has (this one was not sent; the next call sends again); `.timedOut`, `.closed`.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func send(
    _ bytes: RawSpan, to peer: SocketAddress? = nil, within: Duration? = nil
  ) throws(SocketError) {
    let core = reference.core
    var patience = Patience(within, or: timeouts.sendLimit)
    var outgoing = Outgoing(peer: peer)
    try core.inside(.passing, .send, &patience, &outgoing) { outgoing, world throws(SocketError) in
      try unsafe bytes.withUnsafeBytes { bytes throws(SocketError) in
        try unsafe core.sendDatagram(bytes, &outgoing, world)
      }
    }
  }

  /// Sends the bytes of an array as one datagram, without copying it.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func send(
    _ bytes: [UInt8], to peer: SocketAddress? = nil, within: Duration? = nil
  ) throws(SocketError) {
    try send(unsafe bytes.span.bytes, to: peer, within: within)
  }

  /// Sends the UTF-8 of a string as one datagram.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func send(
    _ text: some StringProtocol, to peer: SocketAddress? = nil, within: Duration? = nil
  ) throws(SocketError) {
    try send(Array(text.utf8), to: peer, within: within)
  }

  /// Receives one datagram.
  ///
  /// The corresponding C function is `recvfrom`, with `MSG_TRUNC`.
  /// - Parameters:
  ///   - most: bytes to take of it, up to 16 MiB; what has more is cut, and says so. The default takes any UDP datagram
  ///     whole.
  ///   - within: `nil` for ``Timeouts/receive``.
  /// - Throws: `.timedOut`; `.closed`; `.system(ECONNREFUSED)` when a datagram sent by a connected socket met a port that
  ///   nobody has: told once for each report, and the socket goes on.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func receive(upTo most: Int = 65_535, within: Duration? = nil) throws(SocketError) -> Datagram {
    let core = reference.core
    var patience = Patience(within, or: timeouts.receiveLimit)
    var progress = NoProgress()
    return try core.inside(.passing, .receive, &patience, &progress) { _, world throws(SocketError) in
      try core.receiveDatagram(upTo: most, world)
    }
  }

  /// Receives one datagram into the free part of `output`; nothing is copied besides.
  ///
  /// - Throws: as ``DatagramEnd/receive(upTo:within:)-15aip``.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  @discardableResult
  public borrowing func receive(
    into output: inout OutputRawSpan, within: Duration? = nil
  ) throws(SocketError) -> Datagram.Envelope {
    let core = reference.core
    var patience = Patience(within, or: timeouts.receiveLimit)
    var progress = NoProgress()
    return try core.inside(.passing, .receive, &patience, &progress) { _, world throws(SocketError) in
      try core.receiveDatagram(into: &output, world)
    }
  }

  /// Sends to one address from now on, and receives from it alone; a second time it changes the address.
  ///
  /// The corresponding C function is `connect`, which sends nothing here. Datagrams that had come before stay in the queue,
  /// whoever sent them. What the other host says about lost datagrams (ICMP) is heard by connected sockets only.
  public borrowing func connect(to peer: SocketAddress) throws(SocketError) {
    try reference.core.connectDatagrams(to: peer)
  }
}

extension Datagram {
  /// What ``DatagramEnd/receive(upTo:within:)`` takes at most.
  static let most = 16 << 20
}
