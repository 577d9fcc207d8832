internal import CFin
internal import Glibc

/// A failed system call.
struct KernelError: Error, Hashable, CustomStringConvertible {
  let code: CInt

  /// The error of this thread's last system call.
  static var last: KernelError { KernelError(code: fin_errno()) }

  static let interrupted = KernelError(code: EINTR)
  /// Messages arrived faster than they were read.
  static let lost = KernelError(code: ENOBUFS)
  static let gone = KernelError(code: ESRCH)
  static let again = KernelError(code: EAGAIN)
  /// Permission denied.
  var isRefusal: Bool { code == EACCES || code == EPERM }
  /// The process has ended, or the file is gone.
  var isGone: Bool { code == ENOENT || code == ESRCH }

  /// The text and the name: `permission denied (EACCES)`.
  var description: String {
    let name = unsafe fin_errno_name(code).map { unsafe String(cString: $0) } ?? "\(code)"
    let words = unsafe strerror(code).map { unsafe String(cString: $0) } ?? "error"
    return "\(words.prefix(1).lowercased())\(words.dropFirst()) (\(name))"
  }
}

/// Makes a system call, and repeats it when a signal interrupted it.
@inline(__always)
func calling(_ body: () -> Int) throws(KernelError) -> Int {
  while true {
    let result = body()
    if result >= 0 { return result }
    let error = KernelError.last
    if error != .interrupted { throw error }
  }
}

/// An owned file descriptor, closed with its owner.
struct OwnDescriptor: ~Copyable, Sendable {
  let number: CInt

  /// Opens a file (`openat`), for reading unless `flags` say otherwise.
  init(_ path: String, in folder: CInt = AT_FDCWD, flags: CInt = O_RDONLY) throws(KernelError) {
    number = CInt(try calling { Int(unsafe fin_open_at(folder, path, flags)) })
  }

  /// Takes ownership of a descriptor that a call has just returned.
  init(adopting number: CInt) { self.number = number }

  deinit { _ = Glibc.close(number) }

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
}

extension OwnDescriptor {
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

/// Functions that read files and links, most of them under `/proc`.
enum Files {
  /// Returns the contents of a file, up to a limit.
  static func read(_ path: String, in folder: CInt = AT_FDCWD, limit: Int = 1 << 20) throws(KernelError) -> [UInt8] {
    try OwnDescriptor(path, in: folder).readAll(limit: limit)
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

/// The system's clocks.
enum Clock {
  /// Nanoseconds of `CLOCK_MONOTONIC`.
  static func monotonic() -> UInt64 { UInt64(nanoseconds(CLOCK_MONOTONIC)) }

  /// Nanoseconds since 1970.
  static func wall() -> Int64 { nanoseconds(CLOCK_REALTIME) }

  /// The time since boot, including suspend; the kernel counts the start time of a process from the same moment.
  static func sinceBoot() -> Duration { .nanoseconds(nanoseconds(CLOCK_BOOTTIME)) }

  /// Sleeps for this time; continues after an interruption by a signal.
  static func pause(_ time: Duration) {
    let (seconds, attoseconds) = time.components
    guard time > .zero else { return }
    var wanted = timespec(tv_sec: Int(seconds), tv_nsec: Int(attoseconds / 1_000_000_000))
    var rest = timespec()
    while unsafe nanosleep(&wanted, &rest) != 0, KernelError.last == .interrupted { wanted = rest }
  }

  private static func nanoseconds(_ clock: clockid_t) -> Int64 {
    var time = timespec()
    unsafe clock_gettime(clock, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }
}

/// Facts about this process.
enum ThisProcess {
  static var pid: Int32 { getpid() }
  /// The number of clock ticks a second, the unit of the times in `/proc/PID/stat`.
  static var ticksPerSecond: Int { max(1, sysconf(CInt(_SC_CLK_TCK))) }
}
