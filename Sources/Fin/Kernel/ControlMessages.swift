internal import CFin
internal import Glibc
internal import SystemPackage

/// The control messages of `sendmsg(2)` and `recvmsg(2)` for Unix sockets: descriptors and credentials (cmsg(3),
/// unix(7)).
enum ControlMessages {
  /// The number of descriptors that the kernel accepts in one message: `SCM_MAX_FD`.
  static let mostDescriptors = 253

  /// Room for everything that one message of a Unix socket can bring: 253 descriptors (1,032 bytes), credentials, a
  /// pidfd, a timestamp, and a security label. With this room `MSG_CTRUNC` means that descriptors are lost.
  static let room = 8192

  /// Room for a timestamp, which the kernel writes first, and for no descriptor.
  static let timestampRoom = aligned(header) + 2 * MemoryLayout<Int>.size

  /// `struct cmsghdr`: the length with the header, the level and the type.
  private static let header = MemoryLayout<Int>.size + 2 * MemoryLayout<CInt>.size

  private static func aligned(_ length: Int) -> Int {
    (length + MemoryLayout<Int>.size - 1) & ~(MemoryLayout<Int>.size - 1)
  }

  /// The bytes of one control message that passes these descriptors.
  static func passing(_ numbers: [CInt]) -> [UInt8] {
    message(SOL_SOCKET, CInt(FIN_SCM_RIGHTS), numbers.flatMap { kernelBytes($0) })
  }

  /// The bytes of one control message.
  static func message(_ level: CInt, _ type: CInt, _ contents: [UInt8]) -> [UInt8] {
    var bytes: [UInt8] = []
    unsafe withUnsafeBytes(of: header + contents.count) { unsafe bytes.append(contentsOf: $0) }
    bytes += kernelBytes(level) + kernelBytes(type) + contents
    while bytes.count < aligned(bytes.count) { bytes.append(0) }
    return bytes
  }

  /// Calls `body` with the level, the type and the contents of each control message. One that is cut off is lent as far
  /// as it goes.
  static func forEach(
    in bytes: UnsafeRawBufferPointer, _ body: (CInt, CInt, UnsafeRawBufferPointer) -> Void
  ) {
    var start = 0
    while bytes.count - start >= header {
      let stated = unsafe bytes.loadUnaligned(fromByteOffset: start, as: Int.self)
      let level = unsafe bytes.loadUnaligned(fromByteOffset: start + MemoryLayout<Int>.size, as: CInt.self)
      let type = unsafe bytes.loadUnaligned(
        fromByteOffset: start + MemoryLayout<Int>.size + MemoryLayout<CInt>.size, as: CInt.self)
      guard stated >= header else { return }
      let end = start + min(stated, bytes.count - start)
      unsafe body(level, type, UnsafeRawBufferPointer(rebasing: bytes[(start + header)..<end]))
      guard stated <= bytes.count - start else { return }
      start += aligned(stated)
    }
  }

  /// The contents of the control messages that came with one message.
  struct Contents: Equatable {
    /// The descriptors that were passed, in order. They are open, and belong to the reader of this value.
    var descriptors: [CInt] = []
    /// The pidfds of the sender, which the kernel adds where a program asked for them. They are open.
    var processes: [CInt] = []
    /// The sender's credentials, which the kernel adds where a program asked for them.
    var credentials: (pid: Int32, uid: UInt32, gid: UInt32)?
    /// Whether there was any control message.
    var isEmpty = true

    static func == (a: Contents, b: Contents) -> Bool {
      a.descriptors == b.descriptors && a.processes == b.processes && a.isEmpty == b.isEmpty
        && a.credentials?.pid == b.credentials?.pid && a.credentials?.uid == b.credentials?.uid
        && a.credentials?.gid == b.credentials?.gid
    }
  }

  /// Reads all control messages, whatever their order. One that is cut off counts as far as it goes.
  static func contents(_ bytes: UnsafeRawBufferPointer) -> Contents {
    var contents = Contents()
    unsafe forEach(in: bytes) { level, type, data in
      contents.isEmpty = false
      func word(_ index: Int) -> CInt? {
        let offset = index * MemoryLayout<CInt>.size
        guard offset + MemoryLayout<CInt>.size <= data.count else { return nil }
        return unsafe data.loadUnaligned(fromByteOffset: offset, as: CInt.self)
      }
      var index = 0
      switch (level, type) {
      case (SOL_SOCKET, CInt(FIN_SCM_RIGHTS)):
        while let number = word(index) {
          contents.descriptors.append(number)
          index += 1
        }
      case (SOL_SOCKET, CInt(FIN_SCM_PIDFD)):
        if let number = word(0), number >= 0 { contents.processes.append(number) }
      case (SOL_SOCKET, CInt(FIN_SCM_CREDENTIALS)):
        if let pid = word(0), let uid = word(1), let gid = word(2) {
          contents.credentials = (pid, UInt32(bitPattern: uid), UInt32(bitPattern: gid))
        }
      default: break
      }
    }
    return contents
  }
}

