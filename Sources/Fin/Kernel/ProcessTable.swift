internal import FinBase
internal import Glibc
internal import SystemPackage

/// A reader of files under `/proc`, in pieces and with a limit. Their content comes from other programs.
enum ProcFile {
  /// Calls `body` for each line, without its newline, until `body` returns `false` or the file or the limit ends.
  ///
  /// - Returns: `true` at the end of the file or after `body` returned `false`; `false` after an error or at the limit.
  static func forEachLine(_ path: String, limit: Int, _ body: (ArraySlice<UInt8>) -> Bool) -> Bool {
    guard let number = try? Syscalls.open(Array(path.utf8), O_RDONLY) else { return false }
    let file = Descriptor(owning: number)
    var pending: [UInt8] = []
    var total = 0
    while total < limit {
      guard let piece = read(file.number, 32 << 10) else { return false }
      if piece.isEmpty {
        if !pending.isEmpty { _ = body(pending[...]) }
        return true
      }
      total += piece.count
      pending += piece
      var start = 0
      while let end = pending[start...].firstIndex(of: UInt8(ascii: "\n")) {
        if !body(pending[start..<end]) { return true }
        start = end + 1
      }
      pending.removeFirst(start)
    }
    return false
  }

  private static func read(_ descriptor: CInt, _ most: Int) -> [UInt8]? {
    var count: Int?
    let bytes = [UInt8](capacity: most) { output in
      unsafe output.withUnsafeMutableBufferPointer { buffer, initialized in
        count = try? unsafe Syscalls.read(descriptor, UnsafeMutableRawBufferPointer(buffer))
        initialized = count ?? 0
      }
    }
    return count == nil ? nil : bytes
  }
}

/// A process that has a socket open, as found in `/proc/*/fd`.
struct SocketHolder {
  let process: CInt
  /// The name that the program has given itself, safe to print.
  let name: String
  let descriptor: CInt

  /// The result of a search.
  struct Search {
    var holders: [SocketHolder] = []
    /// Whether a process could not be searched because it belongs to another user.
    var sawForbidden = false
    fileprivate var descriptorsLeft = 50_000
  }

  static let mostHolders = 4
  private static let mostProcesses = 8192

  /// Searches this process first, then all others, up to a limit.
  static func find(_ inodes: Set<UInt32>) -> Search {
    var search = Search()
    guard !inodes.isEmpty else { return search }
    let own = getpid()
    search.look(into: own, for: inodes)
    var seen = 0
    forEachNumber(in: "/proc") { process in
      seen += 1
      if process != own { search.look(into: process, for: inodes) }
      return search.holders.count < mostHolders && search.descriptorsLeft > 0 && seen < mostProcesses
    }
    return search
  }

  /// Calls `body` for each entry of a folder whose name is a number, until `body` returns `false`.
  ///
  /// - Returns: whether the folder could be opened.
  @discardableResult
  fileprivate static func forEachNumber(in path: String, _ body: (CInt) -> Bool) -> Bool {
    guard let folder = unsafe opendir(path) else { return false }
    defer { unsafe _ = closedir(folder) }
    while let entry = unsafe readdir(folder) {
      let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      guard let number = CInt(name) else { continue }
      if !body(number) { break }
    }
    return true
  }
}

extension SocketHolder.Search {
  fileprivate mutating func look(into process: CInt, for inodes: Set<UInt32>) {
    let folder = "/proc/\(process)/fd"
    var found: CInt?
    let isOpen = SocketHolder.forEachNumber(in: folder) { descriptor in
      descriptorsLeft -= 1
      if let inode = Self.socket("\(folder)/\(descriptor)"), inodes.contains(inode) { found = descriptor }
      return found == nil && descriptorsLeft > 0
    }
    if !isOpen, KernelError.last.isRefusal { sawForbidden = true }
    guard let found else { return }
    holders.append(SocketHolder(process: process, name: Self.name(of: process), descriptor: found))
  }

  /// The inode of a link such as `socket:[12345]`; `nil` for a descriptor of any other kind.
  private static func socket(_ link: String) -> UInt32? {
    unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { room in
      let length = unsafe readlink(link, room.baseAddress!, room.count)
      guard length > 0 else { return nil }
      return unsafe linkedInode(UnsafeRawBufferPointer(start: room.baseAddress, count: length), after: "socket:[")
    }
  }

  private static func name(of process: CInt) -> String {
    var name = "a program"
    _ = ProcFile.forEachLine("/proc/\(process)/comm", limit: 256) { line in
      if !line.isEmpty { name = printable(line, limit: 32) }
      return false
    }
    return name
  }
}
