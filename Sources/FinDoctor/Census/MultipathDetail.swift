/// What MPTCP knows of a connection, `struct mptcp_info`, as far as the running kernel fills it in.
///
/// It has little in common with `struct tcp_info`: what a round trip takes, what is lost and which windows are open only the
/// paths know. A field that an older kernel does not have is nil.
public struct MultipathDetail: Sendable {
  private var words = InlineArray<12, UInt64>(repeating: 0)
  private var length = 0

  /// Nothing known.
  public init() {}

  /// Out of the room in which the kernel's bytes are kept.
  init(_ room: borrowing TCPDetail) {
    for place in words.indices { words[place] = room.words[place] }
    length = min(Int(room.multipathLength), 96)
  }

  /// Whether the kernel told nothing.
  public var isEmpty: Bool { length == 0 }

  private subscript<Number: FixedWidthInteger & UnsignedInteger>(offset: Int) -> Number? {
    guard offset + MemoryLayout<Number>.size <= length else { return nil }
    return Number(truncatingIfNeeded: words[offset >> 3].littleEndian >> UInt64((offset & 7) << 3))
  }
}

/// The fields.
extension MultipathDetail {
  /// Whether it is plain TCP after all, because the other side, or something on the way, does not know MPTCP.
  ///
  /// Then the kernel keeps no time of acknowledgements here, and the one path knows everything.
  public var isPlainTCP: Bool? { self[8].map { (flags: UInt32) in flags & 1 != 0 } }
  /// The number by which the paths of this connection find each other; 0 of a listener.
  public var token: UInt32? { self[12] }
  /// Bytes sent again over another path.
  public var bytesRetransmitted: UInt64? { self[48] }
  /// Bytes of data sent.
  public var bytesSent: UInt64? { self[56] }
  /// Bytes of data received in order.
  public var bytesReceived: UInt64? { self[64] }
  /// Bytes the peer has acknowledged, and 1 for our end.
  public var bytesAcknowledged: UInt64? { self[72] }
  /// How many paths there are; 0 also of what is plain TCP and has finished.
  public var pathCount: UInt8? { self[80] }
  /// Milliseconds since data was sent last, or since the socket was made.
  public var lastDataSent: UInt32? { self[84] }
  /// Milliseconds since data came last, or since the socket was made.
  public var lastDataReceived: UInt32? { self[88] }
  /// Milliseconds since an acknowledgement of MPTCP's own came last, or since the socket was made.
  public var lastAcknowledgementReceived: UInt32? { self[92] }
}
