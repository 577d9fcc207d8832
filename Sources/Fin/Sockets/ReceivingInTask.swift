/// The verbs of ``Receiving`` in a task: they suspend where the others block. Cancelled, they throw `.cancelled` at once, and what
/// had come stays readable.
extension Receiving where Self: ~Copyable {
  /// Receives what has arrived, or what comes next, into the free part of `output`.
  ///
  /// `recv`; nothing is copied besides, and nothing is buffered.
  /// - Returns: the bytes appended to `output`; 0 when the peer has finished.
  /// - Throws: `.reset`, `.lost`, `.timedOut`, `.cancelled`, `.closed`, `.busy`; `.invalid` when `output` has no room, because
  ///   0 would then look like an end.
  public borrowing func receive(
    into output: inout OutputRawSpan, within: Duration? = nil
  ) async throws(SocketError) -> Int {
    let core = reference.core
    var patience = Patience(within, or: timeouts.receiveLimit)
    var progress = NoProgress()
    return try await core.inside(.reading, .receive, &patience, &progress) { _, world throws(SocketError) in
      try core.take(into: &output, world)
    }
  }

  /// Receives what has arrived, or what comes next: 1 to `most` bytes, `nil` when the peer has finished.
  ///
  /// - Throws: as ``Receiving/receive(into:within:)-4uj26``.
  public borrowing func receive(upTo most: Int, within: Duration? = nil) async throws(SocketError) -> [UInt8]? {
    let core = reference.core
    var patience = Patience(within, or: timeouts.receiveLimit)
    var progress = NoProgress()
    return try await core.inside(.reading, .receive, &patience, &progress) { _, world throws(SocketError) in
      try core.take(upTo: most, world)
    }
  }

  /// Receives exactly so many bytes; `nil` when the peer had finished before the first.
  ///
  /// - Throws: `.endOfStream(received:)` when the peer finished in the middle; what came, then or before any other error,
  ///   stays readable.
  public borrowing func receive(exactly count: Int, within: Duration? = nil) async throws(SocketError) -> [UInt8]? {
    let core = reference.core
    var patience = Patience(within, or: timeouts.receiveLimit)
    var part = Part()
    return try await core.inside(.reading, .receive, &patience, &part) { part, world throws(SocketError) in
      try core.take(exactly: count, &part, world)
    }
  }

  /// Receives up to a delimiter, which is taken and not returned; `nil` when the peer had finished before the first byte.
  ///
  /// - Parameters:
  ///   - delimiter: one byte or more.
  ///   - limit: bytes before the delimiter, at most.
  ///   - within: how long to wait at most; `nil` for ``Timeouts/receive``.
  /// - Throws: `.limit` when more than `limit` bytes came without it; `.endOfStream(received:)` when the peer finished in
  ///   the middle. What came stays readable in every case.
  public borrowing func receive(
    until delimiter: [UInt8], limit: Int = 64 << 10, within: Duration? = nil
  ) async throws(SocketError) -> [UInt8]? {
    let core = reference.core
    var patience = Patience(within, or: timeouts.receiveLimit)
    var search = Search()
    return try await core.inside(.reading, .receive, &patience, &search) { search, world throws(SocketError) in
      try core.take(until: delimiter, limit, &search, world)
    }
  }

  /// Receives up to a byte, which is taken and not returned.
  public borrowing func receive(
    until delimiter: UInt8, limit: Int = 64 << 10, within: Duration? = nil
  ) async throws(SocketError) -> [UInt8]? {
    try await receive(until: [delimiter], limit: limit, within: within)
  }

  /// Receives a line of UTF-8, without its end, `\n` or `\r\n`; `nil` when the peer had finished before its first byte.
  ///
  /// - Parameters:
  ///   - limit: bytes of a line without its end, at most.
  ///   - within: how long to wait at most; `nil` for ``Timeouts/receive``.
  /// - Throws: as the other receive verbs; `.notText` when it is not UTF-8. The line stays readable as bytes.
  public borrowing func readLine(limit: Int = 64 << 10, within: Duration? = nil) async throws(SocketError) -> String? {
    let core = reference.core
    var patience = Patience(within, or: timeouts.receiveLimit)
    var search = Search()
    return try await core.inside(.reading, .receive, &patience, &search) { search, world throws(SocketError) in
      try core.takeLine(limit, &search, world)
    }
  }

  /// Looks at what has arrived, or comes next, without taking it: 1 to `most` bytes, `nil` when the peer has finished.
  public borrowing func peek(upTo most: Int, within: Duration? = nil) async throws(SocketError) -> [UInt8]? {
    let core = reference.core
    var patience = Patience(within, or: timeouts.receiveLimit)
    var progress = NoProgress()
    return try await core.inside(.reading, .receive, &patience, &progress) { _, world throws(SocketError) in
      try core.look(upTo: most, world)
    }
  }
}
