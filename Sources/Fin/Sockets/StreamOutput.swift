internal import CFin
internal import Glibc
internal import SystemPackage

/// How bytes go out. Everything here runs inside the gate as its one writer, so that each call's bytes arrive together.
extension Core {
  func writing<R>(_ patience: inout Patience, _ body: (inout Patience) throws(SocketError) -> R) throws(SocketError)
    -> R
  {
    do { try gate.enterWriting(&patience) } catch { throw refusal(.send, error) }
    defer { leave(.writing) }
    return try body(&patience)
  }

  /// Hands all of the bytes to the kernel, or says how many it took.
  ///
  /// - Returns: how many the kernel took: all of them, or with `some` at least one.
  func sendAll(
    _ bytes: UnsafeRawBufferPointer, some: Bool = false, _ patience: inout Patience
  ) throws(SocketError) -> Int {
    try checkSending()
    var accepted = 0
    while accepted < bytes.count {
      do throws(Errno) {
        accepted += try unsafe Syscalls.send(number, UnsafeRawBufferPointer(rebasing: bytes[accepted...]))
        if some { break }
      } catch {
        try goOn(after: error, accepted, &patience)
      }
    }
    return accepted
  }

  /// The same for several pieces at once, at most 1024: `sendmsg(2)`.
  ///
  /// - Parameter accepted: what the kernel took in this call before, and takes now.
  func sendAll(
    gathering pieces: [UnsafeRawBufferPointer], _ accepted: inout Int, _ patience: inout Patience
  ) throws(SocketError) {
    try checkSending()
    var vectors = unsafe pieces.filter { $0.count > 0 }.map {
      unsafe iovec(iov_base: UnsafeMutableRawPointer(mutating: $0.baseAddress), iov_len: $0.count)
    }
    var first = 0
    while unsafe first < vectors.count {
      do throws(Errno) {
        var count = try unsafe vectors.withUnsafeMutableBufferPointer { all throws(Errno) in
          try unsafe Syscalls.send(number, gathering: UnsafeMutableBufferPointer(rebasing: all[first...]))
        }
        accepted += count
        while unsafe first < vectors.count, unsafe count >= vectors[first].iov_len {
          unsafe count -= vectors[first].iov_len
          first += 1
        }
        if count > 0 {
          unsafe vectors[first].iov_base += count
          unsafe vectors[first].iov_len -= count
        }
      } catch {
        try goOn(after: error, accepted, &patience)
      }
    }
  }

  /// A latched end is told before the kernel is asked: asking again would only get EPIPE, which names no cause.
  private func checkSending() throws(SocketError) {
    let state = latch.value
    if let failure = state.failure { throw error(.send, failure) }
    if state.finishedSending { throw error(.send, .finished) }
  }

  private func goOn(after code: Errno, _ accepted: Int, _ patience: inout Patience) throws(SocketError) {
    if code == .resourceTemporarilyUnavailable {
      do { try wait(for: CInt(POLLOUT), &patience) } catch { throw self.error(.send, error, bytesAccepted: accepted) }
    } else if code == .brokenPipe, latch.value.finishedSending {
      throw error(.send, .finished, bytesAccepted: accepted)
    } else if code == .brokenPipe {
      // A Unix stream says so even when it was reset, and leaves the reset where SO_ERROR finds it.
      throw error(.send, takeError() ?? fail(code), bytesAccepted: accepted)
    } else {
      throw error(.send, fail(code), bytesAccepted: accepted)
    }
  }

  /// `shutdown(SHUT_WR)`, once. That the connection has failed already is latched, and heard by whoever receives.
  func finishSending() {
    let isFirst = latch.update { state in
      let isFirst = !state.finishedSending
      state.finishedSending = true
      return isFirst
    }
    guard isFirst else { return }
    do {
      try Syscalls.shutdown(number, CInt(SHUT_WR))
      latch.update { $0.isFINQueued = true }
    } catch { takeError() }
    advance(.finishSending)
  }
}
