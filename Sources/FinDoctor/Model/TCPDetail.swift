internal import FinBase

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

  /// A field of `struct mptcp_info`; nil if the kernel did not provide it.
  func multipathField<Number: FixedWidthInteger & UnsignedInteger>(_ offset: Int) -> Number? {
    guard offset + MemoryLayout<Number>.size <= multipathLength else { return nil }
    return Number(truncatingIfNeeded: words[offset >> 3].littleEndian >> UInt64((offset & 7) << 3))
  }

  /// Sets a field of `struct mptcp_info`.
  mutating func setMultipathField<Number: FixedWidthInteger & UnsignedInteger>(_ offset: Int, _ value: Number) {
    let shift = UInt64((offset & 7) << 3)
    let word = words[offset >> 3].littleEndian & ~(UInt64(Number.max) << shift) | UInt64(value) << shift
    words[offset >> 3] = word.littleEndian
    multipathLength = max(multipathLength, UInt16(offset + MemoryLayout<Number>.size))
  }

  /// Whether the kernel has set no time of receipt, so that its field holds the time since the machine started.
  var hasNoTimeOfReceipt = false

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

  /// Makes the time of receipt unknown where the kernel has not set it.
  ///
  /// After a simultaneous open, such as of a socket connected to itself, the field is 0 until data arrives, and the
  /// kernel reports its clock instead of a difference. That clock started 300 s below 0, and has 32 bits
  /// of milliseconds.
  /// - Parameter uptime: The time since the machine started, without suspension, in milliseconds, at the dump.
  mutating func forgetReceiptThatNeverWas(uptime: UInt64) {
    // A FIN counts as a byte and sets no time.
    guard let time: UInt32 = self[.lastDataReceived], let received = bytesReceived, received <= 1 else { return }
    let clock = UInt32(truncatingIfNeeded: uptime &- 300_000)
    let apart = min(time &- clock, clock &- time)
    hasNoTimeOfReceipt = apart <= Self.clockSlack
  }

  /// The time, in milliseconds, that may pass between the kernel's reading of its clock and ours.
  private static let clockSlack: UInt32 = 1000

  /// Whether the kernel provided no `struct tcp_info`.
  public var isEmpty: Bool { length == 0 }

  private subscript<Number>(field: TCPInfoField<Number>) -> Number? {
    // Fields lie at multiples of their size, so that none crosses the end of a word.
    get {
      guard field.offset + MemoryLayout<Number>.size <= length else { return nil }
      return Number(truncatingIfNeeded: words[field.offset >> 3].littleEndian >> UInt64((field.offset & 7) << 3))
    }
    set {
      let shift = UInt64((field.offset & 7) << 3)
      var word = words[field.offset >> 3].littleEndian
      word &= ~(UInt64(Number.max) << shift)
      word |= UInt64(newValue ?? 0) << shift
      words[field.offset >> 3] = word.littleEndian
      length = max(length, UInt16(field.offset + MemoryLayout<Number>.size))
    }
  }
}

