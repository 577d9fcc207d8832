internal import FinBase

/// Readers of `/proc/PID/fdinfo`, for the sockets that have no descriptor.
enum Fdinfo {
  /// Calls `body` with the inode of each socket that an io_uring has as a registered file: `12: socket:[4711]`.
  static func forEachRegisteredSocket(in bytes: [UInt8], _ body: (UInt32) -> Void) {
    for word in Fields(bytes) where word.begins(with: "socket:[") && word.last == UInt8(ascii: "]") {
      if let inode = UInt32(decimal: word.dropFirst(8).dropLast()) { body(inode) }
    }
  }

  /// The number of descriptors in the messages that a Unix socket has not received (`scm_fds`, since Linux 5.6); nil
  /// where the kernel does not report it.
  static func descriptorsInMessages(in bytes: [UInt8]) -> Int? {
    let line = bytes.split(separator: 10).first { $0.begins(with: "scm_fds:") }
    return line.flatMap { Fields($0.dropFirst(8)).first }.flatMap { Int(decimal: $0) }
  }
}
