import CPeers
import Glibc
import Peers

/// Plain system calls on a descriptor number; nothing here uses Fin.
enum Kernel {
  /// The inode of the socket with a descriptor number; `nil` if the number is not open.
  static func inode(_ number: CInt) -> UInt64? {
    var status = stat()
    return unsafe fstat(number, &status) == 0 ? UInt64(status.st_ino) : nil
  }

  static func incoming(_ number: CInt) -> Int {
    var bytes: CInt = 0
    return unsafe peers_incoming_queue(number, &bytes) == 0 ? Int(bytes) : -1
  }

  static func outgoing(_ number: CInt) -> Int {
    var bytes: CInt = 0
    return unsafe peers_outgoing_queue(number, &bytes) == 0 ? Int(bytes) : -1
  }

  /// `tcpi_state`.
  static func state(_ number: CInt) -> UInt8 { info(number)[0] }

  /// `tcpi_bytes_received`: the bytes received in order, plus 1 for a FIN.
  static func received(_ number: CInt) -> Int {
    info(number)[128..<136].reversed().reduce(0) { $0 << 8 | Int($1) }
  }

  private static func info(_ number: CInt) -> [UInt8] {
    var info = [UInt8](repeating: 0, count: 136)
    var length = socklen_t(info.count)
    guard unsafe getsockopt(number, CInt(IPPROTO_TCP), TCP_INFO, &info, &length) == 0 else {
      return [UInt8](repeating: 0, count: 136)
    }
    return info
  }

  static func set(_ number: CInt, _ level: CInt, _ name: CInt, _ value: CInt) {
    var value = value
    unsafe setsockopt(number, level, name, &value, socklen_t(MemoryLayout<CInt>.size))
  }

  static func option(_ number: CInt, _ level: CInt, _ name: CInt) -> CInt {
    var value: CInt = -1
    var length = socklen_t(MemoryLayout<CInt>.size)
    unsafe getsockopt(number, level, name, &value, &length)
    return value
  }

  /// The result of one non-blocking call: bytes, a count, or an error number.
  enum Moved: Equatable { case bytes([UInt8]), count(Int), error(CInt) }

  static func receive(_ number: CInt, _ most: Int) -> Moved {
    var bytes = [UInt8](repeating: 0, count: most)
    let got = unsafe bytes.withUnsafeMutableBytes { unsafe recv(number, $0.baseAddress, most, CInt(MSG_DONTWAIT)) }
    return got < 0 ? .error(errno) : .bytes(Array(bytes.prefix(got)))
  }

  static func send(_ number: CInt, _ bytes: [UInt8]) -> Moved {
    let put = unsafe bytes.withUnsafeBytes {
      unsafe Glibc.send(number, $0.baseAddress, $0.count, CInt(MSG_DONTWAIT) | CInt(MSG_NOSIGNAL))
    }
    return put < 0 ? .error(errno) : .count(put)
  }

  /// Has the kernel ask the other side whether it is there, each time that it has been silent for so long.
  static func keepAlive(_ number: CInt, seconds: CInt) {
    var (isOn, seconds) = (CInt(1), seconds)
    let size = socklen_t(MemoryLayout<CInt>.size)
    unsafe setsockopt(number, CInt(IPPROTO_TCP), TCP_KEEPIDLE, &seconds, size)
    unsafe setsockopt(number, CInt(IPPROTO_TCP), TCP_KEEPINTVL, &seconds, size)
    unsafe setsockopt(number, SOL_SOCKET, SO_KEEPALIVE, &isOn, size)
  }

  static func thread() -> CInt { peers_gettid() }

  /// Whether a thread sleeps, according to `/proc`.
  static func sleeps(_ thread: CInt) -> Bool {
    guard let file = unsafe fopen("/proc/self/task/\(thread)/stat", "re") else { return true }
    defer { unsafe fclose(file) }
    var text = [UInt8](repeating: 0, count: 256)
    let count = unsafe fread(&text, 1, text.count, file)
    guard let end = text[..<count].lastIndex(of: UInt8(ascii: ")")), end + 2 < count else { return true }
    return text[end + 2] == UInt8(ascii: "S")
  }
}

/// A stranger's socket under a descriptor number that was ours before. Fin must never touch it.
final class Decoy {
  private let number: CInt
  private let other: CInt
  private let inode: UInt64?
  private let flags: CInt

  init() {
    var pair: [CInt] = [-1, -1]
    unsafe socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0, &pair)
    (number, other) = (pair[0], pair[1])
    inode = Kernel.inode(number)
    flags = fcntl(number, F_GETFL)
  }

  deinit {
    if Kernel.inode(number) == inode { close(number) }
    close(other)
  }

  /// Checks that the socket is open, its flags are unchanged and it still carries bytes.
  ///
  /// - Returns: The damage; `nil` if there is none.
  func complaint() -> String? {
    guard Kernel.inode(number) == inode else { return "the stranger's descriptor \(number) was closed" }
    guard fcntl(number, F_GETFL) == flags else {
      return "the flags of the stranger's descriptor \(number) were changed"
    }
    for (from, to) in [(number, other), (other, number)] {
      guard Kernel.send(from, [1]) == .count(1), Kernel.receive(to, 9) == .bytes([1]) else {
        return "the stranger's connection \(number) no longer carries bytes"
      }
    }
    return nil
  }
}
