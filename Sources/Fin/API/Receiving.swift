/// A socket that can receive: ``Connection``, ``ReceivingConnection``, ``SharedConnection``.
///
/// Every operation waits at most `within`, or ``Timeouts/receive`` of this socket by default. The end of the
/// stream is a value: 0, or `nil`. A reset is an error, even if an earlier call has already reported it, and comes
/// after the bytes that arrived before it. There is one receiver at a time: a second one gets `.busy`.
///
/// Each operation has two forms under one name: in a thread it blocks; in a task, where it is awaited, it suspends.
/// When the task is cancelled it throws `.cancelled` at once, and the bytes that had arrived stay readable.
public protocol Receiving: SocketProtocol, ~Copyable {}

extension Receiving where Self: ~Copyable {
  /// Receives the available bytes, or waits for the next, and appends them to `output`.
  ///
  /// The corresponding C function is `recv`; it writes directly into `output`, and nothing is buffered. Bytes that an
  /// earlier call buffered come first.
  /// - Returns: the number of bytes appended to `output`; 0 when the peer has finished.
  /// - Throws: `.reset`, `.lost`, `.timedOut`, `.closed`, `.busy`; `.invalid` when `output` has no free capacity,
  ///   because 0 would then look like the end of the stream.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func receive(into output: inout OutputRawSpan, within: Timeout = .default) throws(SocketError) -> Int
  {
    try perform(.reading, .receive, timeouts.receiving(within), Stateless()) {
      core, _, access throws(SocketError) in
      try core.take(into: &output, access)
    }
  }

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
    try await perform(.reading, .receive, timeouts.receiving(within), Stateless()) {
      core, _, access throws(SocketError) in
      try core.take(into: &output, access)
    }
  }

  /// Receives the available bytes, or waits for the next.
  ///
  /// - Parameters:
  ///   - most: the largest number of bytes, above 0. The memory kept depends on the bytes that arrive, not on `most`.
  ///   - within: the timeout; by default ``Timeouts/receive``.
  /// - Returns: 1 to `most` bytes; `nil` when the peer has finished.
  /// - Throws: the errors of `receive(into:within:)`.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func receive(upTo most: Int, within: Timeout = .default) throws(SocketError) -> [UInt8]? {
    try perform(.reading, .receive, timeouts.receiving(within), Stateless()) {
      core, _, access throws(SocketError) in
      try core.take(upTo: most, access)
    }
  }

  /// Receives the available bytes, or waits for the next: 1 to `most` bytes, `nil` when the peer has finished.
  ///
  /// - Throws: the errors of `receive(into:within:)`, and `.cancelled`.
  public borrowing func receive(upTo most: Int, within: Timeout = .default) async throws(SocketError) -> [UInt8]? {
    try await perform(.reading, .receive, timeouts.receiving(within), Stateless()) {
      core, _, access throws(SocketError) in
      try core.take(upTo: most, access)
    }
  }

  /// Receives exactly `count` bytes.
  ///
  /// - Parameters:
  ///   - count: the number of bytes, 0 or more. Memory grows with the bytes that arrive, so that a large length sent by
  ///     an untrusted peer costs nothing.
  ///   - within: the timeout; by default ``Timeouts/receive``.
  /// - Returns: `count` bytes; `nil` when the peer had finished before the first.
  /// - Throws: `.endOfStream(received:)` when the peer finished in the middle. The bytes that arrived, before that or
  ///   before any other error, stay readable.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func receive(exactly count: Int, within: Timeout = .default) throws(SocketError) -> [UInt8]? {
    try perform(.reading, .receive, timeouts.receiving(within), PartialReceive()) {
      core, part, access throws(SocketError) in
      try core.take(exactly: count, &part, access)
    }
  }

  /// Receives exactly `count` bytes; `nil` when the peer had finished before the first.
  ///
  /// - Throws: `.endOfStream(received:)` when the peer finished in the middle. The bytes that arrived, before that or
  ///   before any other error, stay readable.
  public borrowing func receive(exactly count: Int, within: Timeout = .default) async throws(SocketError) -> [UInt8]? {
    try await perform(.reading, .receive, timeouts.receiving(within), PartialReceive()) {
      core, part, access throws(SocketError) in
      try core.take(exactly: count, &part, access)
    }
  }

  /// Receives all that comes until the peer finishes.
  ///
  /// - Parameters:
  ///   - limit: the largest number of bytes.
  ///   - within: the timeout for all of them together; by default ``Timeouts/receive``.
  /// - Returns: the bytes; none when the peer had finished before the first.
  /// - Throws: `.limit` when more than `limit` bytes came. The bytes that arrived, before that or before any other
  ///   error, stay readable.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func receiveAll(limit: Int, within: Timeout = .default) throws(SocketError) -> [UInt8] {
    try perform(.reading, .receive, timeouts.receiving(within), PartialReceive()) {
      core, part, access throws(SocketError) in
      try core.takeAll(limit, &part, access)
    }
  }

  /// Receives all that comes until the peer finishes, at most `limit` bytes.
  ///
  /// - Throws: `.limit` when more than `limit` bytes came. The bytes that arrived, before that or before any other
  ///   error, stay readable.
  public borrowing func receiveAll(limit: Int, within: Timeout = .default) async throws(SocketError) -> [UInt8] {
    try await perform(.reading, .receive, timeouts.receiving(within), PartialReceive()) {
      core, part, access throws(SocketError) in
      try core.takeAll(limit, &part, access)
    }
  }

  /// Receives up to a delimiter, which is consumed and not returned.
  ///
  /// - Parameters:
  ///   - delimiter: one byte or more.
  ///   - limit: the largest number of bytes before the delimiter.
  ///   - within: the timeout; by default ``Timeouts/receive``.
  /// - Returns: the bytes before the delimiter; `nil` when the peer had finished before the first byte.
  /// - Throws: `.limit` when more than `limit` bytes arrived without the delimiter; `.endOfStream(received:)` when the
  ///   peer finished in the middle. The bytes that arrived stay readable in every case.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func receive(
    until delimiter: [UInt8], limit: Int = 64 << 10, within: Timeout = .default
  ) throws(SocketError) -> [UInt8]? {
    try perform(.reading, .receive, timeouts.receiving(within), DelimiterScan()) {
      core, search, access throws(SocketError) in
      try core.take(until: delimiter, limit, &search, access)
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
    try await perform(.reading, .receive, timeouts.receiving(within), DelimiterScan()) {
      core, search, access throws(SocketError) in
      try core.take(until: delimiter, limit, &search, access)
    }
  }

  /// Receives up to a delimiter of one byte, which is consumed and not returned.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func receive(
    until delimiter: UInt8, limit: Int = 64 << 10, within: Timeout = .default
  ) throws(SocketError) -> [UInt8]? {
    try receive(until: [delimiter], limit: limit, within: within)
  }

  /// Receives up to a delimiter of one byte, which is consumed and not returned.
  public borrowing func receive(
    until delimiter: UInt8, limit: Int = 64 << 10, within: Timeout = .default
  ) async throws(SocketError) -> [UInt8]? {
    try await receive(until: [delimiter], limit: limit, within: within)
  }

  /// Receives a line of UTF-8, without its ending: `\n` or `\r\n`.
  ///
  /// A line without an ending is not returned as a line: a command cut off in the middle must not be taken for a
  /// whole one.
  /// - Parameters:
  ///   - limit: the largest number of bytes of a line, without its ending.
  ///   - within: the timeout; by default ``Timeouts/receive``.
  /// - Returns: the line; `nil` when the peer had finished before its first byte.
  /// - Throws: the errors of `receive(until:limit:within:)`; `.notText` when the line is not UTF-8. The line then stays
  ///   readable as bytes.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func receiveLine(limit: Int = 64 << 10, within: Timeout = .default) throws(SocketError) -> String? {
    try perform(.reading, .receive, timeouts.receiving(within), DelimiterScan()) {
      core, search, access throws(SocketError) in
      try core.takeLine(limit, &search, access)
    }
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
    try await perform(.reading, .receive, timeouts.receiving(within), DelimiterScan()) {
      core, search, access throws(SocketError) in
      try core.takeLine(limit, &search, access)
    }
  }

  /// Returns the available bytes, or waits for the next, without consuming them.
  ///
  /// The corresponding C flag is `MSG_PEEK`. The bytes are kept in the read buffer.
  /// - Returns: 1 to `most` bytes; `nil` when the peer has finished.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func peek(upTo most: Int, within: Timeout = .default) throws(SocketError) -> [UInt8]? {
    try perform(.reading, .receive, timeouts.receiving(within), Stateless()) {
      core, _, access throws(SocketError) in
      try core.look(upTo: most, access)
    }
  }

  /// Returns the available bytes, or waits for the next, without consuming them: 1 to `most` bytes, `nil` when the peer
  /// has finished.
  public borrowing func peek(upTo most: Int, within: Timeout = .default) async throws(SocketError) -> [UInt8]? {
    try await perform(.reading, .receive, timeouts.receiving(within), Stateless()) {
      core, _, access throws(SocketError) in
      try core.look(upTo: most, access)
    }
  }
}
