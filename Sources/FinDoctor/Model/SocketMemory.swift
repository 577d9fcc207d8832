/// The memory that a socket uses, in bytes (`INET_DIAG_SKMEMINFO`); nil where the kernel did not report it.
public struct SocketMemory: Sendable {
  private var values = InlineArray<9, UInt32>(repeating: 0)
  private(set) var count: UInt8 = 0

  /// No data.
  package init() {}

  /// Reads the kernel's numbers in their order; a tenth number and any after it are left out.
  init(_ bytes: RawSpan, _ value: Range<Int>) {
    count = UInt8(min(value.count / 4, 9))
    for index in 0..<Int(count) { values[index] = bytes.number(at: value.lowerBound + index * 4) }
  }

  private subscript(index: Int) -> UInt32? {
    get { index < count ? values[index] : nil }
    set {
      values[index] = newValue ?? 0
      count = max(count, UInt8(index + 1))
    }
  }

  /// Memory held by data that was received and not read.
  public var received: UInt32? {
    get { self[0] }
    set { self[0] = newValue }
  }
  /// The limit on memory for received data (`SO_RCVBUF`).
  public var receiveLimit: UInt32? {
    get { self[1] }
    set { self[1] = newValue }
  }
  /// Memory handed to the network device and not yet sent.
  public var sending: UInt32? {
    get { self[2] }
    set { self[2] = newValue }
  }
  /// The limit on memory for data to send (`SO_SNDBUF`).
  public var sendLimit: UInt32? {
    get { self[3] }
    set { self[3] = newValue }
  }
  /// Memory reserved for future data.
  public var reserved: UInt32? {
    get { self[4] }
    set { self[4] = newValue }
  }
  /// Memory held by data that is to be sent or not acknowledged.
  public var queued: UInt32? {
    get { self[5] }
    set { self[5] = newValue }
  }
  /// Memory held by options and filters.
  public var options: UInt32? {
    get { self[6] }
    set { self[6] = newValue }
  }
  /// Memory held by data that arrived while the program was inside the socket.
  public var backlog: UInt32? {
    get { self[7] }
    set { self[7] = newValue }
  }
  /// The number of drops: for a listener, connection attempts; for UDP, datagrams. For a connection it has no meaning,
  /// because pure acknowledgements count too.
  public var drops: UInt32? {
    get { self[8] }
    set { self[8] = newValue }
  }
}
