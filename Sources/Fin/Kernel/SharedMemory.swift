internal import CFin
internal import FinBase
internal import Glibc
internal import SystemPackage

/// Memory with a descriptor, so that another process can read it: `memfd_create(2)`.
extension Syscalls {
  /// Creates a file in memory, `CLOEXEC`, that never shrinks: a process that maps it gets no `SIGBUS` for a part that
  /// once existed.
  static func makeMemoryFile(_ name: StaticString) throws(Errno) -> CInt {
    let number = CInt(
      try call(.memfdCreate) { _ in
        unsafe Int(fin_memory_file(UnsafeRawPointer(name.utf8Start).assumingMemoryBound(to: CChar.self)))
      })
    if fin_seal_size(number) == 0 { return number }
    let error = Errno.last
    close(number)
    throw error
  }

  /// `fallocate(2)`: lengthens a file and allocates the memory at once, so that a lack of memory is an error here and
  /// not a signal at the first access.
  static func lengthen(_ descriptor: CInt, from old: Int, to new: Int) throws(Errno) {
    _ = try call(.fallocate) { _ in Int(fin_allocate(descriptor, Int64(old), Int64(new - old))) }
  }

  /// `mmap(2)`, shared. The mapping may be longer than the file; the part beyond its end is not accessed before the
  /// file has grown.
  static func map(_ descriptor: CInt, _ size: Int) throws(Errno) -> UnsafeMutableRawPointer {
    var address: UnsafeMutableRawPointer?
    _ = try call(.mmap) { _ in
      unsafe address = fin_map(descriptor, UInt64(size))
      return unsafe address == nil ? -1 : 0
    }
    // A scripted success has mapped no memory.
    guard let address = unsafe address else { throw .noMemory }
    return unsafe address
  }

  /// The id of this process in its own PID namespace: `getpid(2)`.
  static var process: CInt { getpid() }

  static func unmap(_ address: UnsafeMutableRawPointer, _ size: Int) {
    _ = unsafe fin_unmap(address, UInt64(size))
  }
}
