/// The operations of ``Receiving`` in a task: they suspend where the others block. When the task is cancelled they
/// throw `.cancelled` at once, and the bytes that had arrived stay readable.
extension Receiving where Self: ~Copyable {
  /// Receives the available bytes, or waits for the next, and appends them to `output`.
  ///
  /// The corresponding C function is `recv`; it writes directly into `output`, and nothing is buffered. Bytes that an
  /// earlier call buffered come first.
  /// - Returns: the number of bytes appended to `output`; 0 when the peer has finished.
  /// - Throws: `.reset`, `.lost`, `.timedOut`, `.cancelled`, `.closed`, `.busy`; `.invalid` when `output` has no free
  ///   capacity, because 0 would then look like the end of the stream.
  public borrowing func receive(
    into output: inout OutputRawSpan, within: Timeout = .default
  ) async throws(SocketError) -> Int {
    let core = reference.core
    var timeout = LazyDeadline(within, or: timeouts.receive)
    var progress = Stateless()
    return try await core.perform(.reading, .receive, &timeout, &progress) { _, access throws(SocketError) in
      try core.take(into: &output, access)
    }
  }

  /// Receives the available bytes, or waits for the next: 1 to `most` bytes, `nil` when the peer has finished.
  ///
  /// - Throws: the errors of ``Receiving/receive(into:within:)-5s3ic``, and `.cancelled`.
  public borrowing func receive(upTo most: Int, within: Timeout = .default) async throws(SocketError) -> [UInt8]? {
    let core = reference.core
    var timeout = LazyDeadline(within, or: timeouts.receive)
    var progress = Stateless()
    return try await core.perform(.reading, .receive, &timeout, &progress) { _, access throws(SocketError) in
      try core.take(upTo: most, access)
    }
  }

  /// Receives exactly `count` bytes; `nil` when the peer had finished before the first.
  ///
  /// - Throws: `.endOfStream(received:)` when the peer finished in the middle. The bytes that arrived, before that or
  ///   before any other error, stay readable.
  public borrowing func receive(exactly count: Int, within: Timeout = .default) async throws(SocketError) -> [UInt8]? {
    let core = reference.core
    var timeout = LazyDeadline(within, or: timeouts.receive)
    var part = PartialReceive()
    return try await core.perform(.reading, .receive, &timeout, &part) { part, access throws(SocketError) in
      try core.take(exactly: count, &part, access)
    }
  }

  /// Receives up to a delimiter, which is consumed and not returned; `nil` when the peer had finished before the
  /// first byte.
  ///
  /// - Parameters:
  ///   - delimiter: one byte or more.
  ///   - limit: the largest number of bytes before the delimiter.
  ///   - within: the timeout; by default ``Timeouts/receive``.
  /// - Throws: `.limit` when more than `limit` bytes arrived without the delimiter; `.endOfStream(received:)` when the
  ///   peer finished in the middle. The bytes that arrived stay readable in every case.
  public borrowing func receive(
    until delimiter: [UInt8], limit: Int = 64 << 10, within: Timeout = .default
  ) async throws(SocketError) -> [UInt8]? {
    let core = reference.core
    var timeout = LazyDeadline(within, or: timeouts.receive)
    var search = DelimiterScan()
    return try await core.perform(.reading, .receive, &timeout, &search) { search, access throws(SocketError) in
      try core.take(until: delimiter, limit, &search, access)
    }
  }

  /// Receives up to a delimiter of one byte, which is consumed and not returned.
  public borrowing func receive(
    until delimiter: UInt8, limit: Int = 64 << 10, within: Timeout = .default
  ) async throws(SocketError) -> [UInt8]? {
    try await receive(until: [delimiter], limit: limit, within: within)
  }

  /// Receives a line of UTF-8, without its ending, `\n` or `\r\n`; `nil` when the peer had finished before its
  /// first byte.
  ///
  /// - Parameters:
  ///   - limit: the largest number of bytes of a line, without its ending.
  ///   - within: the timeout; by default ``Timeouts/receive``.
  /// - Throws: the errors of the other receive operations; `.notText` when the line is not UTF-8. The line then stays
  ///   readable as bytes.
  public borrowing func receiveLine(limit: Int = 64 << 10, within: Timeout = .default) async throws(SocketError)
    -> String?
  {
    let core = reference.core
    var timeout = LazyDeadline(within, or: timeouts.receive)
    var search = DelimiterScan()
    return try await core.perform(.reading, .receive, &timeout, &search) { search, access throws(SocketError) in
      try core.takeLine(limit, &search, access)
    }
  }

  /// Returns the available bytes, or waits for the next, without consuming them: 1 to `most` bytes, `nil` when the peer
  /// has finished.
  public borrowing func peek(upTo most: Int, within: Timeout = .default) async throws(SocketError) -> [UInt8]? {
    let core = reference.core
    var timeout = LazyDeadline(within, or: timeouts.receive)
    var progress = Stateless()
    return try await core.perform(.reading, .receive, &timeout, &progress) { _, access throws(SocketError) in
      try core.look(upTo: most, access)
    }
  }
}
