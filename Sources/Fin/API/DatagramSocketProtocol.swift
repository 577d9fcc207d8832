internal import Glibc

/// A socket that sends and receives datagrams: ``DatagramSocket`` or ``SharedDatagramSocket``.
///
/// A datagram arrives whole or not at all; it may be lost, duplicated or late, and neither side is notified. There is
/// no end of file: 0 bytes are a datagram. Any number of threads may send and receive at once; each datagram goes to
/// one of them. An error concerns one datagram and does not end the socket. Every operation waits at most `within`, or
/// ``SocketProtocol/timeouts``.
///
/// With ``SocketOption/reportErrors`` or ``SocketOption/reportErrors6`` set, each report of the socket's error queue
/// becomes the error of one call, in order, with the address of the datagram that it concerns as
/// ``SocketError/remoteAddress`` and everything else in ``SocketError/report``. The program leaves the queue to Fin
/// then.
///
/// Each operation has two forms under one name: in a thread it blocks; in a task, where it is awaited, it suspends.
/// When the task is cancelled it throws `.cancelled` at once, and loses no datagram.
public protocol DatagramSocketProtocol: SocketProtocol, ~Copyable {}

extension DatagramSocketProtocol where Self: ~Copyable {
  /// Sends one datagram, of 0 bytes or more.
  ///
  /// The corresponding C functions are `sendto` and `send`, with `MSG_NOSIGNAL`. It waits while the send buffer, or the
  /// queue of a Unix receiver, is full.
  /// - Parameters:
  ///   - bytes: 0 or more bytes; 65,507 at most for UDP over IPv4.
  ///   - peer: the address to send to; `nil` for the one that the socket is connected to.
  ///   - within: the timeout; by default ``Timeouts/send``.
  /// - Throws: `.system(EMSGSIZE)` when the bytes are too many for one datagram; `.system(EACCES)` for a broadcast
  ///   address without ``SocketOption/broadcast``; `.system(ECONNREFUSED)` when an earlier datagram of a connected
  ///   socket was refused because no socket has the port (this one was not sent; the next call sends again);
  ///   `.timedOut`, `.closed`.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func send(
    _ bytes: RawSpan, to peer: SocketAddress? = nil, within: Timeout = .default
  ) throws(SocketError) {
    try perform(.using, .send, timeouts.sending(within), DatagramSendState(peer: peer)) {
      core, outgoing, access throws(SocketError) in
      try unsafe bytes.withUnsafeBytes { bytes throws(SocketError) in
        try unsafe core.sendDatagram(bytes, &outgoing, access)
      }
    }
  }

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
    try await perform(.using, .send, timeouts.sending(within), DatagramSendState(peer: peer)) {
      core, outgoing, access throws(SocketError) in
      try unsafe bytes.withUnsafeBytes { bytes throws(SocketError) in
        try unsafe core.sendDatagram(bytes, &outgoing, access)
      }
    }
  }

  /// Sends the bytes of an array as one datagram, without copying it.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func send(
    _ bytes: [UInt8], to peer: SocketAddress? = nil, within: Timeout = .default
  ) throws(SocketError) {
    try send(unsafe bytes.span.bytes, to: peer, within: within)
  }

  /// Sends the bytes of an array as one datagram, without copying it.
  public borrowing func send(
    _ bytes: [UInt8], to peer: SocketAddress? = nil, within: Timeout = .default
  ) async throws(SocketError) {
    try await send(unsafe bytes.span.bytes, to: peer, within: within)
  }

  /// Sends the UTF-8 of a string as one datagram.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func send(
    _ text: some StringProtocol, to peer: SocketAddress? = nil, within: Timeout = .default
  ) throws(SocketError) {
    try send(Array(text.utf8), to: peer, within: within)
  }

  /// Sends the UTF-8 of a string as one datagram.
  public borrowing func send(
    _ text: some StringProtocol, to peer: SocketAddress? = nil, within: Timeout = .default
  ) async throws(SocketError) {
    try await send(Array(text.utf8), to: peer, within: within)
  }

  /// Receives one datagram.
  ///
  /// The corresponding C function is `recvfrom`, with `MSG_TRUNC`.
  /// - Parameters:
  ///   - most: the most bytes to take of it, up to 16 MiB; a longer datagram is cut, and ``Datagram/isTruncated`` is
  ///     true. The default takes any UDP datagram whole.
  ///   - within: the timeout; by default ``Timeouts/receive``.
  /// - Throws: `.timedOut`; `.closed`; `.invalid` when `most` is out of range; `.system(ECONNREFUSED)` when a datagram
  ///   sent by a connected socket was refused because no socket has the port: thrown once for each report, and the
  ///   socket goes on; `.system(ESHUTDOWN)` when another holder of the socket has called `shutdown(SHUT_RD)` and no
  ///   datagram is queued.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func receive(upTo most: Int = 65_535, within: Timeout = .default) throws(SocketError) -> Datagram {
    try perform(.using, .receive, timeouts.receiving(within), Stateless()) {
      core, _, access throws(SocketError) in
      try core.receiveDatagram(upTo: most, access)
    }
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
    try await perform(.using, .receive, timeouts.receiving(within), Stateless()) {
      core, _, access throws(SocketError) in
      try core.receiveDatagram(upTo: most, access)
    }
  }

  /// Receives one datagram into the free part of `output`, without copying it again.
  ///
  /// - Throws: as `receive(upTo:within:)`.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  @discardableResult
  public borrowing func receive(
    into output: inout OutputRawSpan, within: Timeout = .default
  ) throws(SocketError) -> Datagram.Envelope {
    try perform(.using, .receive, timeouts.receiving(within), Stateless()) {
      core, _, access throws(SocketError) in
      try core.receiveDatagram(into: &output, access)
    }
  }

  /// Receives one datagram into the free part of `output`, without copying it again.
  @discardableResult
  public borrowing func receive(
    into output: inout OutputRawSpan, within: Timeout = .default
  ) async throws(SocketError) -> Datagram.Envelope {
    try await perform(.using, .receive, timeouts.receiving(within), Stateless()) {
      core, _, access throws(SocketError) in
      try core.receiveDatagram(into: &output, access)
    }
  }

  /// Returns the number of datagrams that the kernel has dropped because the receive buffer was full, since the socket
  /// was made: `SO_MEMINFO`. The count has 32 bits, and begins again at 0.
  public borrowing func datagramsDropped() throws(SocketError) -> UInt32 {
    let counts = try option(.raw("SO_MEMINFO", level: SOL_SOCKET, name: SO_MEMINFO, size: 9 * 4))
    // SK_MEMINFO_DROPS is the ninth of the counts.
    return counts.suffix(4).reversed().reduce(0) { $0 << 8 | UInt32($1) }
  }

  /// Sends to one address from now on, and receives from it alone; a second call changes the address.
  ///
  /// The corresponding C function is `connect`, which transmits nothing here. Datagrams that arrived before stay in the
  /// queue, whatever their sender. Only connected sockets receive the other host's reports of lost datagrams (ICMP).
  public borrowing func connect(to peer: SocketAddress) throws(SocketError) {
    try reference.core.connectDatagrams(to: peer)
  }
}

extension Datagram {
  /// The upper limit of `most` in ``DatagramSocketProtocol/receive(upTo:within:)``.
  static let most = 16 << 20
}
