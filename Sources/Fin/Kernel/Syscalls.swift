internal import CFin
internal import FinBase
internal import Glibc
internal import SystemPackage

/// The system calls, one function for each.
///
/// This layer turns −1 into a thrown `Errno`, repeats a call that a signal interrupted where repeating is right, and
/// adds the flags that make a descriptor safe from its creation (`CLOEXEC`, non-blocking, no `SIGPIPE`). It keeps no
/// state and interprets no error, and only `poll` and `awaitEvents` wait.
enum Syscalls {
  @inline(__always)
  static func call(
    _ name: SystemCall, _ interruption: Interruption = .again, bytes: Int = 0, _ body: (_ bytes: Int) -> Int
  ) throws(Errno) -> Int {
    do throws(KernelError) {
      return try calling(interruption) { attempt(name, bytes, body) }
    } catch {
      throw Errno(rawValue: error.code)
    }
  }

  /// Makes a call once.
  @inline(__always)
  private static func attempt(_ name: SystemCall, _ bytes: Int, _ body: (_ bytes: Int) -> Int) -> Int {
    #if FIN_SEAM
    scripted(name, bytes, body)
    #else
    body(bytes)
    #endif
  }

  #if FIN_SEAM
  private static func scripted(_ name: SystemCall, _ bytes: Int, _ body: (Int) -> Int) -> Int {
    switch Seam.answer(name) {
    case nil: return body(bytes)
    case .fail(let error)?:
      fin_set_errno(error.rawValue)
      return -1
    case .limit(let most)?: return body(min(bytes, most))
    case .value(let value)?: return value
    case .before(let action)?:
      action()
      return body(bytes)
    case .after(let action)?:
      let result = body(bytes)
      let error = fin_errno()
      action()
      fin_set_errno(error)
      return result
    }
  }
  #endif

  // MARK: Creating

  /// `socket(2)` with `SOCK_CLOEXEC | SOCK_NONBLOCK`.
  static func socket(_ family: CInt, _ type: CInt, _ protocolNumber: CInt = 0) throws(Errno) -> CInt {
    let flags = CInt(FIN_SOCK_CLOEXEC) | CInt(FIN_SOCK_NONBLOCK)
    return CInt(try call(.socket) { _ in Int(Glibc.socket(family, type | flags, protocolNumber)) })
  }

  /// `socketpair(2)` with `SOCK_CLOEXEC | SOCK_NONBLOCK`, Unix family.
  static func socketpair(_ type: CInt) throws(Errno) -> (CInt, CInt) {
    let flags = CInt(FIN_SOCK_CLOEXEC) | CInt(FIN_SOCK_NONBLOCK)
    var pair: (CInt, CInt) = (-1, -1)
    _ = try call(.socketpair) { _ in
      unsafe withUnsafeMutableBytes(of: &pair) { bytes in
        unsafe Int(Glibc.socketpair(AF_UNIX, type | flags, 0, bytes.bindMemory(to: CInt.self).baseAddress!))
      }
    }
    return pair
  }

  /// `accept4(2)` with `SOCK_CLOEXEC | SOCK_NONBLOCK`. The peer's address is the one that accept returns, because
  /// `getpeername` has none for a client that was reset in the accept queue. `EINTR` surfaces: a seccomp filter may
  /// return it every time.
  static func accept(_ listener: CInt) throws(Errno) -> (CInt, SocketAddress?) {
    let flags = CInt(FIN_SOCK_CLOEXEC) | CInt(FIN_SOCK_NONBLOCK)
    return try unsafe SocketAddress.reading { address, length throws(Errno) in
      CInt(try call(.accept, .surfaces) { _ in unsafe Int(fin_accept4(listener, address, &length, flags)) })
    }
  }

  /// `fcntl(2)` with `F_DUPFD_CLOEXEC`.
  static func duplicate(_ descriptor: CInt) throws(Errno) -> CInt {
    CInt(try call(.fcntl) { _ in Int(fin_fcntl_int(descriptor, CInt(FIN_F_DUPFD_CLOEXEC), 0)) })
  }

