internal import CFin
internal import FinBase
internal import Glibc

/// Reads the names in a folder, and their link targets, without a string for each: there may be a hundred thousand.
///
/// Its buffers are reused from one folder to the next.
@safe struct FolderReader: ~Copyable {
  private let entries = UnsafeMutableRawBufferPointer.allocate(byteCount: 32768, alignment: 16)
  private let target = UnsafeMutableRawBufferPointer.allocate(byteCount: 256, alignment: 16)

  deinit {
    unsafe entries.deallocate()
    unsafe target.deallocate()
  }

  /// Calls `body` with every name that is a number.
  func forEachNumber(in folder: CInt, _ body: (Int32) -> Void) throws(KernelError) {
    try unsafe forEachName(in: folder) { name, _, _ in
      if let number = unsafe Int32(decimal: UnsafeRawBufferPointer(start: name, count: Int(strnlen(name, 16)))) {
        body(number)
      }
    }
  }

  /// Calls `body` with every name that is both a number and a link, and with the target of the link.
  ///
  /// A link that disappears during the scan is left out.
  /// - Returns: Whether the kernel refused to tell the targets. It checks the right to list a folder of descriptors and
  ///   the right to read their links apart, so that every name may be seen and no target.
  func forEachLink(in folder: CInt, _ body: (Int32, UnsafeRawBufferPointer) -> Void) throws(KernelError) -> Bool {
    var isRefused = false
    let room = unsafe target.baseAddress!.assumingMemoryBound(to: CChar.self)
    let size = unsafe target.count
    try unsafe forEachName(in: folder) { name, _, _ in
      guard let number = unsafe Int32(decimal: UnsafeRawBufferPointer(start: name, count: Int(strnlen(name, 16))))
      else { return }
      let count = unsafe readlinkat(folder, name, room, size)
      if count > 0 {
        unsafe body(number, UnsafeRawBufferPointer(start: room, count: count))
      } else if KernelError.last.isRefusal {
        isRefused = true
      }
    }
    return isRefused
  }

  /// Calls `body` with the name and the inode of every folder in a folder.
  func forEachFolder(in folder: CInt, _ body: (String, UInt64) -> Void) throws(KernelError) {
    try unsafe forEachName(in: folder) { name, inode, isFolder in
      guard isFolder else { return }
      let name = unsafe String(cString: name)
      if name != ".", name != ".." { body(name, inode) }
    }
  }

  /// Calls `body` with the name of each entry that is no folder.
  func forEachFile(in folder: CInt, _ body: (String) -> Void) throws(KernelError) {
    try unsafe forEachName(in: folder) { name, _, isFolder in
      if !isFolder { body(unsafe String(cString: name)) }
    }
  }

  /// Calls `body` with the target of the link of this number, unless the link is gone.
  /// - Returns: Whether the kernel refused to tell the target.
  @discardableResult
  func readLink(_ number: Int32, in folder: CInt, _ body: (UnsafeRawBufferPointer) -> Void) -> Bool {
    // The name, written from its end: at most ten digits and a zero.
    var name = InlineArray<12, CChar>(repeating: 0)
    var first = 11
    var rest = UInt32(bitPattern: number)
    repeat {
      first -= 1
      name[first] = CChar(48 + rest % 10)
      rest /= 10
    } while rest > 0
    let room = unsafe target.baseAddress!.assumingMemoryBound(to: CChar.self)
    let size = unsafe target.count
    let count = unsafe withUnsafeBytes(of: name) { bytes in
      unsafe readlinkat(folder, (bytes.baseAddress! + first).assumingMemoryBound(to: CChar.self), room, size)
    }
    guard count > 0 else { return KernelError.last.isRefusal }
    unsafe body(UnsafeRawBufferPointer(start: room, count: count))
    return false
  }

  /// Calls `body` with each entry. `struct linux_dirent64` is two 64-bit integers, the record's length in 16 bits, a
  /// type, the name and a zero.
  private func forEachName(
    in folder: CInt, _ body: (UnsafePointer<CChar>, _ inode: UInt64, _ isFolder: Bool) -> Void
  ) throws(KernelError) {
    while true {
      let count = try calling { unsafe Int(fin_getdents(folder, entries.baseAddress!, UInt64(entries.count))) }
      if count == 0 { return }
      var offset = 0
      while offset + 20 <= count {
        let length = unsafe Int(entries.load(fromByteOffset: offset + 16, as: UInt16.self))
        guard length >= 20, offset + length <= count else { return }
        let name = unsafe UnsafePointer((entries.baseAddress! + offset + 19).assumingMemoryBound(to: CChar.self))
        let inode = unsafe entries.load(fromByteOffset: offset, as: UInt64.self)
        let type = unsafe entries.load(fromByteOffset: offset + 18, as: UInt8.self)
        unsafe body(name, inode, type == UInt8(DT_DIR))
        offset += length
      }
    }
  }
}
