/// The lines of a connection as an asynchronous sequence: see ``SharedConnection/lines(limit:within:)``.
public struct ReceivedLines: AsyncSequence, Sendable {
  fileprivate let connection: SharedConnection
  fileprivate let limit: Int
  fileprivate let within: Timeout

  /// Receives one line after the other.
  public struct AsyncIterator: AsyncIteratorProtocol {
    fileprivate let lines: ReceivedLines

    /// Receives the next line; `nil` when the peer has finished.
    public func next() async throws(SocketError) -> String? { try await next(isolation: #isolation) }

    /// Receives the next line, on the caller's actor; `nil` when the peer has finished.
    public func next(isolation: isolated (any Actor)?) async throws(SocketError) -> String? {
      try await lines.connection.receiveLine(limit: lines.limit, within: lines.within)
    }
  }

  /// Makes an iterator. All iterators of a connection take from the same stream.
  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(lines: self) }
}

/// The bytes of a connection as they arrive, as an asynchronous sequence: see
/// ``SharedConnection/chunks(upTo:within:)``.
public struct ReceivedChunks: AsyncSequence, Sendable {
  fileprivate let connection: SharedConnection
  fileprivate let most: Int
  fileprivate let within: Timeout

  /// Receives one chunk after the other.
  public struct AsyncIterator: AsyncIteratorProtocol {
    fileprivate let chunks: ReceivedChunks

    /// Receives the next bytes; `nil` when the peer has finished.
    public func next() async throws(SocketError) -> [UInt8]? { try await next(isolation: #isolation) }

    /// Receives the next bytes, on the caller's actor; `nil` when the peer has finished.
    public func next(isolation: isolated (any Actor)?) async throws(SocketError) -> [UInt8]? {
      try await chunks.connection.receive(upTo: chunks.most, within: chunks.within)
    }
  }

  /// Makes an iterator. All iterators of a connection take from the same stream.
  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(chunks: self) }
}

extension SharedConnection {
  /// The lines that arrive, until the peer finishes: `for try await line in connection.lines()`.
  ///
  /// Each line is received as by `receiveLine(limit:within:)`, with its errors and its time.
  /// - Parameters:
  ///   - limit: the largest number of bytes of a line, without its ending.
  ///   - within: the timeout of each line; by default ``Timeouts/receive``.
  public func lines(limit: Int = 64 << 10, within: Timeout = .default) -> ReceivedLines {
    ReceivedLines(connection: self, limit: limit, within: within)
  }

  /// The bytes as they arrive, until the peer finishes: `for try await bytes in connection.chunks(upTo: 4096)`.
  ///
  /// Each chunk is received as by `receive(upTo:within:)`, with its errors and its time.
  /// - Parameters:
  ///   - most: the largest number of bytes of a chunk, above 0.
  ///   - within: the timeout of each chunk; by default ``Timeouts/receive``.
  public func chunks(upTo most: Int, within: Timeout = .default) -> ReceivedChunks {
    ReceivedChunks(connection: self, most: most, within: within)
  }

  /// Whether the connection can be used for another question, as far as this side knows: it is connected, nothing has
  /// arrived that was not read, and neither an end nor an error has.
  ///
  /// For a pool, which asks it of the connections that it takes out. It does not wait, and bytes that have arrived stay
  /// readable. The peer may still close at the same moment: only an answer shows that a question arrived. `false` also
  /// while another operation receives.
  public func isReusable() -> Bool {
    guard phase == .connected else { return false }
    do throws(SocketError) {
      return try perform(.reading, .receive, LazyDeadline(.zero), Stateless()) { core, _, access throws(SocketError) in
        if core.buffered > 0 { return .done(false) }
        // A thread's attempt asks the kernel, and not the cache of the event loop.
        return .done(try core.fill(access) == nil)
      }
    } catch { return false }
  }
}