  /// Makes a descriptor from elsewhere `CLOEXEC` and non-blocking, like one that Fin creates.
  static func makeSafe(_ descriptor: CInt) throws(Errno) {
    try closeOnExec(descriptor)
    try setBlocking(descriptor, false)
  }

  /// Makes a descriptor `CLOEXEC`.
  static func closeOnExec(_ descriptor: CInt) throws(Errno) {
    let flags = CInt(try call(.fcntl) { _ in Int(fin_fcntl_int(descriptor, F_GETFD, 0)) })
    _ = try call(.fcntl) { _ in Int(fin_fcntl_int(descriptor, F_SETFD, flags | FD_CLOEXEC)) }
  }

  static func setBlocking(_ descriptor: CInt, _ isBlocking: Bool) throws(Errno) {
    let status = try statusFlags(descriptor)
    let wanted = isBlocking ? status & ~O_NONBLOCK : status | O_NONBLOCK
    if wanted != status { _ = try call(.fcntl) { _ in Int(fin_fcntl_int(descriptor, F_SETFL, wanted)) } }
  }

  /// Whether a call without `MSG_DONTWAIT` may block: some holder of the open file description has cleared
  /// `O_NONBLOCK`.
  static func isBlocking(_ descriptor: CInt) throws(Errno) -> Bool {
    try statusFlags(descriptor) & O_NONBLOCK == 0
  }

  private static func statusFlags(_ descriptor: CInt) throws(Errno) -> CInt {
    CInt(try call(.fcntl) { _ in Int(fin_fcntl_int(descriptor, F_GETFL, 0)) })
  }

  // MARK: Closing

  /// `close(2)`, once: `EINTR` is not repeated, and `EBADF` traps.
  static func close(_ descriptor: CInt) {
    closeOnce(descriptor) { attempt(.close, 0) { _ in Int(Glibc.close(descriptor)) } }
  }

  /// `shutdown(2)`.
  static func shutdown(_ descriptor: CInt, _ how: CInt) throws(Errno) {
    _ = try call(.shutdown) { _ in Int(Glibc.shutdown(descriptor, how)) }
  }

  // MARK: Names and connections

  static func bind(_ descriptor: CInt, _ address: SocketAddress) throws(Errno) {
    try unsafe address.withSockaddr { pointer, length throws(Errno) in
      _ = try call(.bind) { _ in unsafe Int(Glibc.bind(descriptor, pointer, length)) }
    }
  }

  static func listen(_ descriptor: CInt, _ backlog: CInt) throws(Errno) {
    _ = try call(.listen) { _ in Int(Glibc.listen(descriptor, backlog)) }
  }

  /// `connect(2)`. `EINTR` surfaces: the TCP handshake goes on, and the effect of a second call is unspecified.
  static func connect(_ descriptor: CInt, _ address: SocketAddress) throws(Errno) {
    try unsafe address.withSockaddr { pointer, length throws(Errno) in
      _ = try call(.connect, .surfaces) { _ in unsafe Int(Glibc.connect(descriptor, pointer, length)) }
    }
  }

  static func localAddress(_ descriptor: CInt) throws(Errno) -> SocketAddress? {
    try unsafe SocketAddress.reading { address, length throws(Errno) in
      _ = try call(.getsockname) { _ in unsafe Int(getsockname(descriptor, address, &length)) }
    }.1
  }

  static func remoteAddress(_ descriptor: CInt) throws(Errno) -> SocketAddress? {
    try unsafe SocketAddress.reading { address, length throws(Errno) in
      _ = try call(.getpeername) { _ in unsafe Int(getpeername(descriptor, address, &length)) }
    }.1
  }

  // MARK: Bytes

  // Each call has `MSG_DONTWAIT`, although the open file description is non-blocking: another holder may have made it
  // blocking since, and a call would then hold its thread beyond every deadline.

