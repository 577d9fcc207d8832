/// `sock_diag` of Unix sockets (`linux/unix_diag.h`).
enum UnixDiag {
  /// A request for all Unix sockets (`struct unix_diag_req`).
  static func request(sequence: UInt32) -> [UInt8] {
    var bytes = NetlinkRequest(sequence: sequence)
    bytes.append(1)
    bytes.append(0)
    bytes.append(number: UInt16(0))
    bytes.append(number: UInt32.max)  // every state
    bytes.append(number: UInt32(0))  // any inode
    // Name, peer, clients waiting for accept, queue lengths, memory, user; not the file's device and inode.
    bytes.append(number: UInt32(0x01 | 0x04 | 0x08 | 0x10 | 0x20 | 0x40))
    bytes.append(number: UInt64.max)  // any cookie
    return bytes.finished()
  }

  static let name: UInt16 = 0
  static let peer: UInt16 = 2
  static let waiting: UInt16 = 3
  static let queues: UInt16 = 4
  static let memory: UInt16 = 5
  static let shutdown: UInt16 = 6
  static let user: UInt16 = 7

  /// The fixed part of an answer (`struct unix_diag_msg`), before its attributes.
  static let fixedLength = 16

  /// Reads one answer; false when it is malformed, and then no part of it is used.
  static func read(_ bytes: RawSpan, namespace: UInt16, into found: inout UnixSockets) -> Bool {
    guard bytes.byteCount >= fixedLength, bytes.number(at: 0, as: UInt8.self) == 1 else { return false }
    var row = UnixSocket()
    row.namespace = namespace
    row.type = UnixSocketType(rawValue: bytes.number(at: 1))
    row.state = SocketState(rawValue: bytes.number(at: 2))
    row.inode = bytes.number(at: 4)
    row.cookie = UInt64(bytes.number(at: 8, as: UInt32.self)) | UInt64(bytes.number(at: 12, as: UInt32.self)) << 32

    var name: Range<Int>?
    var waiting: Range<Int>?
    var offset = fixedLength
    while offset < bytes.byteCount {
      guard let attribute = NetlinkAttribute(in: bytes, at: offset) else { return false }
      let value = attribute.value
      switch attribute.type {
      case Self.name: name = value
      case Self.waiting: waiting = value
      case peer: row.peer = bytes.number(in: value)
      case queues where value.count >= 8:
        row.receiveQueue = bytes.number(at: value.lowerBound)
        row.sendQueue = bytes.number(at: value.lowerBound + 4)
      case memory: row.memory = SocketMemory(bytes, value)
      case shutdown: row.shutdown = bytes.number(in: value)
      case user: row.user = bytes.number(in: value)
      default: break
      }
      offset = attribute.next
    }
    if let name { row.name = found.append(name: bytes.extracting(name)) }
    if let waiting { row.waiting = found.append(waiting: bytes.extracting(waiting)) }
    found.rows.append(row)
    return true
  }
}

/// Rows of Unix sockets, and the names and inodes that the rows point into.
struct UnixSockets: Sendable {
  var rows: ContiguousArray<UnixSocket> = []
  var names: ContiguousArray<UInt8> = []
  var waiting: ContiguousArray<UInt32> = []

  /// Appends a name. The kernel ends a path with a zero, which is no part of it. An abstract name begins with a zero
  /// and may have others, at its end too: they belong to it.
  mutating func append(name: RawSpan) -> Range<UInt32> {
    let start = UInt32(names.count)
    for index in 0..<name.byteCount { names.append(name.number(at: index)) }
    if name.byteCount > 1, names[Int(start)] != 0, names.last == 0 { names.removeLast() }
    return start..<UInt32(names.count)
  }

  mutating func append(waiting inodes: RawSpan) -> Range<UInt32> {
    let start = UInt32(waiting.count)
    for index in 0..<inodes.byteCount / 4 { waiting.append(inodes.number(at: index * 4)) }
    return start..<UInt32(waiting.count)
  }

  /// Appends the rows of another namespace, each socket once: the kernel lists one twice when its table changes during
  /// a dump.
  /// - Parameters:
  ///   - others: The rows to append.
  ///   - namespace: The index of their namespace.
  ///   - known: The cookies of the rows that are here already; those rows are left out.
  mutating func append(_ others: UnixSockets, namespace: UInt16, except known: NumberSet = NumberSet()) {
    let firstName = UInt32(names.count)
    let firstWaiting = UInt32(waiting.count)
    var known = known
    for var row in others.rows where known.insert(row.cookie) {
      row.namespace = namespace
      row.name = row.name.lowerBound + firstName..<row.name.upperBound + firstName
      row.waiting = row.waiting.lowerBound + firstWaiting..<row.waiting.upperBound + firstWaiting
      rows.append(row)
    }
    names += others.names
    waiting += others.waiting
  }
}
