internal import Glibc

/// A socket that can send: ``Connection`` and ``SharedConnection``.
///
/// A `send` returns when the kernel has accepted all of the bytes, or throws an error with the number of bytes
/// accepted. Accepted is not delivered: the ``CloseReport`` says how many bytes the peer never acknowledged. The bytes
/// of one call stay together, even if several threads send. A call waits at most `within`, or ``Timeouts/send`` of this
/// socket by default. No call raises SIGPIPE.
///
/// Each operation has two forms under one name: in a thread it blocks; in a task, where it is awaited, it suspends.
/// When the task is cancelled it throws `.cancelled` at once, and `bytesAccepted` is the number of bytes that the
/// kernel had accepted.
public protocol Sending: SocketProtocol, ~Copyable {}

extension Sending where Self: ~Copyable {
  /// Sends all of the bytes; 0 bytes send nothing.
  ///
  /// The corresponding C function is `send` with `MSG_NOSIGNAL`, repeated. The bytes are not copied first.
  /// - Throws: `.reset`, `.lost`, `.peerClosed`, `.finished`, `.timedOut`, `.closed`; `bytesAccepted` is the number of
  ///   bytes accepted before the error.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func send(_ bytes: RawSpan, within: Timeout = .default) throws(SocketError) {
    let timeout = timeouts.sending(within)
    _ = try perform(.writing, .send, timeout, SendState(timeout)) {
      core, accepted, access throws(SocketError) in
      try unsafe bytes.withUnsafeBytes { bytes throws(SocketError) in
        try unsafe core.send(bytes, &accepted, access)
      }
    }
  }

  /// Sends all of the bytes; 0 bytes send nothing.
  ///
  /// The corresponding C function is `send` with `MSG_NOSIGNAL`, repeated. The bytes are not copied first.
  /// - Throws: `.reset`, `.lost`, `.peerClosed`, `.finished`, `.timedOut`, `.cancelled`, `.closed`; `bytesAccepted` is
  ///   the number of bytes accepted before the error.
  public borrowing func send(_ bytes: RawSpan, within: Timeout = .default) async throws(SocketError) {
    let timeout = timeouts.sending(within)
    _ = try await perform(.writing, .send, timeout, SendState(timeout)) {
      core, accepted, access throws(SocketError) in
      try unsafe bytes.withUnsafeBytes { bytes throws(SocketError) in
        try unsafe core.send(bytes, &accepted, access)
      }
    }
  }

  /// Sends all of the bytes of an array, without copying it.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func send(_ bytes: [UInt8], within: Timeout = .default) throws(SocketError) {
    try send(unsafe bytes.span.bytes, within: within)
  }

  /// Sends all of the bytes of an array, without copying it.
  public borrowing func send(_ bytes: [UInt8], within: Timeout = .default) async throws(SocketError) {
    try await send(unsafe bytes.span.bytes, within: within)
  }

  /// Sends all of the bytes of a collection, which are copied only if they are not contiguous in memory.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func send(_ bytes: some Collection<UInt8>, within: Timeout = .default) throws(SocketError) {
    guard bytes.withContiguousStorageIfAvailable({ _ in true }) != nil else {
      return try send(Array(bytes), within: within)
    }
    let timeout = timeouts.sending(within)
    _ = try perform(.writing, .send, timeout, SendState(timeout)) {
      core, accepted, access throws(SocketError) in
      try core.send(all: bytes, &accepted, access)
    }
  }

  /// Sends all of the bytes of a collection, which are copied only if they are not contiguous in memory.
  public borrowing func send(_ bytes: some Collection<UInt8>, within: Timeout = .default) async throws(SocketError) {
    guard bytes.withContiguousStorageIfAvailable({ _ in true }) != nil else {
      return try await send(Array(bytes), within: within)
    }
    let timeout = timeouts.sending(within)
    _ = try await perform(.writing, .send, timeout, SendState(timeout)) {
      core, accepted, access throws(SocketError) in
      try core.send(all: bytes, &accepted, access)
    }
  }

  /// Sends the UTF-8 of a string, without copying it.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func send(_ text: some StringProtocol, within: Timeout = .default) throws(SocketError) {
    try send(text.utf8, within: within)
  }

  /// Sends the UTF-8 of a string, without copying it.
  public borrowing func send(_ text: some StringProtocol, within: Timeout = .default) async throws(SocketError) {
    try await send(text.utf8, within: within)
  }

  /// Sends several pieces as one, without copying them: `sendmsg`.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func send(gathering pieces: [[UInt8]], within: Timeout = .default) throws(SocketError) {
    let timeout = timeouts.sending(within)
    try perform(.writing, .send, timeout, GatherState(pieces, timeout)) {
      core, gathering, access throws(SocketError) in
      try gathering.send(on: core, access)
    }
  }

  /// Sends several pieces as one, without copying them: `sendmsg`.
  public borrowing func send(gathering pieces: [[UInt8]], within: Timeout = .default) async throws(SocketError) {
    let timeout = timeouts.sending(within)
    try await perform(.writing, .send, timeout, GatherState(pieces, timeout)) {
      core, gathering, access throws(SocketError) in
      try gathering.send(on: core, access)
    }
  }

  /// Sends as many of the bytes as the kernel accepts at once, at least one; waits only while it accepts none.
  ///
  /// The corresponding C function is `send`, once.
  /// - Returns: the number of bytes accepted; 0 only for 0 bytes.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func sendSome(_ bytes: RawSpan, within: Timeout = .default) throws(SocketError) -> Int {
    let timeout = timeouts.sending(within)
    return try perform(.writing, .send, timeout, SendState(timeout)) {
      core, accepted, access throws(SocketError) in
      try unsafe bytes.withUnsafeBytes { bytes throws(SocketError) in
        try unsafe core.send(bytes, &accepted, some: true, access)
      }
    }
  }

  /// Sends as many of the bytes as the kernel accepts at once, at least one; waits only while it accepts none.
  ///
  /// - Returns: the number of bytes accepted; 0 only for 0 bytes.
  public borrowing func sendSome(_ bytes: RawSpan, within: Timeout = .default) async throws(SocketError) -> Int {
    let timeout = timeouts.sending(within)
    return try await perform(.writing, .send, timeout, SendState(timeout)) {
      core, accepted, access throws(SocketError) in
      try unsafe bytes.withUnsafeBytes { bytes throws(SocketError) in
        try unsafe core.send(bytes, &accepted, some: true, access)
      }
    }
  }
}
