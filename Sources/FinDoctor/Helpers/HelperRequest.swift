internal import FinBase

/// A reading that the kernel may delay for as long as another program likes: by memory that does not answer, by a lock,
/// by a file on a server that is gone.
///
/// A helper makes it, so that only the helper waits.
enum HelperRequest: Hashable, Sendable {
  /// The contents of a file: from an offset, or from its beginning to its end.
  case read(path: String, offset: UInt64? = nil, limit: Int)
  /// An extended attribute.
  case attribute(name: String, path: String)
  /// A file that the kernel keeps in memory, opened for reading; the answer has its descriptor. Any other file is not
  /// opened, and the answer has none.
  case memoryFile(path: String)
  /// Options of another program's socket, each up to a length. The answer has the length and the bytes of each, and -1
  /// for one that cannot be read.
  case options(pid: Int32, descriptor: Int32, inode: UInt32, [Option])
  /// A request for the netlink socket that is sent with it. The answers are the datagrams of the kernel.
  case netlink([UInt8])
  /// A BPF iterator over open files; the answer has its descriptor. The call may be forbidden at the price of death.
  case openFiles(program: [UInt64], function: UInt32)

  /// A socket option and the length of its value.
  struct Option: Hashable, Sendable {
    var level: Int32
    var name: Int32
    var length: UInt32
  }
}

/// The bytes of a request.
extension HelperRequest {
  var bytes: [UInt8] {
    var out = Writer()
    switch self {
    case .read(let path, let offset, let limit):
      out.put(UInt8(1))
      out.put(offset ?? .max)
      out.put(UInt64(limit))
      out.put(text: path)
    case .attribute(let name, let path):
      out.put(UInt8(2))
      out.put(text: name)
      out.put(text: path)
    case .memoryFile(let path):
      out.put(UInt8(3))
      out.put(text: path)
    case .options(let pid, let descriptor, let inode, let options):
      out.put(UInt8(4))
      out.put(pid)
      out.put(descriptor)
      out.put(inode)
      out.put(UInt32(options.count))
      for option in options {
        out.put(option.level)
        out.put(option.name)
        out.put(option.length)
      }
    case .netlink(let request):
      out.put(UInt8(5))
      out.put(bytes: request)
    case .openFiles(let program, let function):
      out.put(UInt8(6))
      out.put(function)
      out.put(UInt32(program.count))
      for instruction in program { out.put(instruction) }
    }
    return out.bytes
  }

  init?(_ bytes: ArraySlice<UInt8>) {
    var rest = Reader(rest: bytes)
    guard let kind = rest.take(UInt8.self) else { return nil }
    switch kind {
    case 1:
      guard let offset = rest.take(UInt64.self), let limit = rest.take(UInt64.self).flatMap({ Int(exactly: $0) }),
        let path = rest.text()
      else { return nil }
      self = .read(path: path, offset: offset == .max ? nil : offset, limit: limit)
    case 2:
      guard let name = rest.text(), let path = rest.text() else { return nil }
      self = .attribute(name: name, path: path)
    case 3:
      guard let path = rest.text() else { return nil }
      self = .memoryFile(path: path)
    case 4:
      guard let pid = rest.take(Int32.self), let descriptor = rest.take(Int32.self),
        let inode = rest.take(UInt32.self), let count = rest.take(UInt32.self)
      else { return nil }
      var options: [Option] = []
      for _ in 0..<count {
        guard let level = rest.take(Int32.self), let name = rest.take(Int32.self), let length = rest.take(UInt32.self)
        else { return nil }
        options.append(Option(level: level, name: name, length: length))
      }
      self = .options(pid: pid, descriptor: descriptor, inode: inode, options)
    case 5:
      guard let request = rest.array() else { return nil }
      self = .netlink(request)
    case 6:
      guard let function = rest.take(UInt32.self), let count = rest.take(UInt32.self) else { return nil }
      var program: [UInt64] = []
      for _ in 0..<count {
        guard let instruction = rest.take(UInt64.self) else { return nil }
        program.append(instruction)
      }
      self = .openFiles(program: program, function: function)
    default: return nil
    }
  }

  private struct Writer {
    var bytes: [UInt8] = []

    mutating func put(_ number: some FixedWidthInteger) {
      unsafe withUnsafeBytes(of: number) { unsafe bytes.append(contentsOf: $0) }
    }
    mutating func put(bytes more: [UInt8]) {
      put(UInt32(more.count))
      bytes += more
    }
    mutating func put(text: String) { put(bytes: Array(text.utf8)) }
  }

  private struct Reader {
    var rest: ArraySlice<UInt8>

    mutating func take<Number: FixedWidthInteger & BitwiseCopyable>(_ type: Number.Type) -> Number? {
      let size = MemoryLayout<Number>.size
      guard rest.count >= size else { return nil }
      let number = unsafe rest.withUnsafeBytes { unsafe $0.loadUnaligned(as: Number.self) }
      rest.removeFirst(size)
      return number
    }
    mutating func array() -> [UInt8]? {
      guard let count = take(UInt32.self), rest.count >= count else { return nil }
      defer { rest.removeFirst(Int(count)) }
      return Array(rest.prefix(Int(count)))
    }
    mutating func text() -> String? { array().map { String(decoding: $0, as: UTF8.self) } }
  }
}

/// The end of a reading.
struct HelperAnswer: Sendable {
  var bytes: [UInt8] = []
  /// The error of the reading, or ``KernelError/silent``.
  var failure: KernelError?
  /// Whether there was more than the limit allowed.
  var isCut = false
  /// The descriptor that was sent with it, or -1. The receiver closes it.
  var descriptor: Int32 = -1

  var isSilent: Bool { failure == .silent }
}
