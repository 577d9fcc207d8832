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
  static func read(_ holder: Holder, user: UInt32? = nil) throws(KernelError) -> SocketOptions {
    let tcp = CInt(IPPROTO_TCP)
    func number(_ level: CInt, _ name: CInt) -> HelperRequest.Option {
      HelperRequest.Option(level: level, name: name, length: 4)
    }
    let wanted = [
      number(SOL_SOCKET, SO_REUSEADDR), number(SOL_SOCKET, SO_REUSEPORT), number(SOL_SOCKET, SO_KEEPALIVE),
      number(tcp, TCP_KEEPIDLE), number(tcp, TCP_KEEPINTVL), number(tcp, TCP_KEEPCNT),
      number(tcp, CInt(FIN_TCP_USER_TIMEOUT)), number(tcp, TCP_SYNCNT), number(tcp, TCP_NODELAY),
      HelperRequest.Option(level: SOL_SOCKET, name: SO_LINGER, length: 8),
      HelperRequest.Option(level: tcp, name: TCP_CONGESTION, length: 16),
      HelperRequest.Option(level: tcp, name: CInt(FIN_TCP_INFO), length: 280),
    ]
    let values = try values(of: wanted, holder, user)
    func value(_ place: Int) -> Int? {
      values[place].flatMap { $0.count == 4 ? unsafe $0.withUnsafeBytes { unsafe Int($0.load(as: CInt.self)) } : nil }
    }
    var all = SocketOptions()
    all.reusesAddress = value(0).map { $0 != 0 }
    all.sharesPort = value(1).map { $0 != 0 }
    all.keepsAlive = value(2).map { $0 != 0 }
    all.keepaliveIdle = value(3)
    all.keepaliveInterval = value(4)
    all.keepaliveCount = value(5)
    all.userTimeout = value(6)
    all.synCount = value(7)
    all.sendsAtOnce = value(8).map { $0 != 0 }
    if let linger = values[9], linger.count == 8 {
      // `struct linger`: whether it is on, and the seconds.
      let (isOn, seconds) = unsafe linger.withUnsafeBytes { unsafe $0.loadUnaligned(as: (CInt, CInt).self) }
      all.linger = isOn == 0 ? -1 : Int(seconds)
    }
    all.congestionControl = values[10].map { visible($0.prefix { $0 != 0 }) }
    if let info = values[11] {
      all.info.detail = unsafe TCPDetail(info.span.bytes)
      all.info.state = info.first
    }
    return all
  }

  /// Has a helper read these options, because the kernel may read them under the socket's lock; nil for each that this
  /// socket does not have.
  private static func values(
    of options: [HelperRequest.Option], _ holder: Holder, _ user: UInt32?
  ) throws(KernelError) -> [[UInt8]?] {
    let answer = Helpers.perform(
      .options(pid: holder.pid, descriptor: holder.descriptor, inode: holder.inode, options), of: holder.pid, user: user
    )
    if let failure = answer.failure { throw failure }
    var rest = answer.bytes[...]
    return options.map { _ in
      guard rest.count >= 4 else { return nil }
      let count = unsafe rest.withUnsafeBytes { unsafe Int($0.loadUnaligned(as: Int32.self)) }
      rest.removeFirst(4)
      guard count >= 0, count <= rest.count else { return nil }
      defer { rest.removeFirst(count) }
      return Array(rest.prefix(count))
    }
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
}