/// The result of `recvmsg(2)`.
struct MessageHead {
  /// The bytes received; with `MSG_TRUNC` among the flags, the length of the message is more.
  let count: Int
  let contents: ControlMessages.Contents
  let flags: CInt

  var isTruncated: Bool { flags & CInt(FIN_MSG_TRUNC) != 0 }
  var hasLostControl: Bool { flags & CInt(FIN_MSG_CTRUNC) != 0 }
}

extension Syscalls {
  /// `sendmsg(2)` with `MSG_NOSIGNAL`: bytes, and descriptors that are passed with the first of them.
  static func send(
    _ descriptor: CInt, _ buffer: UnsafeRawBufferPointer, passing numbers: [CInt]
  ) throws(Errno) -> Int {
    let passed = ControlMessages.passing(numbers)
    var vector = unsafe iovec(
      iov_base: UnsafeMutableRawPointer(mutating: buffer.baseAddress), iov_len: buffer.count)
    return try unsafe withUnsafeTemporaryAllocation(
      byteCount: passed.count, alignment: MemoryLayout<Int>.alignment
    ) { control throws(Errno) in
      unsafe control.copyBytes(from: passed)
      return try unsafe withUnsafeMutablePointer(to: &vector) { vector throws(Errno) in
        var message = unsafe msghdr()
        unsafe message.msg_iov = vector
        unsafe message.msg_iovlen = 1
        if !numbers.isEmpty {
          unsafe message.msg_control = control.baseAddress
          unsafe message.msg_controllen = control.count
        }
        return try call(.sendmsg, bytes: buffer.count) { bytes in
          unsafe vector.pointee.iov_len = bytes
          return unsafe sendmsg(descriptor, &message, CInt(FIN_MSG_NOSIGNAL | FIN_MSG_DONTWAIT))
        }
      }
    }
  }

  /// `recvmsg(2)` with `MSG_CMSG_CLOEXEC`: bytes, and the contents of all control messages.
  ///
  /// - Parameters:
  ///   - room: the room for control messages, in bytes.
  ///   - flags: further flags, such as `MSG_PEEK`.
  static func receiveMessage(
    _ descriptor: CInt, _ buffer: UnsafeMutableRawBufferPointer, controlRoom room: Int = ControlMessages.room,
    flags: CInt = 0
  ) throws(Errno) -> MessageHead {
    try unsafe withUnsafeTemporaryAllocation(byteCount: room, alignment: MemoryLayout<Int>.alignment) {
      control throws(Errno) in
      var vector = unsafe iovec(iov_base: buffer.baseAddress, iov_len: buffer.count)
      var message = unsafe msghdr()
      let count = try unsafe withUnsafeMutablePointer(to: &vector) { vector throws(Errno) in
        try call(.recvmsg, bytes: buffer.count) { bytes in
          unsafe vector.pointee.iov_len = bytes
          unsafe message = msghdr()
          unsafe message.msg_iov = vector
          unsafe message.msg_iovlen = 1
          unsafe message.msg_control = control.baseAddress
          unsafe message.msg_controllen = room
          return unsafe recvmsg(descriptor, &message, CInt(FIN_MSG_DONTWAIT | FIN_MSG_CMSG_CLOEXEC) | flags)
        }
      }
      let contents = unsafe ControlMessages.contents(
        UnsafeRawBufferPointer(rebasing: control[..<min(room, message.msg_controllen)]))
      var seen = unsafe message.msg_flags
      #if FIN_SEAM
      if case .value(let scripted)? = Seam.answer(.flagsOfMessage) { seen |= CInt(scripted) }
      #endif
      return MessageHead(count: count, contents: contents, flags: seen)
    }
  }

  /// `recv(2)` with `MSG_PEEK | MSG_TRUNC`: the length of the next message of a socket that keeps their bounds.
  ///
  /// - Returns: 0 for an empty message and at EOF.
  static func nextLength(_ descriptor: CInt) throws(Errno) -> Int {
    try call(.recv) { _ in
      recv(descriptor, nil, 0, CInt(FIN_MSG_PEEK) | CInt(FIN_MSG_TRUNC) | CInt(FIN_MSG_DONTWAIT))
    }
  }
}
