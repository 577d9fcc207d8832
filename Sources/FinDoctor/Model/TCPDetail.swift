/// TCP's data about a connection, `struct tcp_info`, as far as the running kernel fills it in.
///
/// It stores the kernel's bytes and decodes a field on access. A field that an older kernel does not have is nil. The
/// times since the last event are meaningless in SYN-SENT and LISTEN; the caller checks the state first.
public struct TCPDetail: Sendable {
  /// The structure up to and including `tcpi_total_rto_time`, in native byte order.
  var words = InlineArray<31, UInt64>(repeating: 0)
  /// The number of stored bytes that the kernel provided for `struct tcp_info`.
  private(set) var length: UInt16 = 0

  /// The number of stored bytes that belong to `struct mptcp_info`: MPTCP sockets use the same buffer. None of TCP's
  /// fields is known then.
  private(set) var multipathLength: UInt16 = 0

  /// The size of the buffer; fields that a newer kernel appends are left out.
  static let capacity = 248

  /// No data.
  package init() {}

  /// Stores the bytes of an attribute.
  init(_ bytes: RawSpan) {
    length = fill(bytes)
  }

  /// Stores the bytes of MPTCP's attribute (`struct mptcp_info`), for ``MPTCPInfo`` to read.
  init(multipath bytes: RawSpan) {
    multipathLength = fill(bytes)
  }

  private mutating func fill(_ bytes: RawSpan) -> UInt16 {
    let count = min(bytes.byteCount, Self.capacity)
    unsafe withUnsafeMutableBytes(of: &words) { room in
      unsafe bytes.withUnsafeBytes { unsafe room.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[..<count])) }
    }
    return UInt16(count)
  }

  /// Whether the kernel provided no `struct tcp_info`.
  public var isEmpty: Bool { length == 0 }

  private subscript<Number: FixedWidthInteger & UnsignedInteger>(offset: Int) -> Number? {
    // Fields lie at multiples of their size, so that none crosses the end of a word.
    get {
      guard offset + MemoryLayout<Number>.size <= length else { return nil }
      return Number(truncatingIfNeeded: words[offset >> 3].littleEndian >> UInt64((offset & 7) << 3))
    }
    set {
      let shift = UInt64((offset & 7) << 3)
      var word = words[offset >> 3].littleEndian
      word &= ~(UInt64(Number.max) << shift)
      word |= UInt64(newValue ?? 0) << shift
      words[offset >> 3] = word.littleEndian
      length = max(length, UInt16(offset + MemoryLayout<Number>.size))
    }
  }
}

