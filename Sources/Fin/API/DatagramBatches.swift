extension DatagramSocketProtocol where Self: ~Copyable {
  /// Sends several datagrams in their order, with one system call for up to 64 of them.
  ///
  /// The corresponding C function is `sendmmsg`, repeated. An error concerns one datagram:
  /// ``SocketError/datagramsAccepted`` is the number of those before it, which are on their way, and those behind it
  /// were not tried. Without datagrams it does nothing.
  /// - Parameters:
  ///   - datagrams: the datagrams and their addresses.
  ///   - within: the timeout of the whole batch; by default ``Timeouts/send``.
  /// - Throws: as the send of one datagram, with the address of the one that failed.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func send(batch datagrams: [OutgoingDatagram], within: Timeout = .default) throws(SocketError) {
    try perform(.using, .send, timeouts.sending(within), BatchSendState(datagrams)) {
      core, batch, access throws(SocketError) in
      try core.send(&batch, access)
    }
  }

  /// Sends several datagrams in their order, in a task: `sendmmsg`, repeated.
  ///
  /// - Throws: as in a thread, and `.cancelled`; ``SocketError/datagramsAccepted`` are on their way then.
  public borrowing func send(
    batch datagrams: [OutgoingDatagram], within: Timeout = .default
  ) async throws(SocketError) {
    try await perform(.using, .send, timeouts.sending(within), BatchSendState(datagrams)) {
      core, batch, access throws(SocketError) in
      try core.send(&batch, access)
    }
  }

  /// Receives the datagrams that are there with one system call, and waits only while there is none.
  ///
  /// The corresponding C function is `recvmmsg`, with `MSG_TRUNC`.
  /// ```swift
  /// for datagram in try socket.receive(batch: 64, upTo: 1_500) { print(datagram) }
  /// ```
  /// - Parameters:
  ///   - most: the most datagrams, 1 to 1,024.
  ///   - bytes: the most bytes to take of each; a longer one is cut, and ``Datagram/isTruncated`` is true. The product
  ///     of both is the memory that the call uses, 16 MiB at most.
  ///   - within: the timeout; by default ``Timeouts/receive``.
  /// - Returns: at least one datagram.
  /// - Throws: as `receive(upTo:within:)`. An error that stands behind datagrams is the next call's, and so is a
  ///   report.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func receive(
    batch most: Int, upTo bytes: Int, within: Timeout = .default
  ) throws(SocketError) -> [Datagram] {
    try perform(.using, .receive, timeouts.receiving(within), Stateless()) { core, _, access throws(SocketError) in
      try core.receiveBatch(most, upTo: bytes, access)
    }
  }

  /// Receives the datagrams that are there, in a task: `recvmmsg`, with `MSG_TRUNC`.
  ///
  /// - Throws: as in a thread, and `.cancelled`, which loses no datagram.
  public borrowing func receive(
    batch most: Int, upTo bytes: Int, within: Timeout = .default
  ) async throws(SocketError) -> [Datagram] {
    try await perform(.using, .receive, timeouts.receiving(within), Stateless()) {
      core, _, access throws(SocketError) in
      try core.receiveBatch(most, upTo: bytes, access)
    }
  }
}
