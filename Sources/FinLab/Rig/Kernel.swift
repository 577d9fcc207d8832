import CFin
import Glibc

/// The kernel's view of a socket, read without Fin, so that Fin's own readings are checked independently.
enum Kernel {
  /// The release of the running kernel: "6.18.4".
  static var release: String { file("/proc/sys/kernel/osrelease").split(separator: "\n").first.map(String.init) ?? "?" }

  /// The state from the first byte of TCP_INFO, by its name in RFC 9293.
  static func state(of socket: Int32) -> String {
    guard let info = tcpInfo(of: socket) else { return Answer(value: -1, code: fin_errno()).description }
    return stateName(info[0])
  }

  /// The number of clients that wait for accept: tcpi_unacked, which on a listener is the length of its queue.
  static func queueLength(of listener: Int32) -> Int {
    guard let info = tcpInfo(of: listener) else { return -1 }
    return info[24..<28].reversed().reduce(0) { $0 << 8 | Int($1) }
  }

  private static func tcpInfo(of socket: Int32) -> [UInt8]? {
    var info = [UInt8](repeating: 0, count: 256)
    var length = socklen_t(info.count)
    return unsafe getsockopt(socket, Int32(IPPROTO_TCP), TCP_INFO, &info, &length) == 0 ? info : nil
  }

  /// The names of the kernel's numbers, in the spelling of RFC 9293.
  static func stateName(_ number: UInt8) -> String {
    let names = [
      "?", "ESTABLISHED", "SYN-SENT", "SYN-RECEIVED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "CLOSED", "CLOSE-WAIT",
      "LAST-ACK", "LISTEN", "CLOSING",
    ]
    // State 12 (TCP_NEW_SYN_RECV) is internal to the kernel: a connection whose handshake is not over yet.
    return Int(number) < names.count ? names[Int(number)] : number == 12 ? "SYN-RECEIVED" : "state \(number)"
  }

  /// SIOCOUTQ: bytes sent and not acknowledged, plus one for an unacknowledged FIN.
  static func unacknowledged(_ socket: Int32) -> Int { queue(socket, UInt64(FIN_SIOCOUTQ)) }

  /// SIOCINQ: bytes that were received and not read.
  static func unread(_ socket: Int32) -> Int { queue(socket, UInt64(FIN_SIOCINQ)) }

  private static func queue(_ socket: Int32, _ request: UInt64) -> Int {
    var value: Int32 = 0
    return unsafe fin_ioctl_int(socket, request, &value) == 0 ? Int(value) : -1
  }

  /// Whether a number is an open descriptor of this process.
  static func isOpen(_ descriptor: Int32) -> Bool { fcntl(descriptor, F_GETFD) >= 0 }

  static func isNonblocking(_ descriptor: Int32) -> Bool { fcntl(descriptor, F_GETFL) & O_NONBLOCK != 0 }

  /// The inode of a socket, which identifies it in `/proc`.
  static func inode(of descriptor: Int32) -> UInt64 {
    var status = stat()
    return unsafe fstat(descriptor, &status) == 0 ? UInt64(status.st_ino) : 0
  }

  /// The numbers of this process's open sockets, from /proc/self/fd.
  static func openSockets() -> [Int32] {
    (0..<1024).filter { number in
      var status = stat()
      return unsafe fstat(number, &status) == 0 && status.st_mode & S_IFMT == S_IFSOCK
    }
  }

  /// The target of a descriptor in /proc/self/fd: "socket:[4711]".
  static func link(of descriptor: Int32) -> String { target(of: "/proc/self/fd/\(descriptor)") ?? "nothing" }

  /// The target of a symbolic link.
  static func target(of path: String) -> String? {
    var buffer = [UInt8](repeating: 0, count: 128)
    let count = unsafe readlink(path, &buffer, buffer.count)
    return count < 0 ? nil : String(decoding: buffer.prefix(count), as: UTF8.self)
  }

  /// Whether a thread, by its folder in /proc, sleeps in the kernel.
  static func sleeps(_ thread: String) -> Bool {
    // The state is the letter after the name, which is in parentheses.
    file("\(thread)/stat").split(separator: ")").last?.first { $0 != " " } == "S"
  }

