internal import CFin
internal import Glibc

/// The options of another program's socket, which only a copy of its descriptor can be asked for. Nil is unknown.
public struct SocketOptions: Hashable, Sendable {
  /// `SO_REUSEADDR`.
  public var reusesAddress: Bool?
  /// `SO_REUSEPORT`.
  public var sharesPort: Bool?
  /// `SO_KEEPALIVE`.
  public var keepsAlive: Bool?
  /// `TCP_KEEPIDLE`, in seconds.
  public var keepaliveIdle: Int?
  /// `TCP_KEEPINTVL`, in seconds.
  public var keepaliveInterval: Int?
  /// `TCP_KEEPCNT`.
  public var keepaliveCount: Int?
  /// `TCP_USER_TIMEOUT`, in milliseconds; 0 for the kernel's own limit.
  public var userTimeout: Int?
  /// `TCP_SYNCNT`.
  public var synCount: Int?
  /// `TCP_NODELAY`.
  public var sendsAtOnce: Bool?
  /// `SO_LINGER`: seconds, where it is on; -1 where it is off. 0 resets at close.
  public var linger: Int?
  /// `TCP_CONGESTION`, made visible.
  public var congestionControl: String?
  /// `TCP_INFO`, for a socket that no table lists.
  public var info = Info()

  /// What `TCP_INFO` told; of no weight when two sets of options are compared.
  public struct Info: Hashable, Sendable {
    /// The fields.
    public var detail = TCPDetail()
    /// The state, as the kernel numbers it.
    public var state: UInt8?

    /// Nothing.
    public init() {}
    public static func == (left: Info, right: Info) -> Bool { left.state == right.state }
    public func hash(into hasher: inout Hasher) { hasher.combine(state) }
  }

  /// Nothing known.
  public init() {}

  /// Copies the descriptor, asks, and closes the copy at once: while it is open, a close by the program ends nothing.
  ///
  /// It never reads `SO_ERROR`, which can be read once only.
  static func read(_ holder: Holder) throws(KernelError) -> SocketOptions {
    let process = OwnDescriptor(adopting: CInt(try calling { Int(fin_open_process(holder.pid)) }))
    let copy = OwnDescriptor(
      adopting: CInt(try calling { Int(fin_copy_descriptor(process.number, holder.descriptor)) }))
    // The number may have become another socket since.
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

  /// Of sockets with these inodes: whether they have `SO_REUSEADDR`, as far as their descriptors may be copied.
  /// - Parameters:
  ///   - inodes: Which sockets.
  ///   - census: The picture they are in.
  public static func reuse(of inodes: some Sequence<UInt32>, in census: Census) -> [UInt32: Bool] {
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
