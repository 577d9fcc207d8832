internal import CFin
internal import Glibc
internal import SystemPackage

/// Sending to a stream. Every method runs inside the gate as the only writer, so that the bytes of one call stay
/// together, and makes one attempt.
extension Core {
  /// Hands bytes to the kernel, as many as it accepts.
  ///
  /// - Parameters:
  ///   - accepted: the bytes that the kernel has accepted in this call; updated.
  ///   - some: whether one system call that accepted something is enough.
  func send(
    _ bytes: UnsafeRawBufferPointer, _ accepted: inout SendState, some: Bool = false, _ access: Access
  ) throws(SocketError) -> Attempt<Int> {
    try checkSending(accepted.count)
    #if TLS
    if isSecured { return try unsafe sendSecured(bytes, &accepted, some: some, access) }
    #endif
    if accepted.count < bytes.count {
      let cached = CachedReadiness(of: self, access)
      do throws(Errno) {
        let count = try unsafe Syscalls.send(
          number(access), UnsafeRawBufferPointer(rebasing: bytes[accepted.count...]))
        accepted.count += count
        noteSent(count)
        if !some, accepted.count < bytes.count { return .more }
      } catch {
        try check(error, &accepted, cached, access)
        return .blocked(.output)
      }
    }
    accepted.time.isOver(on: self)
    return .done(accepted.count)
  }

  /// Hands several pieces to the kernel at once, at most 1024: `sendmsg(2)`.
  ///
  /// - Parameter skipping: the number of their bytes that the kernel accepted before; `accepted` includes them.
  func send(
    gathering pieces: [UnsafeRawBufferPointer], skipping skipped: Int, _ accepted: inout SendState, _ access: Access
  ) throws(SocketError) -> Attempt<Void> {
    try checkSending(accepted.count)
    #if TLS
    if isSecured { return try unsafe sendSecured(gathering: pieces, skipping: skipped, &accepted, access) }
    #endif
    var vectors = unsafe pieces.filter { $0.count > 0 }.map {
      unsafe iovec(iov_base: UnsafeMutableRawPointer(mutating: $0.baseAddress), iov_len: $0.count)
    }
    var first = 0
    func drop(_ taken: Int) {
      var count = taken
      while unsafe first < vectors.count, unsafe count >= vectors[first].iov_len {
        unsafe count -= vectors[first].iov_len
        first += 1
      }
      if count > 0 {
        unsafe vectors[first].iov_base += count
        unsafe vectors[first].iov_len -= count
      }
    }
    drop(skipped)
    if unsafe first < vectors.count {
      let cached = CachedReadiness(of: self, access)
      do throws(Errno) {
        let count = try unsafe vectors.withUnsafeMutableBufferPointer { all throws(Errno) in
          try unsafe Syscalls.send(number(access), gathering: UnsafeMutableBufferPointer(rebasing: all[first...]))
        }
        noteSent(count)
        accepted.count += count
        drop(count)
        if unsafe first < vectors.count { return .more }
      } catch {
        try check(error, &accepted, cached, access)
        return .blocked(.output)
      }
    }
    return .done(())
  }

  /// Throws the recorded terminal state before the kernel is asked: the kernel would only return EPIPE, which names
  /// no cause.
  func checkSending(_ accepted: Int) throws(SocketError) {
    if connectionState.allowsSending { return }
    let state = connectionState.value
    if let failure = state.failure { throw error(.send, failure, bytesAccepted: accepted) }
    if state.finishedSending { throw error(.send, .finished, bytesAccepted: accepted) }
  }

  /// Returns if the kernel only had no room; throws otherwise.
  func check(_ code: Errno, _ progress: inout SendState, _ cached: CachedReadiness, _ access: Access)
    throws(SocketError)
  {
    if code == .resourceTemporarilyUnavailable {
      cached.clear(.output)
      return progress.time.waits(on: self, access)
    }
    progress.time.isOver(on: self)
    let accepted = progress.count
    if code == .brokenPipe, connectionState.value.finishedSending {
      throw error(.send, .finished, bytesAccepted: accepted)
    } else if code == .brokenPipe {
      // A Unix stream returns EPIPE even when it was reset, and keeps the reset in SO_ERROR.
      throw error(.send, takeError(access) ?? fail(code), bytesAccepted: accepted)
    } else {
      throw error(.send, fail(code), bytesAccepted: accepted)
    }
  }

  /// Finishes sending if there is, or was, a connection. On a socket without one the kernel would return ENOTCONN and
  /// record the shutdown all the same, or end the connect attempt that is under way.
  func finishSendingIfConnected(_ access: Access) throws(SocketError) -> Attempt<Void> {
    switch phase {
    case .fresh, .bound, .connecting: throw error(.finishSending, .system(.socketNotConnected))
    case .connected, .sendFinished, .peerFinished, .bothFinished, .failed, .listening, .paused, .stopping, .confirming,
      .confirmingLast, .lingering, .lingeringAcknowledged, .closed:
      finishSending(access)
      #if TLS
      if isSecured, !flushSecured(access) { return .blocked(.output) }
      #endif
      return .done(())
    }
  }

  /// Finishes sending for an owner. It never waits and never throws. If a server's drain, or a close from elsewhere,
  /// has ended the connection meanwhile, there is nothing left to finish, and the report of that close says how
  /// it ended.
  func finishSending() {
    _ = try? withAccess(.finishSending) { access throws(SocketError) in finishSending(access) }
  }

  /// Calls `shutdown(SHUT_WR)`, once. If the connection has failed already, the failure is recorded, and the next
  /// receive throws it.
  private func finishSending(_ access: Access) {
    let isFirst = connectionState.update { state in
      let isFirst = !state.finishedSending
      state.finishedSending = true
      return isFirst
    }
    guard isFirst else { return }
    #if TLS
    if isSecured, !sayClose(access) {
      advance(.finishSending)
      return
    }
    #endif
    do {
      try Syscalls.shutdown(number(access), CInt(SHUT_WR))
      connectionState.update { $0.isFINQueued = true }
    } catch { takeError(access) }
    advance(.finishSending)
  }
}