  // On the path of every message, and therefore without the C library's points of cancellation: Fin cancels no thread.
  // The thread sanitizer has to see these calls, because a message orders what its two ends do.
  @inline(__always)
  private static func recv(_ fd: CInt, _ bytes: UnsafeMutableRawPointer?, _ count: Int, _ flags: CInt) -> Int {
    #if FIN_TSAN
    unsafe Glibc.recv(fd, bytes, count, flags)
    #else
    unsafe Int(fin_recv(fd, bytes, UInt64(count), flags))
    #endif
  }

  @inline(__always)
  private static func send(_ fd: CInt, _ bytes: UnsafeRawPointer?, _ count: Int, _ flags: CInt) -> Int {
    #if FIN_TSAN
    unsafe Glibc.send(fd, bytes, count, flags)
    #else
    unsafe Int(fin_send(fd, bytes, UInt64(count), flags))
    #endif
  }

  /// `recv(2)`.
  static func receive(_ descriptor: CInt, _ buffer: UnsafeMutableRawBufferPointer) throws(Errno) -> Int {
    try call(.recv, bytes: buffer.count) { bytes in
      unsafe recv(descriptor, buffer.baseAddress, bytes, CInt(FIN_MSG_DONTWAIT))
    }
  }

  /// `recv(2)` with `MSG_TRUNC`: TCP discards the bytes without copying them. On other sockets use ``receive``.
  static func discard(_ descriptor: CInt, _ most: Int) throws(Errno) -> Int {
    try call(.recv, bytes: most) { bytes in
      unsafe recv(descriptor, nil, bytes, CInt(FIN_MSG_TRUNC | FIN_MSG_DONTWAIT))
    }
  }

  /// `recv(2)` with `MSG_PEEK`, of one byte: checks whether a byte is available.
  ///
  /// - Returns: 0 at EOF.
  static func peek(_ descriptor: CInt) throws(Errno) -> Int {
    var byte: UInt8 = 0
    return try call(.recv, bytes: 1) { bytes in
      unsafe recv(descriptor, &byte, bytes, CInt(FIN_MSG_PEEK) | CInt(FIN_MSG_DONTWAIT))
    }
  }

  /// `send(2)` with `MSG_NOSIGNAL`.
  ///
  /// - Parameter more: whether more follows at once (`MSG_MORE`). The kernel keeps a segment that is not full for it,
  ///   for at most 200 ms.
  static func send(_ descriptor: CInt, _ buffer: UnsafeRawBufferPointer, more: Bool = false) throws(Errno) -> Int {
    try call(.send, bytes: buffer.count) { bytes in
      let flags = CInt(FIN_MSG_NOSIGNAL | FIN_MSG_DONTWAIT) | (more ? CInt(FIN_MSG_MORE) : 0)
      return unsafe send(descriptor, buffer.baseAddress, bytes, flags)
    }
  }

  /// `sendmsg(2)` with `MSG_NOSIGNAL`, gathering.
  static func send(_ descriptor: CInt, gathering vectors: UnsafeMutableBufferPointer<iovec>) throws(Errno) -> Int {
    var message = unsafe msghdr()
    unsafe message.msg_iov = vectors.baseAddress
    unsafe message.msg_iovlen = vectors.count
    return try call(.sendmsg, bytes: .max) { most in
      #if FIN_SEAM
      if most < .max { return unsafe scriptedShort(descriptor, vectors, most) }
      #endif
      return unsafe sendmsg(descriptor, &message, CInt(FIN_MSG_NOSIGNAL | FIN_MSG_DONTWAIT))
    }
  }

  #if FIN_SEAM
  /// Sends the first `most` bytes of the pieces, which may end in the middle of one.
  private static func scriptedShort(_ descriptor: CInt, _ vectors: UnsafeMutableBufferPointer<iovec>, _ most: Int)
    -> Int
  {
    var left = most
    var short = unsafe vectors.map { vector in
      var vector = unsafe vector
      unsafe vector.iov_len = min(vector.iov_len, left)
      unsafe left -= vector.iov_len
      return unsafe vector
    }
    return unsafe short.withUnsafeMutableBufferPointer { short in
      var message = unsafe msghdr()
      unsafe message.msg_iov = short.baseAddress
      unsafe message.msg_iovlen = short.count
      return unsafe sendmsg(descriptor, &message, CInt(FIN_MSG_NOSIGNAL | FIN_MSG_DONTWAIT))
    }
  }
  #endif

