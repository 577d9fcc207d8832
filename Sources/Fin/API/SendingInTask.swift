/// The operations of ``Sending`` in a task: they suspend where the others block. When the task is cancelled they throw
/// `.cancelled` at once, and `bytesAccepted` is the number of bytes that the kernel had accepted.
extension Sending where Self: ~Copyable {
  /// Sends all of the bytes; 0 bytes send nothing.
  ///
  /// The corresponding C function is `send` with `MSG_NOSIGNAL`, repeated. The bytes are not copied first.
  /// - Throws: `.reset`, `.lost`, `.peerClosed`, `.finished`, `.timedOut`, `.cancelled`, `.closed`; `bytesAccepted` is
  ///   the number of bytes accepted before the error.
  public borrowing func send(_ bytes: RawSpan, within: Timeout = .default) async throws(SocketError) {
    let core = reference.core
    var timeout = LazyDeadline(within, or: timeouts.send)
    var accepted = SendState(timeout)
    _ = try await core.perform(.writing, .send, &timeout, &accepted) { accepted, access throws(SocketError) in
      try unsafe bytes.withUnsafeBytes { bytes throws(SocketError) in
        try unsafe core.send(bytes, &accepted, access)
      }
    }
  }

  /// Sends all of the bytes of an array, without copying it.
  public borrowing func send(_ bytes: [UInt8], within: Timeout = .default) async throws(SocketError) {
    try await send(unsafe bytes.span.bytes, within: within)
  }

  /// Sends all of the bytes of a collection, which are copied only if they are not contiguous in memory.
  public borrowing func send(_ bytes: some Collection<UInt8>, within: Timeout = .default) async throws(SocketError) {
    guard bytes.withContiguousStorageIfAvailable({ _ in true }) != nil else {
      return try await send(Array(bytes), within: within)
    }
    let core = reference.core
    var timeout = LazyDeadline(within, or: timeouts.send)
    var accepted = SendState(timeout)
    _ = try await core.perform(.writing, .send, &timeout, &accepted) { accepted, access throws(SocketError) in
      try core.send(all: bytes, &accepted, access)
    }
  }

  /// Sends the UTF-8 of a string, without copying it.
  public borrowing func send(_ text: some StringProtocol, within: Timeout = .default) async throws(SocketError) {
    try await send(text.utf8, within: within)
  }

  /// Sends several pieces as one, without copying them: `sendmsg`.
  public borrowing func send(gathering pieces: [[UInt8]], within: Timeout = .default) async throws(SocketError) {
    let core = reference.core
    var timeout = LazyDeadline(within, or: timeouts.send)
    var gathering = GatherState(pieces, timeout)
    try await core.perform(.writing, .send, &timeout, &gathering) { gathering, access throws(SocketError) in
      try gathering.send(on: core, access)
    }
  }

  /// Sends as many of the bytes as the kernel accepts at once, at least one; waits only while it accepts none.
  ///
  /// - Returns: the number of bytes accepted; 0 only for 0 bytes.
  public borrowing func sendSome(_ bytes: RawSpan, within: Timeout = .default) async throws(SocketError) -> Int {
    let core = reference.core
    var timeout = LazyDeadline(within, or: timeouts.send)
    var accepted = SendState(timeout)
    return try await core.perform(.writing, .send, &timeout, &accepted) { accepted, access throws(SocketError) in
      try unsafe bytes.withUnsafeBytes { bytes throws(SocketError) in
        try unsafe core.send(bytes, &accepted, some: true, access)
      }
    }
  }
}
