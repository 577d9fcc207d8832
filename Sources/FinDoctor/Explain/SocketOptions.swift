internal import CFin
internal import FinBase
internal import Glibc

/// The options of another program's socket, read through a copy of its descriptor. Nil means unknown.
package struct SocketOptions: Hashable, Sendable {
  /// `SO_REUSEADDR`.
  package var reusesAddress: Bool?
  /// `SO_REUSEPORT`.
  package var sharesPort: Bool?
  /// `SO_KEEPALIVE`.
  package var keepsAlive: Bool?
  /// `TCP_KEEPIDLE`, in seconds.
  package var keepaliveIdle: Int?
  /// `TCP_KEEPINTVL`, in seconds.
  package var keepaliveInterval: Int?
  /// `TCP_KEEPCNT`.
  package var keepaliveCount: Int?
  /// `TCP_USER_TIMEOUT`, in milliseconds; 0 for the kernel's own limit.
  package var userTimeout: Int?
  /// `TCP_SYNCNT`.
  package var synCount: Int?
  /// `TCP_NODELAY`.
  package var sendsAtOnce: Bool?
  /// `SO_LINGER` in seconds; -1 where it is off. With 0, close resets the connection.
  package var linger: Int?
  /// `TCP_CONGESTION`, made visible.
  package var congestionControl: String?
  /// `TCP_INFO`, for a socket that no table lists.
  package var info = Info()

  /// The contents of `TCP_INFO`. Only the state counts when two sets of options are compared.
  package struct Info: Hashable, Sendable {
    /// The decoded fields.
    package var detail = TCPDetail()
    /// The state, as the kernel numbers it.
    package var state: UInt8?

    /// Creates an empty value.
    package init() {}
    package static func == (left: Info, right: Info) -> Bool { left.state == right.state }
    package func hash(into hasher: inout Hasher) { hasher.combine(state) }
  }

  /// Creates options that are all unknown.
  package init() {}

  /// Copies the descriptor, reads the options, and closes the copy at once. While the copy is open, a close by the
  /// program does not end the connection.
  ///
  /// Never reads `SO_ERROR`, because reading it clears it.
  static func read(_ holder: Holder) throws(KernelError) -> SocketOptions {
    let process = Descriptor(owning: CInt(try calling { Int(fin_open_process(holder.pid)) }))
    let copy = Descriptor(
      owning: CInt(try calling { Int(fin_copy_descriptor(process.number, holder.descriptor)) }))
    // The descriptor number may refer to another socket by now.
    guard try copy.status().st_ino == ino_t(holder.inode) else { throw KernelError(code: EBADF) }
    var all = SocketOptions()
    let tcp = CInt(IPPROTO_TCP)
    func number(_ level: CInt, _ option: CInt) -> Int? { Self.number(copy.number, level, option) }
    all.reusesAddress = number(SOL_SOCKET, SO_REUSEADDR).map { $0 != 0 }
    all.sharesPort = number(SOL_SOCKET, SO_REUSEPORT).map { $0 != 0 }
    all.keepsAlive = number(SOL_SOCKET, SO_KEEPALIVE).map { $0 != 0 }
    all.keepaliveIdle = number(tcp, TCP_KEEPIDLE)
    all.keepaliveInterval = number(tcp, TCP_KEEPINTVL)
    all.keepaliveCount = number(tcp, TCP_KEEPCNT)
    all.userTimeout = number(tcp, CInt(FIN_TCP_USER_TIMEOUT))
    all.synCount = number(tcp, TCP_SYNCNT)
    all.sendsAtOnce = number(tcp, TCP_NODELAY).map { $0 != 0 }
    var linger = Glibc.linger()
    var length = socklen_t(MemoryLayout<Glibc.linger>.size)
    if unsafe getsockopt(copy.number, SOL_SOCKET, SO_LINGER, &linger, &length) == 0 {
      all.linger = linger.l_onoff == 0 ? -1 : Int(linger.l_linger)
    }
    if let name = bytes(copy.number, tcp, TCP_CONGESTION, 16) {
      all.congestionControl = visible(name.prefix { $0 != 0 })
    }
    if let info = bytes(copy.number, tcp, CInt(FIN_TCP_INFO), 280) {
      all.info.detail = unsafe TCPDetail(info.span.bytes)
      all.info.state = info.first
    }
    return all
  }

  /// Returns whether the sockets of these inodes have `SO_REUSEADDR`, for those whose descriptors may be copied.
  /// - Parameters:
  ///   - inodes: The sockets.
  ///   - census: The census that contains them.
  package static func reuse(of inodes: some Sequence<UInt32>, in census: Census) -> [UInt32: Bool] {
    var answers: [UInt32: Bool] = [:]
    for inode in inodes {
      if let holder = census.holders.first(of: inode), let options = try? read(holder),
        let answer = options.reusesAddress
      {
        answers[inode] = answer
      }
    }
    return answers
  }

  private static func number(_ descriptor: CInt, _ level: CInt, _ option: CInt) -> Int? {
    var value: CInt = 0
    var length = socklen_t(MemoryLayout<CInt>.size)
    return unsafe getsockopt(descriptor, level, option, &value, &length) == 0 ? Int(value) : nil
  }

  private static func bytes(_ descriptor: CInt, _ level: CInt, _ option: CInt, _ size: Int) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: size)
    var length = socklen_t(size)
    let code = unsafe bytes.withUnsafeMutableBytes {
      unsafe getsockopt(descriptor, level, option, $0.baseAddress!, &length)
    }
    return code == 0 ? Array(bytes[..<min(Int(length), size)]) : nil
  }
}
