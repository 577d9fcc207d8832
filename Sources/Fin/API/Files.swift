public import SystemPackage

extension Sending where Self: ~Copyable {
  /// Sends the bytes of a file, in the kernel where it can: `sendfile(2)`.
  ///
  /// On a secured connection, and from files that `sendfile` does not take (pipes, some of `/proc`), the bytes are
  /// read and sent. A file that becomes shorter meanwhile, or is shorter than `count`, ends the call with fewer bytes.
  /// Reading a regular file may block the thread while its blocks come from the disk. A pipe or a terminal without
  /// bytes does not: the call waits until it is ready, and a close, a cancellation and the timeout end that wait too.
  /// ```swift
  /// let file = try FileDescriptor.open("answer.bin", .readOnly)
  /// let sent = try file.closeAfter { try connection.sendFile(file, within: .seconds(600)) }
  /// ```
  /// - Parameters:
  ///   - file: the file, which stays the caller's, and open for the time of the call.
  ///   - position: the first byte, 0 or more; the file's own position does not change. Without it, the bytes from the
  ///     file's own position on are sent, which is afterwards behind the last byte that was sent, also after an error.
  ///     Bytes that were read from a pipe and not sent are lost after an error.
  ///   - count: the largest number of bytes; without it, all up to the end of the file.
  ///   - within: the timeout for all of them together; by default ``Timeouts/send``.
  /// - Returns: the number of bytes that the kernel has accepted.
  /// - Throws: the errors of `send(_:within:)`, with `bytesAccepted`; `.system` with the error of reading the file,
  ///   such as `EBADF`, `EISDIR`, and `ESPIPE` for a position in a pipe; `.invalid` for a negative number.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  @discardableResult
  public borrowing func sendFile(
    _ file: FileDescriptor, from position: Int64? = nil, count: Int? = nil, within: Timeout = .default
  ) throws(SocketError) -> Int {
    let timeout = timeouts.sending(within)
    return try perform(.writing, .send, timeout, FileSend(file.rawValue, from: position, count, timeout)) {
      core, sending, access throws(SocketError) in
      try sending.attempt(on: core, access)
    }
  }

  /// Sends the bytes of a file, in a task: as in a thread.
  ///
  /// A slow disk delays the other tasks of the event loop: such a file is better read in `Reactor.blocking { … }`.
  /// - Throws: the errors in a thread, and `.cancelled`.
  @discardableResult
  public borrowing func sendFile(
    _ file: FileDescriptor, from position: Int64? = nil, count: Int? = nil, within: Timeout = .default
  ) async throws(SocketError) -> Int {
    let timeout = timeouts.sending(within)
    return try await perform(.writing, .send, timeout, FileSend(file.rawValue, from: position, count, timeout)) {
      core, sending, access throws(SocketError) in
      try sending.attempt(on: core, access)
    }
  }
}

extension Receiving where Self: ~Copyable {
  /// Receives into a file, at its own position, until the peer finishes or `count` bytes have come, in the kernel where
  /// it can: `splice(2)`.
  ///
  /// Bytes that an earlier call buffered come first. On a secured connection, into a pipe or a terminal, and into a
  /// file opened for appending, the bytes are received and written. Writing a regular file may block the thread; for a
  /// full pipe or terminal, the call waits until it takes bytes.
  /// - Parameters:
  ///   - file: the file, which stays the caller's, and open for the time of the call.
  ///   - count: the largest number of bytes; without it, all until the peer finishes.
  ///   - within: the timeout for all of them together; by default ``Timeouts/receive``.
  /// - Returns: the number of bytes written: fewer than `count` only when the peer has finished.
  /// - Throws: the errors of `receive(into:within:)`; `.system` with the error of writing the file, such as `ENOSPC`.
  ///   Bytes that the file did not take stay readable, and those before them are in the file: the note of the error
  ///   says how many.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  @discardableResult
  public borrowing func receive(
    to file: FileDescriptor, count: Int? = nil, within: Timeout = .default
  ) throws(SocketError) -> Int {
    try perform(.reading, .receive, timeouts.receiving(within), FileReceive(file.rawValue, count)) {
      core, receiving, access throws(SocketError) in
      try receiving.attempt(on: core, access)
    }
  }

  /// Receives into a file, in a task: as in a thread.
  ///
  /// - Throws: the errors in a thread, and `.cancelled`.
  @discardableResult
  public borrowing func receive(
    to file: FileDescriptor, count: Int? = nil, within: Timeout = .default
  ) async throws(SocketError) -> Int {
    try await perform(.reading, .receive, timeouts.receiving(within), FileReceive(file.rawValue, count)) {
      core, receiving, access throws(SocketError) in
      try receiving.attempt(on: core, access)
    }
  }
}
