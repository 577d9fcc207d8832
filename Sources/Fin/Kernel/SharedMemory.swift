internal import CFin
internal import Glibc
internal import SystemPackage

/// Memory that has a descriptor, so that another process can read it: `memfd_create(2)`.
extension Syscalls {
  /// A file in memory, `CLOEXEC`, which never shrinks: whoever maps it is never hit by `SIGBUS` for what was there once.
  static func makeMemoryFile(_ name: StaticString) throws(Errno) -> CInt {
    let number = CInt(
      try call(.memfdCreate) { _ in
        unsafe Int(fin_memory_file(UnsafeRawPointer(name.utf8Start).assumingMemoryBound(to: CChar.self)))
      })
    if fin_seal_size(number) == 0 { return number }
    let error = Errno(rawValue: fin_errno())
    close(number)
    throw error
  }

  /// `fallocate(2)`: makes a file longer, with memory that is there from now on: what is lacking is an error here, and not
  /// a signal at the first touch.
  static func lengthen(_ descriptor: CInt, from old: Int, to new: Int) throws(Errno) {
    _ = try call(.fallocate) { _ in Int(fin_allocate(descriptor, Int64(old), Int64(new - old))) }
  }

  /// `mmap(2)`, shared. It may be longer than the file: what lies beyond its end is not touched before the file has grown.
  static func map(_ descriptor: CInt, _ size: Int) throws(Errno) -> UnsafeMutableRawPointer {
    var address: UnsafeMutableRawPointer?
    _ = try call(.mmap) { _ in
      unsafe address = fin_map(descriptor, UInt64(size))
      return unsafe address == nil ? -1 : 0
    }
    // A script that says it went well has made no memory.
    guard let address = unsafe address else { throw .noMemory }
    return unsafe address
  }

  /// This process, as it sees itself. `getpid(2)`.
  static var process: CInt { getpid() }

  static func unmap(_ address: UnsafeMutableRawPointer, _ size: Int) {
    _ = unsafe fin_unmap(address, UInt64(size))
  }
}