/// The fields of the structure.
extension TCPDetail {
  /// The state of the congestion control, `tcpi_ca_state`.
  public var congestionState: UInt8? {
    get { self[1] }
    set { self[1] = newValue }
  }
  /// Consecutive retransmissions without an acknowledgement.
  public var retransmits: UInt8? {
    get { self[2] }
    set { self[2] = newValue }
  }
  /// Consecutive probes without an answer: of a closed window, or of keepalive.
  public var probes: UInt8? {
    get { self[3] }
    set { self[3] = newValue }
  }
  /// The number of times that the timer was doubled.
  public var backoff: UInt8? {
    get { self[4] }
    set { self[4] = newValue }
  }
  /// The negotiated options, as bits: 1 timestamps, 2 SACK, 4 window scale.
  public var options: UInt8? {
    get { self[5] }
    set { self[5] = newValue }
  }
  /// The retransmission timeout in microseconds.
  public var retransmitTimeout: UInt32? {
    get { self[8] }
    set { self[8] = newValue }
  }
  /// Segments that were sent and not acknowledged.
  public var unacknowledgedSegments: UInt32? {
    get { self[24] }
    set { self[24] = newValue }
  }
  /// Segments beyond a gap that the peer has received (SACK); for a listener, the backlog.
  public var selectivelyAcknowledged: UInt32? {
    get { self[28] }
    set { self[28] = newValue }
  }
  /// Segments presumed lost.
  public var lostSegments: UInt32? {
    get { self[32] }
    set { self[32] = newValue }
  }
  /// Milliseconds since data was last sent, retransmissions included.
  public var lastDataSent: UInt32? {
    get { self[44] }
    set { self[44] = newValue }
  }
  /// Milliseconds since data last arrived.
  public var lastDataReceived: UInt32? {
    get { self[52] }
    set { self[52] = newValue }
  }
  /// Milliseconds since any acknowledgement last arrived.
  public var lastAcknowledgementReceived: UInt32? {
    get { self[56] }
    set { self[56] = newValue }
  }
  /// The path MTU in bytes.
  public var pathMTU: UInt32? {
    get { self[60] }
    set { self[60] = newValue }
  }
  /// The smoothed round-trip time in microseconds.
  public var roundTripTime: UInt32? {
    get { self[68] }
    set { self[68] = newValue }
  }
  /// The variation of the round-trip time in microseconds.
  public var roundTripVariation: UInt32? {
    get { self[72] }
    set { self[72] = newValue }
  }
  /// The congestion window in segments.
  public var congestionWindow: UInt32? {
    get { self[80] }
    set { self[80] = newValue }
  }
  /// Segments retransmitted since the connection began.
  public var totalRetransmissions: UInt32? {
    get { self[100] }
    set { self[100] = newValue }
  }
  /// Bytes that the peer has acknowledged, plus 1 for the SYN on the side that connected, and 1 for our FIN.
  public var bytesAcknowledged: UInt64? {
    get { self[120] }
    set { self[120] = newValue }
  }
  /// Bytes received in order, plus 1 for the peer's FIN.
  public var bytesReceived: UInt64? {
    get { self[128] }
    set { self[128] = newValue }
  }
  /// Segments sent.
  public var segmentsSent: UInt32? {
    get { self[136] }
    set { self[136] = newValue }
  }
  /// Segments received; 0 for a socket that never had a connection.
  public var segmentsReceived: UInt32? {
    get { self[140] }
    set { self[140] = newValue }
  }
  /// Bytes in the send queue that were never sent.
  public var bytesNotSent: UInt32? {
    get { self[144] }
    set { self[144] = newValue }
  }
  /// Segments with data received.
  public var dataSegmentsReceived: UInt32? {
    get { self[152] }
    set { self[152] = newValue }
  }
  /// Segments with data sent.
  public var dataSegmentsSent: UInt32? {
    get { self[156] }
    set { self[156] = newValue }
  }
  /// Microseconds in which data waited to be sent or acknowledged.
  public var busyTime: UInt64? {
    get { self[168] }
    set { self[168] = newValue }
  }
  /// Microseconds in which the peer's window limited sending; a total over the connection's life.
  public var windowLimitedTime: UInt64? {
    get { self[176] }
    set { self[176] = newValue }
  }
  /// Microseconds in which our send buffer limited sending.
  public var bufferLimitedTime: UInt64? {
    get { self[184] }
    set { self[184] = newValue }
  }
  /// Bytes of data sent, retransmissions included.
  public var bytesSent: UInt64? {
    get { self[200] }
    set { self[200] = newValue }
  }
  /// Bytes of data retransmitted.
  public var bytesRetransmitted: UInt64? {
    get { self[208] }
    set { self[208] = newValue }
  }
  /// The window that the peer offers, in bytes.
  public var sendWindow: UInt32? {
    get { self[228] }
    set { self[228] = newValue }
  }
  /// The window that we offer, in bytes.
  public var receiveWindow: UInt32? {
    get { self[232] }
    set { self[232] = newValue }
  }
  /// The number of retransmission timeouts.
  public var totalTimeouts: UInt16? {
    get { self[240] }
    set { self[240] = newValue }
  }
  /// The number of times that sending recovered after timeouts.
  public var totalTimeoutRecoveries: UInt16? {
    get { self[242] }
    set { self[242] = newValue }
  }
  /// Milliseconds spent in retransmission timeouts; a total over the connection's life.
  public var totalTimeoutTime: UInt32? {
    get { self[244] }
    set { self[244] = newValue }
  }
}
