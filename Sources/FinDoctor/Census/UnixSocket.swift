/// One Unix socket, as the kernel described it: a row of numbers; its name and its queue lie in the census's buffers.
public struct UnixSocket: Sendable {
  /// Names this socket and no other for as long as the machine runs.
  public var cookie: UInt64 = 0
  /// The inode; no Unix socket is without.
  public var inode: UInt32 = 0
  /// The inode of the other end: 0 when it has gone, nil when there never was one.
  public var peer: UInt32?
  /// Bytes not read; of a listener, the connections waiting for accept.
  public var receiveQueue: UInt32 = 0
  /// Bytes the other end has not read; of a listener, how many may wait.
  public var sendQueue: UInt32 = 0
  /// The user whose program made it.
  public var user: UInt32?
  /// Where its name lies in ``Census/unixNames``; empty when it has none.
  public var name: Range<UInt32> = 0..<0
  /// Where the inodes of its clients that wait for accept lie in ``Census/unixWaiting``.
  public var waiting: Range<UInt32> = 0..<0
  /// Which of ``Census/namespaces`` it is in.
  public var namespace: UInt16 = 0
  /// Which directions are shut down: 1 receiving, 2 sending.
  public var shutdown: UInt8?
  /// A stream, datagrams, or records.
  public var type = UnixSocketType.stream
  /// ``SocketState/established``, ``SocketState/listen`` or ``SocketState/closed``.
  public var state = SocketState.closed
  /// What it uses of memory.
  public var memory = SocketMemory()

  /// A row of zeros.
  public init() {}

  /// Whether it was connected and the other end has gone.
  public var hasLostItsPeer: Bool { peer == 0 && shutdown == 3 }
}

/// How a Unix socket keeps messages apart; the raw values are `SOCK_STREAM` and its like.
public struct UnixSocketType: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
  public let rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// A stream of bytes.
  public static let stream = UnixSocketType(rawValue: 1)
  /// Messages without a connection.
  public static let datagram = UnixSocketType(rawValue: 2)
  /// Messages in a connection.
  public static let records = UnixSocketType(rawValue: 5)

  public var description: String {
    switch self {
    case .stream: "unix-stream"
    case .datagram: "unix-datagram"
    case .records: "unix-records"
    default: "unix-\(rawValue)"
    }
  }
}
