extension Receiving where Self: ~Copyable {
  /// Receives the available bytes into several pieces, the first bytes into the first piece, without copying them
  /// again: `recvmsg`.
  ///
  /// A program whose messages begin with a header of known length gets header and contents apart. It returns when there
  /// is at least one byte: a piece may be shorter than its length, and the pieces behind it are empty then.
  /// ```swift
  /// if let pieces = try connection.receive(scattering: [4, 4096]) { print(pieces[0], pieces[1].count) }
  /// ```
  /// - Parameters:
  ///   - lengths: the most bytes of each piece, 0 or more; at most 64 pieces, and 1 byte to 16 MiB in all.
  ///   - within: the timeout; by default ``Timeouts/receive``.
  /// - Returns: as many pieces as there are lengths; `nil` when the peer has finished.
  /// - Throws: `.invalid` when the lengths make no sense; otherwise as every receive.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func receive(
    scattering lengths: [Int], within: Timeout = .default
  ) throws(SocketError) -> [[UInt8]]? {
    try perform(.reading, .receive, timeouts.receiving(within), Stateless()) { core, _, access throws(SocketError) in
      try core.take(scattering: lengths, access)
    }
  }

  /// Receives the available bytes into several pieces, in a task: `recvmsg`.
  ///
  /// - Throws: as in a thread, and `.cancelled`.
  public borrowing func receive(
    scattering lengths: [Int], within: Timeout = .default
  ) async throws(SocketError) -> [[UInt8]]? {
    try await perform(.reading, .receive, timeouts.receiving(within), Stateless()) {
      core, _, access throws(SocketError) in
      try core.take(scattering: lengths, access)
    }
  }
}
