internal import Glibc

/// The output of lines that the program did not ask for, such as leak reports.
enum StandardError {
  /// The number of bytes that a pipe takes either all at once or not at all: `PIPE_BUF`.
  private static let most = 4096

  /// Writes a line, and cuts it if it is too long.
  ///
  /// The line is lost when it cannot be written at once, and when descriptor 2 is closed or has become a socket of Fin.
  /// So the program neither waits for a reader nor is ended by `SIGPIPE`, and no peer receives a report among
  /// its bytes.
  static func write(_ line: String) {
    if Ledger.owns(STDERR_FILENO) { return }
    var bytes = Array("fin: \(line)".utf8.prefix(most - 1))
    bytes.append(0x0A)
    Syscalls.writeAtOnce(STDERR_FILENO, bytes)
  }
}
