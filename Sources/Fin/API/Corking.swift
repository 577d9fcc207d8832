internal import CFin
internal import Glibc

extension Sending where Self: ~Copyable {
  /// Runs `body`, and lets the kernel send only full segments meanwhile: what several sends leave behind travels
  /// together when the body is over.
  ///
  /// It saves small packets where the pieces of a message are made one after the other. Where they are there at once,
  /// `send(gathering:)` does the same with one system call. The kernel sends what waits for more than 200 ms. On a Unix
  /// socket `body` just runs. Within a body on another thread the same connection is corked too, and the first body
  /// that ends uncorks it.
  /// ```swift
  /// try connection.corked { connection throws(SocketError) in
  ///   try connection.send("HTTP/1.1 200 OK\r\n")
  ///   try connection.send("Content-Length: 2\r\n\r\nok")
  /// }
  /// ```
  /// The corresponding C option is `TCP_CORK`.
  /// - Returns: the result of the body.
  /// - Throws: the error of the body. The rest is sent then too.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func corked<R: ~Copyable, Failure: Error>(
    _ body: (borrowing Self) throws(Failure) -> R
  ) throws(Failure) -> R {
    reference.core.cork(true)
    defer { reference.core.cork(false) }
    return try body(self)
  }

  /// Runs `body`, and lets the kernel send only full segments meanwhile, in a task: `TCP_CORK`.
  ///
  /// - Returns: the result of the body.
  /// - Throws: the error of the body. The rest is sent then too.
  public borrowing func corked<R: ~Copyable, Failure: Error>(
    _ body: (borrowing Self) async throws(Failure) -> R
  ) async throws(Failure) -> R {
    reference.core.cork(true)
    defer { reference.core.cork(false) }
    return try await body(self)
  }
}

extension Core {
  /// Sets `TCP_CORK`; setting it to 0 sends what waits. A socket that is closed meanwhile has sent it.
  fileprivate func cork(_ isOn: Bool) {
    guard isTCP else { return }
    try? withAccess(.setOption) { access throws(SocketError) in
      try? Syscalls.setIntegerOption(number(access), CInt(IPPROTO_TCP), TCP_CORK, isOn ? 1 : 0)
    }
  }
}
