internal import Glibc

/// A socket that can send: ``Connection`` and ``SharedConnection``.
///
/// A `send` returns when the kernel has accepted all of the bytes, or throws an error with the number of bytes
/// accepted. Accepted is not delivered: the ``CloseReport`` says how many bytes the peer never acknowledged. The bytes
/// of one call stay together, even if several threads send. A call waits at most `within`, or ``Timeouts/send`` of this
/// socket by default. No call raises SIGPIPE.
public protocol Sending: SocketProtocol, ~Copyable {}

extension Sending where Self: ~Copyable {
  /// Sends all of the bytes; 0 bytes send nothing.
  ///
  /// The corresponding C function is `send` with `MSG_NOSIGNAL`, repeated. The bytes are not copied first.
  /// - Throws: `.reset`, `.lost`, `.peerClosed`, `.finished`, `.timedOut`, `.closed`; `bytesAccepted` is the number of
  ///   bytes accepted before the error.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func send(_ bytes: RawSpan, within: Timeout = .default) throws(SocketError) {
    let core = reference.core
    var timeout = LazyDeadline(within, or: timeouts.send)
    var accepted = SendState(timeout)
    _ = try core.perform(.writing, .send, &timeout, &accepted) { accepted, access throws(SocketError) in
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

  /// Sends all of the bytes of a collection, which are copied only if they are not contiguous in memory.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func send(_ bytes: some Collection<UInt8>, within: Timeout = .default) throws(SocketError) {
    guard bytes.withContiguousStorageIfAvailable({ _ in true }) != nil else {
      return try send(Array(bytes), within: within)
    }
    let core = reference.core
    var timeout = LazyDeadline(within, or: timeouts.send)
    var accepted = SendState(timeout)
    _ = try core.perform(.writing, .send, &timeout, &accepted) { accepted, access throws(SocketError) in
      try core.send(all: bytes, &accepted, access)
    }
  }

  /// Sends the UTF-8 of a string, without copying it.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func send(_ text: some StringProtocol, within: Timeout = .default) throws(SocketError) {
    try send(text.utf8, within: within)
  }

  /// Sends several pieces as one, without copying them: `sendmsg`.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func send(gathering pieces: [[UInt8]], within: Timeout = .default) throws(SocketError) {
    let core = reference.core
    var timeout = LazyDeadline(within, or: timeouts.send)
    var gathering = GatherState(pieces, timeout)
    try core.perform(.writing, .send, &timeout, &gathering) { gathering, access throws(SocketError) in
      try gathering.send(on: core, access)
    }
  }

  /// Sends as many of the bytes as the kernel accepts at once, at least one; waits only while it accepts none.
  ///
  /// The corresponding C function is `send`, once.
  /// - Returns: the number of bytes accepted; 0 only for 0 bytes.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func sendSome(_ bytes: RawSpan, within: Timeout = .default) throws(SocketError) -> Int {
    let core = reference.core
    var timeout = LazyDeadline(within, or: timeouts.send)
    var accepted = SendState(timeout)
    return try core.perform(.writing, .send, &timeout, &accepted) { accepted, access throws(SocketError) in
      try unsafe bytes.withUnsafeBytes { bytes throws(SocketError) in
        try unsafe core.send(bytes, &accepted, some: true, access)
      }
    }
  }
}
