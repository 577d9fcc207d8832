/// What TCP knows of a connection, `struct tcp_info`, as far as the running kernel fills it in.
///
/// It holds the kernel's bytes and reads a field when it is asked. A field that an older kernel does not have is nil.
/// The times since something last happened are rubbish in SYN-SENT and LISTEN; whoever reads them asks for the state first.
public struct TCPDetail: Sendable {
  /// Everything up to and with `tcpi_total_rto_time`, in the machine's order of bytes.
  var words = InlineArray<31, UInt64>(repeating: 0)
  /// How many bytes the kernel gave, of those that are kept.
  private(set) var length: UInt16 = 0

  /// The room is also what MPTCP's own detail is kept in, of its sockets; so many bytes. None of TCP's fields is known then.
  private(set) var multipathLength: UInt16 = 0

  /// The most bytes that are kept; what a newer kernel adds behind is left out.
  static let capacity = 248

  /// Nothing known.
  public init() {}

  /// Takes the bytes of an attribute.
  init(_ bytes: RawSpan) {
    length = fill(bytes)
  }

  /// Takes the bytes of an attribute of MPTCP's (`struct mptcp_info`), for ``MultipathDetail`` to read.
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

  /// Whether the kernel told nothing.
  public var isEmpty: Bool { length == 0 }

  private subscript<Number: FixedWidthInteger & UnsignedInteger>(offset: Int) -> Number? {
    // Fields lie at multiples of their size, so none reaches over a word's end.
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

/// The fields.
extension TCPDetail {
  /// The state of the congestion control, `tcpi_ca_state`.
  public var congestionState: UInt8? {
    get { self[1] }
    set { self[1] = newValue }
  }
  /// Retransmissions in a row without an acknowledgement.
  public var retransmits: UInt8? {
    get { self[2] }
    set { self[2] = newValue }
  }
  /// Probes in a row without an answer: of a closed window, or of keepalive.
  public var probes: UInt8? {
    get { self[3] }
    set { self[3] = newValue }
  }
  /// How often the timer was doubled.
  public var backoff: UInt8? {
    get { self[4] }
    set { self[4] = newValue }
  }
  /// Options that were agreed on, as bits: 1 timestamps, 2 SACK, 4 window scale.
  public var options: UInt8? {
    get { self[5] }
    set { self[5] = newValue }
  }
  /// The retransmission time-out in microseconds.
  public var retransmitTimeout: UInt32? {
    get { self[8] }
    set { self[8] = newValue }
  }
  /// Segments that are sent and not acknowledged.
  public var unacknowledgedSegments: UInt32? {
    get { self[24] }
    set { self[24] = newValue }
  }
  /// Segments beyond a gap that the peer has; of a listener, how many may wait.
  public var selectivelyAcknowledged: UInt32? {
    get { self[28] }
    set { self[28] = newValue }
  }
  /// Segments taken for lost.
  public var lostSegments: UInt32? {
    get { self[32] }
    set { self[32] = newValue }
  }
  /// Milliseconds since data was sent last; retransmissions count.
  public var lastDataSent: UInt32? {
    get { self[44] }
    set { self[44] = newValue }
  }
  /// Milliseconds since data came last.
  public var lastDataReceived: UInt32? {
    get { self[52] }
    set { self[52] = newValue }
  }
  /// Milliseconds since any acknowledgement came last.
  public var lastAcknowledgementReceived: UInt32? {
    get { self[56] }
    set { self[56] = newValue }
  }
  /// The greatest packet of the path, in bytes.
  public var pathMTU: UInt32? {
    get { self[60] }
    set { self[60] = newValue }
  }
  /// The smoothed time of a round trip in microseconds.
  public var roundTripTime: UInt32? {
    get { self[68] }
    set { self[68] = newValue }
  }
  /// How much the round trip varies, in microseconds.
  public var roundTripVariation: UInt32? {
    get { self[72] }
    set { self[72] = newValue }
  }
  /// The congestion window in segments.
  public var congestionWindow: UInt32? {
    get { self[80] }
    set { self[80] = newValue }
  }
  /// Segments sent again since the connection began.
  public var totalRetransmissions: UInt32? {
    get { self[100] }
    set { self[100] = newValue }
  }
  /// Bytes the peer has acknowledged, and 1 for the SYN of who connected, and 1 for our FIN.
  public var bytesAcknowledged: UInt64? {
    get { self[120] }
    set { self[120] = newValue }
  }
  /// Bytes received in order, and 1 for the peer's FIN.
  public var bytesReceived: UInt64? {
    get { self[128] }
    set { self[128] = newValue }
  }
  /// Segments sent.
  public var segmentsSent: UInt32? {
    get { self[136] }
    set { self[136] = newValue }
  }
  /// Segments received; 0 of a socket that never had a connection.
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
  /// Microseconds in which there was something to send or to acknowledge.
  public var busyTime: UInt64? {
    get { self[168] }
    set { self[168] = newValue }
  }
  /// Microseconds in which the peer's window held up sending; added up over the connection's life.
  public var windowLimitedTime: UInt64? {
    get { self[176] }
    set { self[176] = newValue }
  }
  /// Microseconds in which our send buffer held up sending.
  public var bufferLimitedTime: UInt64? {
    get { self[184] }
    set { self[184] = newValue }
  }
  /// Bytes of data sent, the repeated ones too.
  public var bytesSent: UInt64? {
    get { self[200] }
    set { self[200] = newValue }
  }
  /// Bytes of data sent again.
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
  /// How many retransmission time-outs there were.
  public var totalTimeouts: UInt16? {
    get { self[240] }
    set { self[240] = newValue }
  }
  /// How many times sending recovered after time-outs.
  public var totalTimeoutRecoveries: UInt16? {
    get { self[242] }
    set { self[242] = newValue }
  }
  /// Milliseconds spent in retransmission time-outs; added up over the connection's life.
  public var totalTimeoutTime: UInt32? {
    get { self[244] }
    set { self[244] = newValue }
  }
}