/// The fields of the structure.
extension TCPDetail {
  /// The state of the congestion control, `tcpi_ca_state`.
  public var congestionState: UInt8? {
    get { self[.congestionState] }
    set { self[.congestionState] = newValue }
  }
  /// Consecutive retransmissions without an acknowledgement.
  public var retransmits: UInt8? {
    get { self[.retransmits] }
    set { self[.retransmits] = newValue }
  }
  /// Consecutive probes without an answer: of a closed window, or of keepalive.
  public var probes: UInt8? {
    get { self[.probes] }
    set { self[.probes] = newValue }
  }
  /// The number of times that the timer was doubled.
  public var backoff: UInt8? {
    get { self[.backoff] }
    set { self[.backoff] = newValue }
  }
  /// The negotiated options, as bits: 1 timestamps, 2 SACK, 4 window scale.
  public var options: UInt8? {
    get { self[.options] }
    set { self[.options] = newValue }
  }
  /// The retransmission timeout in microseconds.
  public var retransmitTimeout: UInt32? {
    get { self[.retransmitTimeout] }
    set { self[.retransmitTimeout] = newValue }
  }
  /// Segments that were sent and not acknowledged.
  public var unacknowledgedSegments: UInt32? {
    get { self[.unacknowledged] }
    set { self[.unacknowledged] = newValue }
  }
  /// Segments beyond a gap that the peer has received (SACK); for a listener, the backlog.
  public var selectivelyAcknowledged: UInt32? {
    get { self[.selectivelyAcknowledged] }
    set { self[.selectivelyAcknowledged] = newValue }
  }
  /// Segments presumed lost.
  public var lostSegments: UInt32? {
    get { self[.lost] }
    set { self[.lost] = newValue }
  }
  /// Milliseconds since data was last sent, retransmissions included.
  public var lastDataSent: UInt32? {
    get { self[.lastDataSent] }
    set { self[.lastDataSent] = newValue }
  }
  /// Milliseconds since data last arrived; the handshake sets it as well, unless both ends opened at once (RFC 9293,
  /// section 3.5).
  public var lastDataReceived: UInt32? {
    get { hasNoTimeOfReceipt ? nil : self[.lastDataReceived] }
    set { self[.lastDataReceived] = newValue }
  }
  /// Milliseconds since any acknowledgement last arrived.
  public var lastAcknowledgementReceived: UInt32? {
    get { self[.lastAcknowledgementReceived] }
    set { self[.lastAcknowledgementReceived] = newValue }
  }
  /// The path MTU in bytes.
  public var pathMTU: UInt32? {
    get { self[.pathMTU] }
    set { self[.pathMTU] = newValue }
  }
  /// The smoothed round-trip time in microseconds.
  public var roundTripTime: UInt32? {
    get { self[.roundTripTime] }
    set { self[.roundTripTime] = newValue }
  }
  /// The variation of the round-trip time in microseconds.
  public var roundTripVariation: UInt32? {
    get { self[.roundTripVariation] }
    set { self[.roundTripVariation] = newValue }
  }
  /// The congestion window in segments.
  public var congestionWindow: UInt32? {
    get { self[.congestionWindow] }
    set { self[.congestionWindow] = newValue }
  }
  /// Segments retransmitted since the connection began.
  public var totalRetransmissions: UInt32? {
    get { self[.totalRetransmissions] }
    set { self[.totalRetransmissions] = newValue }
  }
  /// Bytes that the peer has acknowledged, plus 1 for the SYN on the side that connected, and 1 for our FIN.
  public var bytesAcknowledged: UInt64? {
    get { self[.bytesAcknowledged] }
    set { self[.bytesAcknowledged] = newValue }
  }
  /// Bytes received in order, plus 1 for the peer's FIN.
  public var bytesReceived: UInt64? {
    get { self[.bytesReceived] }
    set { self[.bytesReceived] = newValue }
  }
  /// Segments sent.
  public var segmentsSent: UInt32? {
    get { self[.segmentsSent] }
    set { self[.segmentsSent] = newValue }
  }
  /// Segments received; 0 for a socket that never had a connection.
  public var segmentsReceived: UInt32? {
    get { self[.segmentsReceived] }
    set { self[.segmentsReceived] = newValue }
  }
  /// Bytes in the send queue that were never sent.
  public var bytesNotSent: UInt32? {
    get { self[.bytesNotSent] }
    set { self[.bytesNotSent] = newValue }
  }
  /// Segments with data received.
  public var dataSegmentsReceived: UInt32? {
    get { self[.dataSegmentsReceived] }
    set { self[.dataSegmentsReceived] = newValue }
  }
  /// Segments with data sent.
  public var dataSegmentsSent: UInt32? {
    get { self[.dataSegmentsSent] }
    set { self[.dataSegmentsSent] = newValue }
  }
  /// Microseconds in which data waited to be sent or acknowledged.
  public var busyTime: UInt64? {
    get { self[.busyTime] }
    set { self[.busyTime] = newValue }
  }
  /// Microseconds in which the peer's window limited sending; a total over the connection's life.
  public var windowLimitedTime: UInt64? {
    get { self[.windowLimitedTime] }
    set { self[.windowLimitedTime] = newValue }
  }
  /// Microseconds in which our send buffer limited sending.
  public var bufferLimitedTime: UInt64? {
    get { self[.bufferLimitedTime] }
    set { self[.bufferLimitedTime] = newValue }
  }
  /// Bytes of data sent, retransmissions included.
  public var bytesSent: UInt64? {
    get { self[.bytesSent] }
    set { self[.bytesSent] = newValue }
  }
  /// Bytes of data retransmitted.
  public var bytesRetransmitted: UInt64? {
    get { self[.bytesRetransmitted] }
    set { self[.bytesRetransmitted] = newValue }
  }
  /// The window that the peer offers, in bytes.
  public var sendWindow: UInt32? {
    get { self[.sendWindow] }
    set { self[.sendWindow] = newValue }
  }
  /// The window that we offer, in bytes.
  public var receiveWindow: UInt32? {
    get { self[.receiveWindow] }
    set { self[.receiveWindow] = newValue }
  }
  /// The number of retransmission timeouts.
  public var totalTimeouts: UInt16? {
    get { self[.totalTimeouts] }
    set { self[.totalTimeouts] = newValue }
  }
  /// The number of times that sending recovered after timeouts.
  public var totalTimeoutRecoveries: UInt16? {
    get { self[.totalTimeoutRecoveries] }
    set { self[.totalTimeoutRecoveries] = newValue }
  }
  /// Milliseconds spent in retransmission timeouts; a total over the connection's life.
  public var totalTimeoutTime: UInt32? {
    get { self[.totalTimeoutTime] }
    set { self[.totalTimeoutTime] = newValue }
  }
}
