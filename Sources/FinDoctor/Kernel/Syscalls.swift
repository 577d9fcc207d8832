internal import CFin
internal import FinBase
internal import Glibc

extension KernelError {
  /// Messages arrived faster than they were read.
  static let lost = KernelError(code: ENOBUFS)
  static let gone = KernelError(code: ESRCH)
  static let again = KernelError(code: EAGAIN)
  /// The kernel did not answer within the deadline, because another program keeps it waiting.
  static let silent = KernelError(code: ETIMEDOUT)
}

/// An owned file descriptor, closed with its owner.
typealias Descriptor = DescriptorOwner<SystemClose>

extension Descriptor {
  /// Opens a file (`openat`), for reading unless `flags` say otherwise.
  init(_ path: String, in folder: CInt = AT_FDCWD, flags: CInt = O_RDONLY) throws(KernelError) {
    self.init(owning: CInt(try calling { Int(unsafe fin_open_at(folder, path, flags)) }))
  }

  /// Returns the result of `fstat`.
  func status() throws(KernelError) -> stat {
    var status = stat()
    _ = try calling { Int(unsafe fstat(number, &status)) }
    return status
  }

  /// Reads the whole file, up to a limit: files under `/proc` report no length.
  func readAll(limit: Int) throws(KernelError) -> [UInt8] {
    var bytes: [UInt8] = []
    try unsafe withUnsafeTemporaryAllocation(byteCount: 16384, alignment: 16) { room throws(KernelError) in
      while bytes.count < limit {
        let wanted = min(room.count, limit - bytes.count)
        let count = try calling { unsafe Glibc.read(number, room.baseAddress!, wanted) }
        if count == 0 { break }
        unsafe bytes.append(contentsOf: room[..<count])
      }
    }
    return bytes
  }

  /// Reads at an offset in the file; returns fewer bytes than wanted at the end of the file.
  func read(_ wanted: Int, at offset: UInt64) throws(KernelError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: wanted)
    let count = try calling {
      unsafe bytes.withUnsafeMutableBytes { unsafe pread(number, $0.baseAddress!, wanted, off_t(offset)) }
    }
    bytes.removeLast(wanted - count)
    return bytes
  }
}

extension Descriptor {
  /// The offset of the next byte that is not in a hole of the file (`SEEK_DATA`), from this offset on; nil when only
  /// a hole follows. Where the kernel cannot tell, that is the offset itself.
  func data(from offset: Int) -> Int? {
    let found = lseek(number, off_t(offset), 3)
    if found >= 0 { return Int(found) }
    return KernelError.last.code == ENXIO ? nil : offset
  }
}

/// Functions that read files and links, most of them under `/proc`.
enum Files {
  /// Returns the contents of a file, up to a limit.
  static func read(_ path: String, in folder: CInt = AT_FDCWD, limit: Int = 1 << 20) throws(KernelError) -> [UInt8] {
    try Descriptor(path, in: folder).readAll(limit: limit)
  }

  /// Reads a number from a file: the only one, or the first of several.
  static func number(_ path: String) -> Int? {
    guard let bytes = try? read(path, limit: 64) else { return nil }
    return Fields(bytes).first.flatMap { Int(decimal: $0) }
  }

  /// Returns the target of a symbolic link, up to 255 bytes.
  static func link(_ path: String, in folder: CInt = AT_FDCWD) throws(KernelError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 256)
    let count = try calling {
      unsafe bytes.withUnsafeMutableBytes { room in
        unsafe readlinkat(folder, path, room.baseAddress!.assumingMemoryBound(to: CChar.self), 255)
      }
    }
    return Array(bytes[..<count])
  }

  /// Returns the result of `fstatat`, following links.
  static func status(_ path: String, in folder: CInt = AT_FDCWD) throws(KernelError) -> stat {
    var status = stat()
    _ = try calling { Int(unsafe fstatat(folder, path, &status, 0)) }
    return status
  }

  /// Returns an extended attribute, up to 64 bytes, without the terminating zero.
  static func attribute(_ name: String, of path: String) throws(KernelError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 64)
    let count = try calling {
      unsafe bytes.withUnsafeMutableBytes { unsafe Int(fin_getxattr(path, name, $0.baseAddress!, UInt64($0.count))) }
    }
    return Array(bytes[..<count].prefix { $0 != 0 })
  }
}

/// Facts about this process.
enum ThisProcess {
  static var pid: Int32 { getpid() }
  /// Whether a filter (seccomp) decides which system calls this process may make.
  static var hasSystemCallFilter: Bool {
    guard let text = try? Files.read("/proc/self/status", limit: 65536) else { return false }
    let line = text.split(separator: 10).first { $0.begins(with: "Seccomp:") }
    return line.flatMap { Array(Fields($0)).last }.map { !$0.elementsEqual("0".utf8) } ?? false
  }
  /// The number of clock ticks a second, the unit of the times in `/proc/PID/stat`.
  static var ticksPerSecond: Int { max(1, sysconf(CInt(_SC_CLK_TCK))) }

  /// The size of a page of memory in bytes, the unit of `tcp_mem`.
  static var pageSize: Int { max(1, sysconf(CInt(_SC_PAGESIZE))) }

  /// Whether it may bind ports that need a privilege (`CAP_NET_BIND_SERVICE`).
  static var mayBindAnyPort: Bool { capabilityBits & 1 << 10 != 0 }

  /// Its effective capabilities, a bit for each; 0 if they cannot be read.
  static var capabilityBits: UInt64 {
    guard let bytes = try? Files.read("/proc/self/status", limit: 1 << 16),
      let line = bytes.split(separator: 10).first(where: { $0.begins(with: "CapEff:") }),
      let capabilities = Fields(line.dropFirst(7)).first.flatMap({ UInt64(hexadecimal: $0) })
    else { return 0 }
    return capabilities
  }

  /// Its effective user.
  static var user: UInt32 { geteuid() }

  /// Whether its user namespace is the machine's first one, which maps every user to itself.
  static var isInFirstUserNamespace: Bool {
    guard let bytes = try? Files.read("/proc/self/uid_map", limit: 1 << 16) else { return true }
    return Fields(bytes).map { String(decoding: $0, as: UTF8.self) } == ["0", "0", "4294967295"]
  }
}
