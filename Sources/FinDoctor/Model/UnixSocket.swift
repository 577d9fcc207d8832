/// One Unix socket, as the kernel described it: a row of integers. Its name and its accept queue lie in the
/// census's buffers.
public struct UnixSocket: Sendable {
  /// The kernel's unique number of this socket for as long as the machine runs.
  public var cookie: UInt64 = 0
  /// The inode; every listed Unix socket has one.
  public var inode: UInt32 = 0
  /// The inode of the peer socket: 0 when it is gone, nil when there never was one.
  public var peer: UInt32?
  /// Bytes not read; for a listener, the length of the accept queue.
  public var receiveQueue: UInt32 = 0
  /// Bytes that the peer has not read; for a listener, the backlog.
  public var sendQueue: UInt32 = 0
  /// The user whose program created it.
  public var user: UInt32?
  /// The range of its name in ``Census/unixNames``; empty when it has none.
  package var name: Range<UInt32> = 0..<0
  /// The range of the inodes of its clients that wait for accept in ``Census/unixWaiting``.
  package var waiting: Range<UInt32> = 0..<0
  /// The index of its namespace in ``Census/namespaces``.
  public var namespace: UInt16 = 0
  /// The directions that are shut down: 1 receiving, 2 sending.
  package var shutdown: UInt8?
  /// The type: a stream, datagrams, or records.
  public var type = UnixSocketType.stream
  /// The state: ``SocketState/established``, ``SocketState/listen`` or ``SocketState/closed``.
  public var state = SocketState.closed
  /// The memory that it uses.
  public var memory = SocketMemory()

  /// A row of zeros.
  package init() {}

  /// Whether it was connected and the peer socket is gone.
  package var hasLostItsPeer: Bool { peer == 0 && shutdown == 3 }
}

/// The type of a Unix socket; the raw values are those of `SOCK_STREAM` and the other types.
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
