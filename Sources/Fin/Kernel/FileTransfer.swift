internal import CFin
internal import Glibc
internal import SystemPackage

/// The calls that move bytes between a file and a socket, or a file and memory.
///
/// A file may block: a regular one while its block is read from the disk. A pipe is polled first, because it could
/// block for as long as its other end likes. None of them raises `SIGPIPE`.
extension Syscalls {
  /// The kind of a file, as far as it decides how bytes are moved.
  enum FileKind {
    /// It has positions, and no other end to wait for.
    case regular
    /// A pipe, a terminal, a socket: it may wait for its other end.
    case stream
  }

  static func fileKind(_ file: CInt) throws(Errno) -> FileKind {
    switch try status(file).st_mode & S_IFMT {
    case S_IFREG, S_IFBLK: .regular
    default: .stream
    }
  }

  /// `lseek(2)` with `SEEK_CUR`: the position of a file.
  static func position(_ file: CInt) throws(Errno) -> Int64 {
    Int64(try call(.lseek) { _ in Int(Glibc.lseek(file, 0, SEEK_CUR)) })
  }

  /// `lseek(2)` with `SEEK_SET`.
  static func seek(_ file: CInt, _ position: Int64) throws(Errno) {
    _ = try call(.lseek) { _ in Int(Glibc.lseek(file, off_t(position), SEEK_SET)) }
  }

  /// `sendfile(2)`, from a position that it does not change in the file.
  ///
  /// - Returns: 0 at the end of the file.
  static func sendFile(_ socket: CInt, _ file: CInt, from position: Int64, _ most: Int) throws(Errno) -> Int {
    try withoutBrokenPipe { () throws(Errno) in
      try call(.sendfile, bytes: most) { bytes in Int(fin_file_send(socket, file, position, UInt64(bytes))) }
    }
  }

  /// `pread(2)`; without a position `read(2)`.
  static func readFile(
    _ file: CInt, from position: Int64?, into room: UnsafeMutableRawBufferPointer
  ) throws(Errno) -> Int {
    try call(.read, bytes: room.count) { bytes in
      if let position { return unsafe Glibc.pread(file, room.baseAddress, bytes, off_t(position)) }
      return unsafe Glibc.read(file, room.baseAddress, bytes)
    }
  }

  /// `write(2)`.
  static func writeFile(_ file: CInt, _ bytes: UnsafeRawBufferPointer) throws(Errno) -> Int {
    try withoutBrokenPipe { () throws(Errno) in
      try call(.write, bytes: bytes.count) { most in unsafe Glibc.write(file, bytes.baseAddress, most) }
    }
  }

  /// Whether a file is ready now: `poll(2)` without waiting. An error of the file counts as ready, because the call
  /// that follows returns it.
  static func isReady(_ file: CInt, _ events: CInt) throws(Errno) -> Bool {
    try poll(file, events, until: .passed) != nil
  }

  /// `splice(2)` with `SPLICE_F_MOVE | SPLICE_F_NONBLOCK`, of which one end is a pipe.
  static func spliceFile(from source: CInt, to sink: CInt, _ most: Int) throws(Errno) -> Int {
    try withoutBrokenPipe { () throws(Errno) in
      try call(.splice, bytes: most) { bytes in fin_splice(source, sink, UInt(bytes)) }
    }
  }
}
