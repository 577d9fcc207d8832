internal import CFin
internal import FinBase
internal import SystemPackage

/// The calls that move bytes between two sockets through a pipe, without a copy to the program.
extension Syscalls {
  /// `pipe2(2)` with `O_CLOEXEC | O_NONBLOCK`: the kernel's buffer between a socket and another one, or a file.
  static func makePipe() throws(Errno) -> (reading: CInt, writing: CInt) {
    var ends: (CInt, CInt) = (-1, -1)
    _ = try call(.pipe) { _ in
      unsafe withUnsafeMutableBytes(of: &ends) { bytes in
        unsafe Int(fin_nonblocking_pipe(bytes.bindMemory(to: CInt.self).baseAddress!))
      }
    }
    return ends
  }

  /// `fcntl(2)` with `F_SETPIPE_SZ`: at least this number of bytes. The kernel refuses it with `EPERM` when the pipes
  /// of a user without privileges have too many pages.
  static func setPipeSize(_ pipe: CInt, _ bytes: Int) throws(Errno) {
    _ = try call(.fcntl) { _ in Int(fin_fcntl_int(pipe, CInt(FIN_F_SETPIPE_SZ), CInt(bytes))) }
  }

  /// `fcntl(2)` with `F_GETPIPE_SZ`, in bytes.
  static func pipeSize(_ pipe: CInt) throws(Errno) -> Int {
    try call(.fcntl) { _ in Int(fin_fcntl_int(pipe, CInt(FIN_F_GETPIPE_SZ), 0)) }
  }

  /// `splice(2)` from a non-blocking socket into an empty pipe. The pipe has room, so that `EAGAIN` means that
  /// the socket has nothing.
  ///
  /// - Returns: the number of bytes; 0 at EOF.
  static func splice(from socket: CInt, into pipe: CInt, _ most: Int) throws(Errno) -> Int {
    try call(.splice, bytes: most) { bytes in fin_splice(socket, pipe, UInt(bytes)) }
  }

  /// `splice(2)` from a pipe with bytes into a non-blocking socket. `EAGAIN` means that the socket has no room, because
  /// the pipe has bytes. It may raise `SIGPIPE`: the caller makes its calls in ``withoutBrokenPipe(_:)``.
  static func splice(from pipe: CInt, to socket: CInt, _ most: Int) throws(Errno) -> Int {
    try call(.splice, bytes: most) { bytes in fin_splice(pipe, socket, UInt(bytes)) }
  }

  /// Makes the socket's open file description non-blocking again if another holder has changed it: `splice` has no
  /// `MSG_DONTWAIT`, and would hold its thread beyond every deadline.
  static func keepNonBlocking(_ socket: CInt) throws(Errno) {
    if try isBlocking(socket) { try setBlocking(socket, false) }
  }
}

/// A pipe that holds bytes on their way from one socket to another.
///
/// It is empty whenever it is filled, so that an `EAGAIN` has one meaning.
final class SplicePipe: Sendable {
  /// The capacity that is asked for: the kernel's limit for a user without privileges, as it is by default.
  static let wanted = 1 << 20
  /// The smallest capacity with which a pipe is faster than copying.
  static let least = 64 << 10

  private let ends: (reading: CInt, writing: CInt)
  /// The bytes that it can hold.
  let capacity: Int

  /// Makes a pipe as large as the kernel allows.
  ///
  /// - Returns: `nil` when there is no descriptor for one, or when it may hold less than ``least`` bytes.
  init?() {
    guard let ends = try? Syscalls.makePipe() else { return nil }
    var size = SplicePipe.wanted
    while size > SplicePipe.least, (try? Syscalls.setPipeSize(ends.writing, size)) == nil { size /= 2 }
    let capacity = (try? Syscalls.pipeSize(ends.writing)) ?? 0
    guard capacity >= SplicePipe.least else {
      Syscalls.close(ends.reading)
      Syscalls.close(ends.writing)
      return nil
    }
    self.ends = ends
    self.capacity = capacity
  }

  deinit {
    Syscalls.close(ends.reading)
    Syscalls.close(ends.writing)
  }

  /// Fills the empty pipe from a socket.
  func fill(from socket: CInt) throws(Errno) -> Int { try Syscalls.splice(from: socket, into: ends.writing, capacity) }

  /// Moves up to `count` bytes to a socket.
  func empty(into socket: CInt, _ count: Int) throws(Errno) -> Int {
    try Syscalls.splice(from: ends.reading, to: socket, count)
  }
}
