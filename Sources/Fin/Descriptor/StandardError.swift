internal import Glibc

/// Where a line goes that nobody asked for: a leak's report.
enum StandardError {
  /// As many bytes as a pipe takes at once or not at all: `PIPE_BUF`.
  private static let most = 4096

  /// Writes a line, cut where it is too long.
  ///
  /// The line is lost when it cannot be written at once, and when descriptor 2 is closed or has become a socket of ours: the
  /// program neither waits for a reader nor is ended by `SIGPIPE`, and no peer gets a report among its bytes.
  static func write(_ line: String) {
    if Ledger.owns(STDERR_FILENO) { return }
    var bytes = Array("fin: \(line)".utf8.prefix(most - 1))
    bytes.append(0x0A)
    Syscalls.writeAtOnce(STDERR_FILENO, bytes)
  }
}
