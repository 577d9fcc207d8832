/// What a socket uses of the machine's memory, in bytes (`INET_DIAG_SKMEMINFO`); nil where the kernel did not say.
public struct SocketMemory: Sendable {
  private var values = InlineArray<9, UInt32>(repeating: 0)
  private(set) var count: UInt8 = 0

  /// Nothing known.
  public init() {}

  /// From what the kernel gave, in its order; a tenth number and more are left out.
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

  /// Held by what was received and not read.
  public var received: UInt32? {
    get { self[0] }
    set { self[0] = newValue }
  }
  /// The most that what was received may hold (`SO_RCVBUF`).
  public var receiveLimit: UInt32? {
    get { self[1] }
    set { self[1] = newValue }
  }
  /// Handed to the network device and not yet sent.
  public var sending: UInt32? {
    get { self[2] }
    set { self[2] = newValue }
  }
  /// The most that what is sent may hold (`SO_SNDBUF`).
  public var sendLimit: UInt32? {
    get { self[3] }
    set { self[3] = newValue }
  }
  /// Reserved for what will come.
  public var reserved: UInt32? {
    get { self[4] }
    set { self[4] = newValue }
  }
  /// Held by what is to be sent and not acknowledged.
  public var queued: UInt32? {
    get { self[5] }
    set { self[5] = newValue }
  }
  /// Held by options and filters.
  public var options: UInt32? {
    get { self[6] }
    set { self[6] = newValue }
  }
  /// Received while the program was inside the socket.
  public var backlog: UInt32? {
    get { self[7] }
    set { self[7] = newValue }
  }
  /// How much was thrown away. Of a listener: connection attempts; of UDP: datagrams. Of a connection it means nothing,
  /// because plain acknowledgements count too.
  public var drops: UInt32? {
    get { self[8] }
    set { self[8] = newValue }
  }
}
