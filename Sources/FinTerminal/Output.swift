import Glibc

/// Unbuffered output, so that nothing that was written is lost if the program crashes afterwards.
///
/// Output is whole, or the program ends with an error: half a report would pass for a complete one.
package enum Output {
  /// The exit status of a program whose output could not be written (`EX_IOERR` of `sysexits.h`).
  package static let failureStatus: Int32 = 74

  /// Writes a text to standard output; if that fails, ends the program with ``failureStatus``.
  package static func write(_ text: String) { write([UInt8](text.utf8)) }

  /// Writes bytes to standard output; if that fails, ends the program with ``failureStatus``.
  package static func write(_ bytes: [UInt8]) {
    if let error = put(bytes[...], to: STDOUT_FILENO) { fail(error) }
  }

  /// Writes a text to standard output, in a program that has to end other things first if that fails.
  /// - Returns: The error that prevents it, a value of `errno`; nil if all of it was written.
  package static func attempt(_ text: String) -> CInt? { put([UInt8](text.utf8)[...], to: STDOUT_FILENO) }

  /// Writes a text to standard error as it is, such as a line that the next one replaces.
  package static func show(_ text: String) { _ = put([UInt8](text.utf8)[...], to: STDERR_FILENO) }

  /// Writes a sentence to standard error, with the command's name before it.
  package static func complain(_ sentence: String) { complain(plainly: "fin: \(sentence)") }

  /// Writes a text to standard error, with a line end.
  package static func complain(plainly text: String) {
    // A failure has no other place where it could be reported.
    _ = put([UInt8]("\(text)\n".utf8)[...], to: STDERR_FILENO)
  }

  /// Closes standard output, as the last step of a program. Some file systems report only here that a disk is full.
  package static func finish() {
    if close(STDOUT_FILENO) != 0, errno != EINTR, errno != EBADF { fail(errno) }
  }

  /// Opens a file in the place of each standard stream that is closed, as the first step of a program. Otherwise the
  /// next file that the program opens would get that number, and output would go there.
  ///
  /// Reading or writing such a stream fails with `EBADF`, as if it were closed. A started program gets a closed one.
  package static func holdPlaces() {
    for stream in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] where fcntl(stream, F_GETFD) < 0 {
      // The kernel chooses the lowest free number.
      _ = unsafe open("/dev/null", (stream == STDIN_FILENO ? O_WRONLY : O_RDONLY) | O_CLOEXEC)
    }
  }

  private static func fail(_ error: CInt) -> Never {
    let reason = unsafe strerror(error).map { unsafe String(cString: $0) } ?? "error \(error)"
    complain("the output could not be written: \(reason)")
    exit(failureStatus)
  }

  /// Writes everything, and waits where the descriptor is non-blocking; returns the error that prevents it.
  private static func put(_ bytes: ArraySlice<UInt8>, to descriptor: CInt) -> CInt? {
    var rest = bytes
    while !rest.isEmpty {
      let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress!, $0.count) }
      if count > 0 {
        rest = rest.dropFirst(count)
      } else if count < 0, errno == EAGAIN || errno == EWOULDBLOCK {
        // Without a timeout, as a write to a blocking descriptor waits. Errors are left to the next write.
        var room = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        _ = unsafe poll(&room, 1, -1)
      } else if count == 0 || errno != EINTR {
        return count == 0 ? EIO : errno
      }
    }
    return nil
  }
}
