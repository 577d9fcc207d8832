import Glibc

/// A descriptor that is closed with its owner. `Peers` uses it for its own descriptors, so that it leaks none.
struct OwnedDescriptor: ~Copyable, Sendable {
  let number: CInt

  /// Takes the result of the system call that has just returned.
  init(_ number: CInt, from call: String) throws(RigError) {
    guard number >= 0 else { throw .last(call) }
    self.number = number
  }

  init(opening path: String, _ flags: CInt) throws(RigError) {
    number = unsafe open(path, flags | O_CLOEXEC)
    guard number >= 0 else { throw .last("open \(path)") }
  }

  deinit { close(number) }

  /// One `read`; nil for `EAGAIN`, empty at EOF.
  func read(upTo count: Int) throws(RigError) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: count)
    while true {
      let got = unsafe bytes.withUnsafeMutableBytes { unsafe Glibc.read(number, $0.baseAddress, count) }
      if got >= 0 {
        bytes.removeLast(count - got)
        return bytes
      }
      if errno == EAGAIN { return nil }
      if errno != EINTR { throw .last("read") }
    }
  }

  /// One `write` of all the bytes; for pipes and devices that take a packet entirely or not at all.
  func write(_ bytes: [UInt8]) throws(RigError) {
    let put = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(number, $0.baseAddress, $0.count) }
    if put < 0 { throw .last("write") }
  }
}

/// The contents of a small file, such as those under `/proc`, without the final line end.
public func readText(_ path: String) throws(RigError) -> String {
  let file = try OwnedDescriptor(opening: path, O_RDONLY)
  var bytes: [UInt8] = []
  while let more = try file.read(upTo: 65536), !more.isEmpty { bytes += more }
  if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
  return String(decoding: bytes, as: UTF8.self)
}

/// The lines of a text that contain `word`, found without splitting the whole text.
func lines(of text: String, containing word: String) -> [Substring] {
  unsafe text.withCString { text in
    var found: [Substring] = []
    var rest = unsafe text
    while let hit = unsafe strstr(rest, word) {
      var start = unsafe UnsafePointer(hit)
      while unsafe start > text, unsafe start[-1] != CChar(UInt8(ascii: "\n")) { unsafe start -= 1 }
      let end = unsafe strchr(hit, CInt(UInt8(ascii: "\n"))) ?? hit + strlen(hit)
      let line = unsafe UnsafeRawBufferPointer(start: start, count: UnsafePointer(end) - start)
      unsafe found.append(Substring(String(decoding: line, as: UTF8.self)))
      unsafe rest = UnsafePointer(end)
    }
    return found
  }
}

/// The target of a symbolic link; nil if it does not exist.
func readLink(_ path: String) -> String? {
  var link = [UInt8](repeating: 0, count: 4096)
  let length = unsafe link.withUnsafeMutableBytes { buffer in
    unsafe readlink(path, buffer.baseAddress!.assumingMemoryBound(to: CChar.self), buffer.count)
  }
  return length < 0 ? nil : String(decoding: link.prefix(length), as: UTF8.self)
}

/// Waits until one of the descriptors is readable, or the deadline passes.
///
/// - Returns: For each descriptor, whether it is readable.
func waitReadable(_ descriptors: [CInt], until deadline: Deadline?) -> [Bool] {
  var polls = descriptors.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
  let limit = deadline.map(\.millisecondsLeft) ?? -1
  let count = unsafe poll(&polls, nfds_t(polls.count), limit)
  return polls.map { count > 0 && $0.revents != 0 }
}
