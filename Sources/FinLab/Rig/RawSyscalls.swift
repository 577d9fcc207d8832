import CFin
internal import FinBase
import Glibc

/// The result of a system call: a value, or an error by its name.
struct Answer: Hashable, Sendable, CustomStringConvertible {
  let value: Int
  /// The value of errno; 0 after a success.
  let code: Int32

  init(value: Int, code: Int32) {
    self.value = value
    self.code = code
  }

  init(_ value: some BinaryInteger) {
    self.value = Int(value)
    code = value < 0 ? KernelError.last.code : 0
  }

  var succeeded: Bool { code == 0 }

  var description: String { code == 0 ? value.grouped : Answer.name(of: code) }

  /// The result as a reader of a stream sees it: the number of bytes, end of file, or the error.
  var received: String { code != 0 ? description : value == 0 ? "end of file" : Fact.Value.bytes(value).description }

  /// The name of an error, such as "ECONNRESET".
  static func name(of code: Int32) -> String { KernelError(code: code).name }
}

/// The system calls as the recipes use them: with bare descriptor numbers, without checks and without state.
enum RawSyscalls {
  static func socket(nonblocking: Bool = false) -> Int32 {
    Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue) | O_CLOEXEC | (nonblocking ? O_NONBLOCK : 0), 0)
  }

  static func bind(_ socket: Int32, port: UInt16 = 0) -> Answer {
    unsafe withLoopback(port) { unsafe Answer(Glibc.bind(socket, $0, $1)) }
  }

  static func listen(_ socket: Int32, backlog: Int32 = 128) -> Answer { Answer(Glibc.listen(socket, backlog)) }

  static func connect(_ socket: Int32, port: UInt16) -> Answer {
    unsafe withLoopback(port) { unsafe Answer(Glibc.connect(socket, $0, $1)) }
  }

  static func accept(_ listener: Int32) -> Answer { Answer(Glibc.accept(listener, nil, nil)) }

  /// Calls `send` once.
  static func send(_ socket: Int32, _ bytes: [UInt8], flags: Int32 = 0) -> Answer {
    unsafe bytes.withUnsafeBytes { unsafe Answer(Glibc.send(socket, $0.baseAddress, $0.count, flags)) }
  }

  static func send(_ socket: Int32, _ text: String) -> Answer { send(socket, [UInt8](text.utf8)) }

  /// Python's `sendall`: sends until the kernel has taken everything, or a call fails.
  static func sendAll(_ socket: Int32, _ bytes: [UInt8]) -> (sent: Int, last: Answer) {
    var sent = 0
    while sent < bytes.count {
      let answer = unsafe bytes.withUnsafeBytes {
        unsafe Answer(Glibc.send(socket, $0.baseAddress! + sent, $0.count - sent, 0))
      }
      guard answer.succeeded else { return (sent, answer) }
      sent += answer.value
    }
    return (sent, Answer(value: sent, code: 0))
  }

  /// Calls `recv` once, and discards the bytes.
  static func recv(_ socket: Int32, upTo count: Int = 65536, flags: Int32 = 0) -> Answer {
    receive(socket, upTo: count, flags: flags).answer
  }

  static func receive(_ socket: Int32, upTo count: Int = 65536, flags: Int32 = 0) -> (answer: Answer, text: String) {
    var buffer = [UInt8](repeating: 0, count: count)
    let answer = unsafe Answer(Glibc.recv(socket, &buffer, count, flags))
    return (answer, String(decoding: buffer.prefix(max(0, answer.value)), as: UTF8.self))
  }

  /// Reads until end of file or an error. Returns the number of bytes and the last result.
  static func receiveAll(_ socket: Int32) -> (count: Int, end: Answer) {
    var count = 0
    while true {
      let answer = recv(socket)
      if !answer.succeeded || answer.value == 0 { return (count, answer) }
      count += answer.value
    }
  }

  /// The directions of `shutdown`: SHUT_RD, SHUT_WR, SHUT_RDWR.
  enum Direction: Int32 {
    case receiving = 0
    case sending = 1
    case both = 2
  }

  static func shutdown(_ socket: Int32, _ how: Direction) -> Answer { Answer(Glibc.shutdown(socket, how.rawValue)) }

  @discardableResult
  static func close(_ descriptor: Int32) -> Answer { Answer(Glibc.close(descriptor)) }

  static func dup(_ descriptor: Int32) -> Int32 { Glibc.dup(descriptor) }

  @discardableResult
  static func set(_ socket: Int32, _ level: Int32, _ option: Int32, _ value: Int32) -> Answer {
    var value = value
    return unsafe Answer(setsockopt(socket, level, option, &value, socklen_t(MemoryLayout<Int32>.size)))
  }

  static func option(_ socket: Int32, _ level: Int32, _ option: Int32) -> Int {
    var value: Int32 = 0
    var length = socklen_t(MemoryLayout<Int32>.size)
    return unsafe getsockopt(socket, level, option, &value, &length) == 0 ? Int(value) : -1
  }

  /// Reads SO_ERROR, which clears it.
  static func pendingError(_ socket: Int32) -> String {
    let code = Int32(option(socket, SOL_SOCKET, SO_ERROR))
    return code == 0 ? "none" : Answer.name(of: code)
  }

  /// Sets SO_LINGER {1, 0}: closing then resets the connection.
  @discardableResult
  static func setResetOnClose(_ socket: Int32) -> Answer {
    var value = linger(l_onoff: 1, l_linger: 0)
    return unsafe Answer(setsockopt(socket, SOL_SOCKET, SO_LINGER, &value, socklen_t(MemoryLayout<linger>.size)))
  }

  /// The effect of Python's `settimeout` for one direction: SO_RCVTIMEO or SO_SNDTIMEO.
  @discardableResult
  static func setTimeout(_ socket: Int32, _ option: Int32, _ limit: Duration) -> Answer {
    var value = timeval(tv_sec: limit.inMilliseconds / 1000, tv_usec: limit.inMilliseconds % 1000 * 1000)
    return unsafe Answer(setsockopt(socket, SOL_SOCKET, option, &value, socklen_t(MemoryLayout<timeval>.size)))
  }

  static func timeout(_ socket: Int32, _ option: Int32) -> Double {
    var value = timeval()
    var length = socklen_t(MemoryLayout<timeval>.size)
    unsafe getsockopt(socket, SOL_SOCKET, option, &value, &length)
    return Double(value.tv_sec) + Double(value.tv_usec) / 1_000_000
  }

  static func setNonblocking(_ socket: Int32, _ flag: Bool = true) {
    _ = fin_fcntl_int(socket, F_SETFL, flag ? O_NONBLOCK : 0)
  }

  /// Waits for events on one descriptor; returns 0 after a timeout.
  static func poll(_ descriptor: Int32, _ events: Int32, within limit: Duration) -> Int32 {
    var entry = pollfd(fd: descriptor, events: Int16(events), revents: 0)
    _ = unsafe Glibc.poll(&entry, 1, Int32(limit.inMilliseconds))
    return Int32(entry.revents)
  }

  /// Fills all buffers between a socket and a peer that does not read; returns the number of bytes taken.
  static func fill(_ socket: Int32) -> Int {
    setNonblocking(socket)
    defer { setNonblocking(socket, false) }
    let block = [UInt8](repeating: 0x66, count: 65536)
    var count = 0
    // Space becomes free again while the peer's kernel still moves the first bytes into its queue.
    while poll(socket, POLLOUT, within: .milliseconds(20)) != 0 {
      let answer = send(socket, block)
      if answer.succeeded { count += answer.value } else { break }
    }
    return count
  }

  static func port(of socket: Int32) -> UInt16 {
    var address = sockaddr_in()
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    _ = unsafe withUnsafeMutableBytes(of: &address) {
      unsafe getsockname(socket, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), &length)
    }
    return UInt16(bigEndian: address.sin_port)
  }

  private static func withLoopback(_ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Answer) -> Answer {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    return unsafe withUnsafeBytes(of: &address) {
      unsafe body($0.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t($0.count))
    }
  }
}