  /// `sendto(2)` with `MSG_NOSIGNAL`.
  static func send(_ descriptor: CInt, _ buffer: UnsafeRawBufferPointer, to address: SocketAddress) throws(Errno) -> Int
  {
    try unsafe address.withSockaddr { pointer, length throws(Errno) in
      try call(.sendmsg) { _ in
        unsafe sendto(
          descriptor, buffer.baseAddress, buffer.count, CInt(FIN_MSG_NOSIGNAL | FIN_MSG_DONTWAIT), pointer, length)
      }
    }
  }

  /// `recvfrom(2)` with `MSG_TRUNC`: returns the true length of the datagram, which is more than the buffer's if it
  /// was truncated.
  static func receiveDatagram(
    _ descriptor: CInt, _ buffer: UnsafeMutableRawBufferPointer
  ) throws(Errno) -> (Int, SocketAddress?) {
    try unsafe SocketAddress.reading { address, length throws(Errno) in
      try call(.recvmsg) { _ in
        unsafe recvfrom(
          descriptor, buffer.baseAddress, buffer.count, CInt(FIN_MSG_TRUNC | FIN_MSG_DONTWAIT), address, &length)
      }
    }
  }

  // MARK: Options and queues

  /// `getsockopt(2)`; returns the number of bytes that the kernel wrote.
  static func option(
    _ descriptor: CInt, _ level: CInt, _ name: CInt, into buffer: UnsafeMutableRawBufferPointer
  ) throws(Errno) -> Int {
    var length = socklen_t(buffer.count)
    _ = try call(.getsockopt) { _ in unsafe Int(getsockopt(descriptor, level, name, buffer.baseAddress, &length)) }
    return Int(length)
  }

  /// `setsockopt(2)`.
  static func setOption(
    _ descriptor: CInt, _ level: CInt, _ name: CInt, _ buffer: UnsafeRawBufferPointer
  ) throws(Errno) {
    _ = try call(.setsockopt) { _ in
      unsafe Int(setsockopt(descriptor, level, name, buffer.baseAddress, socklen_t(buffer.count)))
    }
  }

  static func setOption(_ descriptor: CInt, _ level: CInt, _ name: CInt, _ value: [UInt8]) throws(Errno) {
    try unsafe value.span.withUnsafeBytes { bytes throws(Errno) in
      try unsafe setOption(descriptor, level, name, bytes)
    }
  }

  static func integerOption(_ descriptor: CInt, _ level: CInt, _ name: CInt) throws(Errno) -> CInt {
    var value: CInt = 0
    _ = try unsafe withUnsafeMutableBytes(of: &value) { bytes throws(Errno) in
      try unsafe option(descriptor, level, name, into: bytes)
    }
    return value
  }

  static func setIntegerOption(_ descriptor: CInt, _ level: CInt, _ name: CInt, _ value: CInt) throws(Errno) {
    var value = value
    try unsafe withUnsafeBytes(of: &value) { bytes throws(Errno) in
      try unsafe setOption(descriptor, level, name, bytes)
    }
  }

  /// `SO_ERROR`. Reading it clears it, so the caller must latch the result.
  static func takeError(_ descriptor: CInt) throws(Errno) -> Errno? {
    let value = try integerOption(descriptor, SOL_SOCKET, SO_ERROR)
    return value == 0 ? nil : Errno(rawValue: value)
  }

  /// `SO_PROTOCOL`: the protocol of the socket; 0 for a Unix socket.
  static func protocolNumber(_ descriptor: CInt) throws(Errno) -> CInt {
    #if FIN_SEAM
    if case .value(let number)? = Seam.answer(.protocolOfSocket) { return CInt(number) }
    #endif
    return try integerOption(descriptor, SOL_SOCKET, SO_PROTOCOL)
  }

