extension DatagramSocketProtocol where Self: ~Copyable {
  /// Asks the kernel to report these facts about each datagram that arrives from now on, and no others:
  /// ``DatagramArrival``.
  ///
  /// The corresponding C options are `IP_PKTINFO`, `IP_RECVTTL`, `IP_RECVTOS` and those of IPv6, `SO_TIMESTAMPNS` and
  /// `SO_RXQ_OVFL`.
  /// - Throws: `.invalid` for a Unix socket, which reports the time only; `.closed`.
  public borrowing func report(_ details: ArrivalDetails) throws(SocketError) {
    try reference.core.report(details)
  }

  /// Receives one datagram with the facts about its arrival that ``report(_:)`` asked for.
  ///
  /// A server that is bound to every address learns here which of them a client has asked, and answers from that one
  /// with `send(_:answering:within:)`.
  /// ```swift
  /// let socket = try DatagramSocket.bind(":5353")
  /// try socket.report([.destination, .time])
  /// let question = try socket.receiveArrival()
  /// try socket.send("yes", answering: question)
  /// ```
  /// The corresponding C function is `recvmsg`, with `MSG_TRUNC`.
  /// - Parameters:
  ///   - most: the most bytes to take of it, up to 16 MiB; a longer datagram is cut, and ``Datagram/isTruncated`` is
  ///     true.
  ///   - within: the timeout; by default ``Timeouts/receive``.
  /// - Throws: as `receive(upTo:within:)`.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func receiveArrival(
    upTo most: Int = 65_535, within: Timeout = .default
  ) throws(SocketError) -> DatagramArrival {
    try perform(.using, .receive, timeouts.receiving(within), Stateless()) { core, _, access throws(SocketError) in
      try core.receiveArrival(upTo: most, access)
    }
  }

  /// Receives one datagram with the facts about its arrival, in a task: `recvmsg`, with `MSG_TRUNC`.
  ///
  /// - Throws: as in a thread, and `.cancelled`.
  public borrowing func receiveArrival(
    upTo most: Int = 65_535, within: Timeout = .default
  ) async throws(SocketError) -> DatagramArrival {
    try await perform(.using, .receive, timeouts.receiving(within), Stateless()) {
      core, _, access throws(SocketError) in
      try core.receiveArrival(upTo: most, access)
    }
  }

  /// Sends one datagram from an address, or by an interface, that the caller names: `sendmsg` with `IP_PKTINFO` or
  /// `IPV6_PKTINFO`.
  ///
  /// - Parameters:
  ///   - bytes: 0 or more bytes; 65,507 at most for UDP over IPv4.
  ///   - peer: the address to send to.
  ///   - source: an address of this machine; `nil` for the one that the socket is bound to, or that the route names.
  ///   - interface: the index of the interface to leave by; `nil` for the one that the route names.
  ///   - within: the timeout; by default ``Timeouts/send``.
  /// - Throws: `.invalid` for a Unix socket, and when the versions of the addresses differ; `.system(EINVAL)` or
  ///   `.system(ENETUNREACH)` when this machine does not have the source address; otherwise as `send(_:to:within:)`.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func send(
    _ bytes: [UInt8], to peer: SocketAddress, from source: IPAddress?, by interface: UInt32? = nil,
    within: Timeout = .default
  ) throws(SocketError) {
    let control = try reference.core.checkSource(source, interface, to: peer)
    try perform(.using, .send, timeouts.sending(within), DatagramSendState(peer: peer, control: control)) {
      core, outgoing, access throws(SocketError) in
      try unsafe bytes.span.bytes.withUnsafeBytes { bytes throws(SocketError) in
        try unsafe core.sendDatagram(bytes, &outgoing, access)
      }
    }
  }

  /// Sends one datagram from an address, or by an interface, that the caller names, in a task.
  ///
  /// - Throws: as in a thread, and `.cancelled`.
  public borrowing func send(
    _ bytes: [UInt8], to peer: SocketAddress, from source: IPAddress?, by interface: UInt32? = nil,
    within: Timeout = .default
  ) async throws(SocketError) {
    let control = try reference.core.checkSource(source, interface, to: peer)
    try await perform(.using, .send, timeouts.sending(within), DatagramSendState(peer: peer, control: control)) {
      core, outgoing, access throws(SocketError) in
      try unsafe bytes.span.bytes.withUnsafeBytes { bytes throws(SocketError) in
        try unsafe core.sendDatagram(bytes, &outgoing, access)
      }
    }
  }

  /// Answers a datagram: sends one to its sender, from the address that the sender has asked.
  ///
  /// A client that is connected drops an answer from another address. Without ``ArrivalDetails/destination``, the route
  /// decides on the address, as for every other send. An answer to a link-local address leaves by the interface that
  /// is its scope.
  /// - Throws: `.invalid` when the sender has no name, as a Unix sender may have none; otherwise as
  ///   `send(_:to:from:by:within:)`.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func send(
    _ bytes: [UInt8], answering question: DatagramArrival, within: Timeout = .default
  ) throws(SocketError) {
    let peer = try reference.core.sender(of: question)
    try send(bytes, to: peer, from: question.answeringAddress, within: within)
  }

  /// Answers a datagram, in a task.
  ///
  /// - Throws: as in a thread, and `.cancelled`.
  public borrowing func send(
    _ bytes: [UInt8], answering question: DatagramArrival, within: Timeout = .default
  ) async throws(SocketError) {
    let peer = try reference.core.sender(of: question)
    try await send(bytes, to: peer, from: question.answeringAddress, within: within)
  }

  /// Answers a datagram with the UTF-8 of a string.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func send(
    _ text: some StringProtocol, answering question: DatagramArrival, within: Timeout = .default
  ) throws(SocketError) {
    try send(Array(text.utf8), answering: question, within: within)
  }

  /// Answers a datagram with the UTF-8 of a string, in a task.
  public borrowing func send(
    _ text: some StringProtocol, answering question: DatagramArrival, within: Timeout = .default
  ) async throws(SocketError) {
    try await send(Array(text.utf8), answering: question, within: within)
  }

  /// Takes the oldest report of a datagram that did not arrive, without waiting: `recvmsg` with `MSG_ERRQUEUE`.
  ///
  /// Needs ``SocketOption/reportErrors`` or ``SocketOption/reportErrors6``. The report does not become the error of a
  /// later call then.
  /// - Returns: `nil` when there is none, or when the socket does not report errors.
  /// - Throws: `.closed`.
  public borrowing func takeReport() throws(SocketError) -> DatagramReport? {
    let core = reference.core
    return try core.withAccess(.receive) { core.takeReport($0).flatMap { DatagramReport($0) } }
  }
}
