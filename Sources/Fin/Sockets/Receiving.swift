/// What can be received from: ``Connection``, ``ReceivingConnection``, ``SharedConnection``.
///
/// Every verb waits at most `within`, or ``Timeouts/receive`` of this socket when that is `nil`. The end of the stream is a
/// value: 0, or `nil`. A reset is an error, whatever was heard first, and comes after the bytes that arrived before it.
/// One receiver at a time: the second gets `.busy`.
public protocol Receiving: SocketEnd, ~Copyable {}

extension Receiving where Self: ~Copyable {
  /// Receives what has arrived, or what comes next, into the free part of `output`.
  ///
  /// The corresponding C function is `recv`; nothing is copied besides, and nothing is buffered.
  /// - Returns: the bytes appended to `output`; 0 when the peer has finished.
  /// - Throws: `.reset`, `.lost`, `.timedOut`, `.closed`, `.busy`; `.invalid` when `output` has no room, because 0 would
  ///   then look like an end.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func receive(into output: inout OutputRawSpan, within: Duration? = nil) throws(SocketError) -> Int {
    let core = reference.core
    var patience = Patience(within, or: timeouts.receiveLimit)
    var progress = NoProgress()
    return try core.inside(.reading, .receive, &patience, &progress) { _, world throws(SocketError) in
      try core.take(into: &output, world)
    }
  }

  /// Receives what has arrived, or what comes next.
  ///
  /// - Parameters:
  ///   - most: bytes, above 0. Memory is taken for what comes, not for what is allowed.
  ///   - within: how long to wait at most; `nil` for ``Timeouts/receive``.
  /// - Returns: 1 to `most` bytes; `nil` when the peer has finished.
  /// - Throws: as ``Receiving/receive(into:within:)-4uj26``.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func receive(upTo most: Int, within: Duration? = nil) throws(SocketError) -> [UInt8]? {
    let core = reference.core
    var patience = Patience(within, or: timeouts.receiveLimit)
    var progress = NoProgress()
    return try core.inside(.reading, .receive, &patience, &progress) { _, world throws(SocketError) in
      try core.take(upTo: most, world)
    }
  }

  /// Receives exactly so many bytes.
  ///
  /// - Parameters:
  ///   - count: bytes, 0 or more. Memory grows with what comes, so that a length sent by a stranger costs nothing.
  ///   - within: how long to wait at most; `nil` for ``Timeouts/receive``.
  /// - Returns: `count` bytes; `nil` when the peer had finished before the first.
  /// - Throws: `.endOfStream(received:)` when the peer finished in the middle; what came, then or before any other error,
  ///   stays readable.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func receive(exactly count: Int, within: Duration? = nil) throws(SocketError) -> [UInt8]? {
    let core = reference.core
    var patience = Patience(within, or: timeouts.receiveLimit)
    var part = Part()
    return try core.inside(.reading, .receive, &patience, &part) { part, world throws(SocketError) in
      try core.take(exactly: count, &part, world)
    }
  }

  /// Receives up to a delimiter, which is taken and not returned.
  ///
  /// - Parameters:
  ///   - delimiter: one byte or more.
  ///   - limit: bytes before the delimiter, at most.
  ///   - within: how long to wait at most; `nil` for ``Timeouts/receive``.
  /// - Returns: the bytes before the delimiter; `nil` when the peer had finished before the first byte.
  /// - Throws: `.limit` when more than `limit` bytes came without it; `.endOfStream(received:)` when the peer finished in
  ///   the middle. What came stays readable in every case.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func receive(
    until delimiter: [UInt8], limit: Int = 64 << 10, within: Duration? = nil
  ) throws(SocketError) -> [UInt8]? {
    let core = reference.core
    var patience = Patience(within, or: timeouts.receiveLimit)
    var search = Search()
    return try core.inside(.reading, .receive, &patience, &search) { search, world throws(SocketError) in
      try core.take(until: delimiter, limit, &search, world)
    }
  }

  /// Receives up to a byte, which is taken and not returned.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func receive(
    until delimiter: UInt8, limit: Int = 64 << 10, within: Duration? = nil
  ) throws(SocketError) -> [UInt8]? {
    try receive(until: [delimiter], limit: limit, within: within)
  }

  /// Receives a line of UTF-8, without its end: `\n` or `\r\n`.
  ///
  /// A line that the peer did not end is no line: a command cut in the middle must not be taken for a whole one.
  /// - Parameters:
  ///   - limit: bytes of a line without its end, at most.
  ///   - within: how long to wait at most; `nil` for ``Timeouts/receive``.
  /// - Returns: the line; `nil` when the peer had finished before its first byte.
  /// - Throws: as `receive(until:limit:within:)`; `.notText` when it is not UTF-8. The line stays readable
  ///   as bytes.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func readLine(limit: Int = 64 << 10, within: Duration? = nil) throws(SocketError) -> String? {
    let core = reference.core
    var patience = Patience(within, or: timeouts.receiveLimit)
    var search = Search()
    return try core.inside(.reading, .receive, &patience, &search) { search, world throws(SocketError) in
      try core.takeLine(limit, &search, world)
    }
  }

  /// Looks at what has arrived, or comes next, without taking it.
  ///
  /// The corresponding C flag is `MSG_PEEK`. Bytes looked at are kept in the read buffer.
  /// - Returns: 1 to `most` bytes; `nil` when the peer has finished.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func peek(upTo most: Int, within: Duration? = nil) throws(SocketError) -> [UInt8]? {
    let core = reference.core
    var patience = Patience(within, or: timeouts.receiveLimit)
    var progress = NoProgress()
    return try core.inside(.reading, .receive, &patience, &progress) { _, world throws(SocketError) in
      try core.look(upTo: most, world)
    }
  }
}