/// A connection over the loopback interface, made through a listener there: most experiments begin with one.
struct Pair {
  /// The side that connected.
  let client: Int32
  /// The side that was accepted.
  let server: Int32
  let clientPort: UInt16
  let serverPort: UInt16

  init() throws { try self.init(through: Pair.listener()) }

  init(client: Int32, server: Int32, clientPort: UInt16, serverPort: UInt16) {
    (self.client, self.server, self.clientPort, self.serverPort) = (client, server, clientPort, serverPort)
  }

  /// - Parameter listener: The listener to connect to, closed afterwards unless `keepingListener`.
  init(through listener: Int32, keepingListener: Bool = false) throws {
    let client = RawSyscalls.socket()
    serverPort = RawSyscalls.port(of: listener)
    let connected = RawSyscalls.connect(client, port: serverPort)
    guard connected.succeeded else { throw SetupError("connect: \(connected)") }
    let accepted = RawSyscalls.accept(listener)
    guard accepted.succeeded else { throw SetupError("accept: \(accepted)") }
    if !keepingListener { RawSyscalls.close(listener) }
    self.client = client
    server = Int32(accepted.value)
    clientPort = RawSyscalls.port(of: client)
  }

  static func listener(reusing: Bool = true, port: UInt16 = 0, backlog: Int32 = 128) throws -> Int32 {
    let listener = RawSyscalls.socket()
    if reusing { RawSyscalls.set(listener, SOL_SOCKET, SO_REUSEADDR, 1) }
    let bound = RawSyscalls.bind(listener, port: port)
    guard bound.succeeded else { throw SetupError("bind: \(bound)") }
    let listening = RawSyscalls.listen(listener, backlog: backlog)
    guard listening.succeeded else { throw SetupError("listen: \(listening)") }
    return listener
  }

  /// The kernel's rows for the two sides, whether or not a descriptor still refers to them.
  var clientRow: TCPTable.Row? { TCPTable.row(local: clientPort, remote: serverPort) }
  var serverRow: TCPTable.Row? { TCPTable.row(local: serverPort, remote: clientPort) }
}
