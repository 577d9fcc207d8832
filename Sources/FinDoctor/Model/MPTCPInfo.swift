/// MPTCP's data about a connection, `struct mptcp_info`, as far as the running kernel fills it in.
///
/// It has little in common with `struct tcp_info`: round-trip times, losses and windows are known only to the subflows.
/// A field that an older kernel does not have is nil.
public struct MPTCPInfo: Sendable {
  private var words = InlineArray<12, UInt64>(repeating: 0)
  private var length = 0

  /// No data.
  package init() {}

  /// Reads the kernel's bytes from the buffer that stores them.
  init(_ room: borrowing TCPDetail) {
    for place in words.indices { words[place] = room.words[place] }
    length = min(Int(room.multipathLength), 96)
  }

  /// Whether the kernel provided no data.
  public var isEmpty: Bool { length == 0 }

  private subscript<Number: FixedWidthInteger & UnsignedInteger>(offset: Int) -> Number? {
    guard offset + MemoryLayout<Number>.size <= length else { return nil }
    return Number(truncatingIfNeeded: words[offset >> 3].littleEndian >> UInt64((offset & 7) << 3))
  }
}

/// The fields of the structure.
extension MPTCPInfo {
  /// Whether the connection has fallen back to plain TCP, because the peer, or a device on the path, does not
  /// support MPTCP.
  ///
  /// Then the kernel keeps no time of acknowledgements here, and the single subflow has all the data.
  public var isPlainTCP: Bool? { self[8].map { (flags: UInt32) in flags & 1 != 0 } }
  /// The token by which subflows join this connection; 0 for a listener.
  public var token: UInt32? { self[12] }
  /// Bytes sent again over another subflow.
  public var bytesRetransmitted: UInt64? { self[48] }
  /// Bytes of data sent.
  public var bytesSent: UInt64? { self[56] }
  /// Bytes of data received in order.
  public var bytesReceived: UInt64? { self[64] }
  /// Bytes that the peer has acknowledged, plus 1 for our DATA_FIN.
  public var bytesAcknowledged: UInt64? { self[72] }
  /// The number of subflows; 0 also for a connection that fell back to plain TCP and has finished.
  public var pathCount: UInt8? { self[80] }
  /// Milliseconds since data was last sent, or since the socket was created.
  public var lastDataSent: UInt32? { self[84] }
  /// Milliseconds since data last arrived, or since the socket was created.
  public var lastDataReceived: UInt32? { self[88] }
  /// Milliseconds since an acknowledgement of MPTCP itself last arrived, or since the socket was created.
  public var lastAcknowledgementReceived: UInt32? { self[92] }
}