  /// The folders in /proc of this process's threads whose names begin with `start`.
  static func threads(named start: String) -> [String] {
    guard let folder = unsafe opendir("/proc/self/task") else { return [] }
    defer { unsafe closedir(folder) }
    var found: [String] = []
    while let entry = unsafe readdir(folder) {
      let number = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { name in
        unsafe String(decoding: name.prefix { $0 != 0 }, as: UTF8.self)
      }
      let thread = "/proc/self/task/\(number)"
      if file("\(thread)/comm").hasPrefix(start) { found.append(thread) }
    }
    return found
  }

  /// The text of a small file in /proc.
  static func file(_ path: String) -> String {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return "" }
    defer { close(descriptor) }
    var text: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = unsafe read(descriptor, &buffer, buffer.count)
      guard count > 0 else { return String(decoding: text, as: UTF8.self) }
      text += buffer[..<count]
    }
  }

  /// - Returns: Whether the text could be written.
  static func write(_ text: String, to path: String) -> Bool {
    let descriptor = unsafe open(path, O_WRONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    return unsafe Glibc.write(descriptor, text, text.utf8.count) == text.utf8.count
  }
}

/// /proc/net/tcp: every connection of the network namespace, including those without a descriptor.
enum TCPTable {
  struct Row {
    let localPort: UInt16
    let remotePort: UInt16
    let state: String
    /// Bytes not acknowledged; stale on a connection that has ended.
    let unsent: Int
    let unread: Int
    /// "none", "retransmission", "keepalive", "time-wait" or "zero window probe".
    let timer: String
    /// The seconds until the timer fires.
    let timerSeconds: Double
    /// The inode; 0 if no descriptor of any process refers to the connection.
    let inode: UInt64
  }

  static func rows() -> [Row] {
    Kernel.file("/proc/net/tcp").split(separator: "\n").dropFirst().compactMap(row(of:))
  }

  static func row(local: UInt16, remote: UInt16) -> Row? {
    lines(naming: local).compactMap(row(of:)).first { $0.localPort == local && $0.remotePort == remote }
  }

  /// The lines with this port in one of their addresses, found without parsing the others: a machine may have tens of
  /// thousands of connections in TIME-WAIT.
  private static func lines(naming port: UInt16) -> [Substring] {
    let digits = String(port, radix: 16, uppercase: true)
    let column = ":\(String(repeating: "0", count: 4 - digits.count))\(digits) "
    return unsafe Kernel.file("/proc/net/tcp").withCString { text in
      var found: [Substring] = []
      var rest = unsafe text
      while let hit = unsafe strstr(rest, column) {
        var start = unsafe UnsafePointer(hit)
        while unsafe start > text, unsafe start[-1] != CChar(UInt8(ascii: "\n")) { unsafe start -= 1 }
        guard let end = unsafe strchr(hit, Int32(UInt8(ascii: "\n"))) else { break }
        let line = unsafe UnsafeRawBufferPointer(start: start, count: UnsafePointer(end) - start)
        unsafe found.append(Substring(String(decoding: line, as: UTF8.self)))
        unsafe rest = UnsafePointer(end)
      }
      return found
    }
  }

  private static func row(of line: Substring) -> Row? {
    let columns = line.split(separator: " ")
    guard columns.count > 9 else { return nil }
    func half(_ column: Int, _ index: Int) -> UInt64 {
      let halves = columns[column].split(separator: ":")
      return halves.count == 2 ? UInt64(halves[index], radix: 16) ?? 0 : 0
    }
    let timers = ["none", "retransmission", "keepalive", "time-wait", "zero window probe"]
    let timer = Int(half(5, 0))
    return Row(
      localPort: UInt16(truncatingIfNeeded: half(1, 1)), remotePort: UInt16(truncatingIfNeeded: half(2, 1)),
      state: Kernel.stateName(UInt8(columns[3], radix: 16) ?? 0), unsent: Int(half(4, 0)), unread: Int(half(4, 1)),
      timer: timer < timers.count ? timers[timer] : "timer \(timer)",
      // In clock ticks: Linux shows a hundred a second, whatever HZ it runs with.
      timerSeconds: Double(half(5, 1)) / 100, inode: UInt64(columns[9]) ?? 0)
  }
}