  /// `SO_COOKIE`: the kernel's own id of the socket, never reused.
  static func cookie(_ descriptor: CInt) throws(Errno) -> UInt64 {
    var value: UInt64 = 0
    _ = try unsafe withUnsafeMutableBytes(of: &value) { bytes throws(Errno) in
      try unsafe option(descriptor, SOL_SOCKET, CInt(FIN_SO_COOKIE), into: bytes)
    }
    return value
  }

  /// `SO_LINGER {1, 0}`: the next `close` sends a reset. The time is always zero: any other blocks `close` even on a
  /// non-blocking descriptor.
  static func armReset(_ descriptor: CInt) throws(Errno) {
    var value = linger(l_onoff: 1, l_linger: 0)
    try unsafe withUnsafeBytes(of: &value) { bytes throws(Errno) in
      try unsafe setOption(descriptor, SOL_SOCKET, SO_LINGER, bytes)
    }
  }

  /// `SO_ATTACH_FILTER`: a TCP listener drops the first segment of each new handshake, and its accepted connections
  /// inherit the filter.
  static func dropNewHandshakes(_ descriptor: CInt) throws(Errno) {
    _ = try call(.setsockopt) { _ in Int(fin_drop_new_handshakes(descriptor)) }
  }

  /// Whether a program has attached a filter to a socket: `SO_GET_FILTER` without room for its instructions says how
  /// many there are, and fails with `EACCES` for one of eBPF.
  static func hasFilter(_ descriptor: CInt) -> Bool {
    var length: socklen_t = 0
    if unsafe getsockopt(descriptor, SOL_SOCKET, CInt(FIN_SO_GET_FILTER), nil, &length) == 0 { return length > 0 }
    return Errno.last == .permissionDenied
  }

  /// `SO_DETACH_FILTER`. A socket without a filter stays as it is.
  static func takeNewHandshakes(_ descriptor: CInt) {
    try? setIntegerOption(descriptor, SOL_SOCKET, CInt(FIN_SO_DETACH_FILTER), 0)
  }

  /// `SO_LINGER {0, 0}`: `close` does not wait.
  static func disarmLinger(_ descriptor: CInt) throws(Errno) {
    var value = linger(l_onoff: 0, l_linger: 0)
    try unsafe withUnsafeBytes(of: &value) { bytes throws(Errno) in
      try unsafe setOption(descriptor, SOL_SOCKET, SO_LINGER, bytes)
    }
  }

  /// `ioctl(2)` for the length of a queue, in bytes: `SIOCOUTQ`, `SIOCOUTQNSD`, `SIOCINQ`.
  static func queue(_ descriptor: CInt, _ request: CInt) throws(Errno) -> Int {
    var value: CInt = 0
    _ = try call(.ioctl) { _ in unsafe Int(fin_ioctl_int(descriptor, UInt64(request), &value)) }
    // For an MPTCP listener the kernel reports success and returns the error as the length: `mptcp_ioctl`.
    if value < 0 { throw Errno(rawValue: -value) }
    return Int(value)
  }

  /// `SIOCINQ`: the number of bytes that have arrived and were not read.
  static func unread(_ descriptor: CInt) throws(Errno) -> Int {
    let count = try queue(descriptor, CInt(FIN_SIOCINQ))
    // MPTCP also returns 1 when only EOF is pending: `mptcp_inq_hint`.
    return count == 1 ? (try? peek(descriptor)) ?? 0 : count
  }

  /// `fstat(2)`: the kind of file behind a descriptor.
  static func status(_ descriptor: CInt) throws(Errno) -> stat {
    var value = stat()
    _ = try call(.fcntl) { _ in unsafe Int(fstat(descriptor, &value)) }
    return value
  }
}

/// Owns one file descriptor, and closes it with a call that tests can script.
typealias Descriptor = DescriptorOwner<Syscalls>

extension Syscalls: DescriptorClosing {}
