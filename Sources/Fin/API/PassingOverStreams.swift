public import SystemPackage

extension Sending where Self: ~Copyable {
  /// Sends all of the bytes, and passes descriptors with the first of them, over a Unix stream.
  ///
  /// The peer gets descriptors of its own for the same open files; the caller's stay open, and stay the caller's. If
  /// the call throws with a ``SocketError/bytesAccepted`` above 0, the descriptors are on their way. The corresponding
  /// C function is `sendmsg` with `SCM_RIGHTS` (unix(7)).
  ///
  /// ```swift
  /// try connection.send("a listener\n", passing: [descriptor])
  /// ```
  /// - Parameters:
  ///   - bytes: at least one byte if there is a descriptor: a stream passes none without.
  ///   - descriptors: at most 253 open descriptors.
  ///   - within: the timeout; by default ``Timeouts/send``.
  /// - Throws: `.invalid` when this is not a Unix stream, with too many descriptors, or without bytes;
  ///   `.system(EBADF)` when a descriptor is not open; `.system(ETOOMANYREFS)` when this user has too many descriptors
  ///   on the way; otherwise as a send without descriptors.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func send(
    _ bytes: [UInt8], passing descriptors: [FileDescriptor], within: Timeout = .default
  ) throws(SocketError) {
    let timeout = LazyDeadline(within, or: timeouts.send)
    try perform(.writing, .send, timeout, PassingState(descriptors, timeout)) {
      core, passing, access throws(SocketError) in
      try core.send(bytes, &passing, access)
    }
  }

  /// Sends all of the bytes, and passes descriptors with the first of them, in a task.
  ///
  /// When the task is cancelled, a ``SocketError/bytesAccepted`` of 0 says that the descriptors were not passed. It
  /// throws as in a thread otherwise.
  public borrowing func send(
    _ bytes: [UInt8], passing descriptors: [FileDescriptor], within: Timeout = .default
  ) async throws(SocketError) {
    let timeout = LazyDeadline(within, or: timeouts.send)
    try await perform(.writing, .send, timeout, PassingState(descriptors, timeout)) {
      core, passing, access throws(SocketError) in
      try core.send(bytes, &passing, access)
    }
  }

  /// Sends the UTF-8 of a string, and passes descriptors with it.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func send(
    _ text: some StringProtocol, passing descriptors: [FileDescriptor], within: Timeout = .default
  ) throws(SocketError) {
    try send(Array(text.utf8), passing: descriptors, within: within)
  }

  /// Sends the UTF-8 of a string, and passes descriptors with it, in a task.
  public borrowing func send(
    _ text: some StringProtocol, passing descriptors: [FileDescriptor], within: Timeout = .default
  ) async throws(SocketError) {
    try await send(Array(text.utf8), passing: descriptors, within: within)
  }
}

extension Receiving where Self: ~Copyable {
  /// Receives the available bytes of a Unix stream, and the descriptors that were passed with them.
  ///
  /// The descriptors come at the latest with the first byte that they were sent with, and the bytes of two messages
  /// that pass descriptors are never returned together. All of them are `CLOEXEC` from the start. The other forms of
  /// `receive`, and `peek`, let the kernel close the descriptors that come with their bytes.
  ///
  /// The corresponding C function is `recvmsg` with `MSG_CMSG_CLOEXEC`.
  /// - Parameters:
  ///   - most: the most bytes, 1 or more.
  ///   - descriptors: the most descriptors that one message may bring; all of them are closed if there are more.
  ///   - within: the timeout; by default ``Timeouts/receive``.
  /// - Returns: `nil` when the peer has finished.
  /// - Throws: `.descriptorsLost`, and `.limit` when there are more than `descriptors`: those that came are closed, and
  ///   the bytes stay readable. `.invalid` when this is not a Unix stream; otherwise as every receive.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func receive(
    upTo most: Int, descriptors: Int, within: Timeout = .default
  ) throws(SocketError) -> ReceivedMessage? {
    let timeout = LazyDeadline(within, or: timeouts.receive)
    let parts = try perform(.reading, .receive, timeout, Stateless()) { core, _, access throws(SocketError) in
      try core.takeMessage(upTo: most, descriptors: descriptors, access)
    }
    guard let parts else { return nil }
    return ReceivedMessage(parts)
  }

  /// Receives the available bytes of a Unix stream, and the descriptors that were passed with them, in a task.
  ///
  /// It behaves as in a thread. When the task is cancelled it throws `.cancelled` and loses no descriptor.
  public borrowing func receive(
    upTo most: Int, descriptors: Int, within: Timeout = .default
  ) async throws(SocketError) -> ReceivedMessage? {
    let timeout = LazyDeadline(within, or: timeouts.receive)
    let parts = try await perform(.reading, .receive, timeout, Stateless()) { core, _, access throws(SocketError) in
      try core.takeMessage(upTo: most, descriptors: descriptors, access)
    }
    guard let parts else { return nil }
    return ReceivedMessage(parts)
  }
}
