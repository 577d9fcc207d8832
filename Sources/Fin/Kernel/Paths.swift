internal import CFin
internal import Glibc
internal import SystemPackage

/// Calls for the file that a Unix socket is bound to. A path is given as bytes, without a terminating NUL.
extension Syscalls {
  private static func withCPath<R, E: Error>(
    _ path: [UInt8], _ body: (UnsafePointer<CChar>) throws(E) -> R
  ) throws(E) -> R {
    try unsafe (path + [0]).withUnsafeBufferPointer { bytes throws(E) in
      try unsafe bytes.withMemoryRebound(to: CChar.self) { text throws(E) in try unsafe body(text.baseAddress!) }
    }
  }

  /// `lstat(2)`: the status of the path itself; a symbolic link is not followed.
  static func status(of path: [UInt8]) throws(Errno) -> stat {
    var value = stat()
    try unsafe withCPath(path) { text throws(Errno) in
      _ = try call(.lstat) { _ in unsafe Int(lstat(text, &value)) }
    }
    return value
  }

  /// `unlink(2)`.
  static func unlink(_ path: [UInt8]) throws(Errno) {
    try unsafe withCPath(path) { text throws(Errno) in _ = try call(.unlink) { _ in unsafe Int(Glibc.unlink(text)) } }
  }

  /// `open(2)`, `CLOEXEC`.
  static func open(_ path: [UInt8], _ flags: CInt) throws(Errno) -> CInt {
    try unsafe withCPath(path) { text throws(Errno) in
      CInt(try call(.open) { _ in unsafe Int(Glibc.open(text, flags | O_CLOEXEC)) })
    }
  }

  /// `read(2)` of a file.
  static func read(_ descriptor: CInt, _ buffer: UnsafeMutableRawBufferPointer) throws(Errno) -> Int {
    try call(.read) { _ in unsafe Glibc.read(descriptor, buffer.baseAddress, buffer.count) }
  }

  /// `flock(2)`, exclusive and non-blocking. Closing the descriptor releases the lock.
  ///
  /// - Returns: whether the lock was free.
  static func tryLock(_ descriptor: CInt) throws(Errno) -> Bool {
    do { _ = try call(.flock) { _ in Int(fin_try_lock(descriptor)) } } catch {
      if error == .wouldBlock { return false }
      throw error
    }
    return true
  }

  /// `fchmod(2)`. On a Unix socket it is called before `bind`, which then creates the path with these permissions, less
  /// the umask.
  static func setPermissions(_ descriptor: CInt, _ permissions: UInt32) throws(Errno) {
    _ = try call(.chmod) { _ in Int(fchmod(descriptor, permissions)) }
  }

  /// `chmod(2)` of the file behind a descriptor opened with `O_PATH`, which `fchmod` refuses.
  static func setPermissions(throughPath descriptor: CInt, _ permissions: UInt32) throws(Errno) {
    try unsafe withCPath(Array("/proc/self/fd/\(descriptor)".utf8)) { text throws(Errno) in
      _ = try call(.chmod) { _ in unsafe Int(chmod(text, permissions)) }
    }
  }

  /// `getcwd(3)`.
  static func currentFolder() -> [UInt8]? {
    unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(PATH_MAX)) { room in
      guard let text = unsafe getcwd(room.baseAddress, room.count) else { return nil }
      return unsafe UnsafeRawBufferPointer(start: text, count: strlen(text)).map { $0 }
    }
  }
}
