internal import CFin
internal import Glibc
internal import SystemPackage

extension Syscalls {
  /// `pwritev2(2)` with `RWF_NOWAIT` if the file supports it, otherwise `write(2)` if `poll(2)` reports room.
  ///
  /// It does not wait, and raises no `SIGPIPE`. Bytes that cannot be written are lost.
  static func writeAtOnce(_ descriptor: CInt, _ bytes: [UInt8]) {
    withoutBrokenPipe {
      if unsafe fin_write_at_once(descriptor, bytes, UInt(bytes.count)) >= 0 { return }
      // A file may return EAGAIN only because its block is not in memory.
      let error = Errno.last
      guard error == .notSupportedOnSocket || error == .resourceTemporarilyUnavailable else { return }
      var one = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
      guard unsafe Glibc.poll(&one, 1, 0) == 1, one.revents & Int16(POLLOUT) != 0 else { return }
      _ = unsafe Glibc.write(descriptor, bytes, bytes.count)
    }
  }

  /// Runs `body` with `SIGPIPE` blocked in this thread, and removes the signal that `body` raised. A signal that was
  /// pending before stays pending.
  static func withoutBrokenPipe<R, E: Error>(_ body: () throws(E) -> R) throws(E) -> R {
    var pipe = sigset_t()
    unsafe sigemptyset(&pipe)
    unsafe sigaddset(&pipe, SIGPIPE)
    var pending = sigset_t()
    unsafe sigpending(&pending)
    let wasPending = unsafe sigismember(&pending, SIGPIPE) == 1
    var before = sigset_t()
    unsafe pthread_sigmask(SIG_BLOCK, &pipe, &before)
    defer {
      // Also after a success: a call may have sent a part before the peer was gone.
      if !wasPending {
        var none = timespec()
        while unsafe sigtimedwait(&pipe, nil, &none) < 0, Errno.last == .interrupted {}
      }
      unsafe pthread_sigmask(SIG_SETMASK, &before, nil)
    }
    return try body()
  }
}
