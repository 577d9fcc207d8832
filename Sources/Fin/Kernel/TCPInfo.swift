internal import CFin
internal import FinBase
internal import Glibc
internal import SystemPackage

/// The kernel's report on a TCP connection: `TCP_INFO` (tcp(7)).
///
/// The struct has grown with every kernel. It is read by the length that the kernel returns: a field that an older
/// kernel does not know is `nil`, never zero and never garbage.
public struct TCPInfo: Hashable, Sendable {
  private let bytes: [UInt8]

  /// - Parameter bytes: the bytes that `getsockopt` wrote, no longer than the length it returned.
  init(bytes: [UInt8]) { self.bytes = bytes }

  static func read(_ descriptor: CInt) throws(Errno) -> TCPInfo {
    var length = 0
    var failure: Errno?
    let bytes = [UInt8](capacity: 512) { output in
      unsafe output.withUnsafeMutableBufferPointer { buffer, count in
        unsafe buffer.initialize(repeating: 0)
        do throws(Errno) {
          length = try unsafe Syscalls.option(
            descriptor, CInt(IPPROTO_TCP), CInt(FIN_TCP_INFO), into: UnsafeMutableRawBufferPointer(buffer))
        } catch { failure = error }
        count = min(length, buffer.count)
      }
    }
    if let failure { throw failure }
    return TCPInfo(bytes: bytes)
  }

  /// Reads the state alone, without the rest of the struct.
  static func state(_ descriptor: CInt) throws(Errno) -> TCPState? {
    let first = try Syscalls.integerOption(descriptor, CInt(IPPROTO_TCP), CInt(FIN_TCP_INFO))
    return unsafe withUnsafeBytes(of: first) { unsafe TCPState(rawValue: $0[0]) }
  }

  private func number<Number>(_ field: TCPInfoField<Number>) -> Number? {
    let size = MemoryLayout<Number>.size
    guard field.offset + size <= bytes.count else { return nil }
    return unsafe bytes.withUnsafeBytes { unsafe $0.loadUnaligned(fromByteOffset: field.offset, as: Number.self) }
  }

  private func count(_ field: TCPInfoField<UInt32>) -> Int? { number(field).map(Int.init) }
  private func milliseconds(_ field: TCPInfoField<UInt32>) -> Duration? { count(field).map { .milliseconds($0) } }
  private func microseconds(_ field: TCPInfoField<UInt32>) -> Duration? { count(field).map { .microseconds($0) } }
  private func total(_ field: TCPInfoField<UInt64>) -> Duration? {
    number(field).map { .microseconds(Int64(clamping: $0)) }
  }

  /// `tcpi_state`; `nil` when the kernel knows a state that RFC 9293 does not.
  public var state: TCPState? { number(.state).flatMap(TCPState.init(rawValue:)) }
  /// `tcpi_retransmits`: retransmissions in a row without an answer.
  public var retransmitsInARow: Int? { number(.retransmits).map(Int.init) }
  /// `tcpi_probes`: zero-window or keepalive probes in a row without an answer.
  public var probesInARow: Int? { number(.probes).map(Int.init) }
  /// `tcpi_rto`.
  public var retransmissionTimeout: Duration? { microseconds(.retransmitTimeout) }
  /// `tcpi_snd_mss`, bytes.
  public var sendSegmentSize: Int? { count(.sendSegmentSize) }
  /// `tcpi_rcv_mss`, bytes.
  public var receiveSegmentSize: Int? { count(.receiveSegmentSize) }
  /// `tcpi_unacked`: segments, not bytes; on a listener the length of its accept queue.
  public var segmentsUnacknowledged: Int? { count(.unacknowledged) }
  /// `tcpi_sacked`: segments; on a listener its backlog.
  public var segmentsSacked: Int? { count(.selectivelyAcknowledged) }
  /// `tcpi_last_data_sent`: the time since data was last sent.
  public var sinceDataSent: Duration? { milliseconds(.lastDataSent) }
  /// `tcpi_last_data_recv`: the time since data was last received.
  public var sinceDataReceived: Duration? { milliseconds(.lastDataReceived) }
  /// `tcpi_last_ack_recv`: the time since an acknowledgement was last received.
  public var sinceAcknowledgement: Duration? { milliseconds(.lastAcknowledgementReceived) }
  /// `tcpi_pmtu`, bytes.
  public var pathMTU: Int? { count(.pathMTU) }
  /// `tcpi_rtt`, smoothed.
  public var roundTrip: Duration? { microseconds(.roundTripTime) }
  /// `tcpi_rttvar`.
  public var roundTripVariation: Duration? { microseconds(.roundTripVariation) }
  /// `tcpi_snd_cwnd`, segments.
  public var congestionWindow: Int? { count(.congestionWindow) }
  /// `tcpi_total_retrans`, segments.
  public var segmentsRetransmitted: Int? { count(.totalRetransmissions) }
  /// `tcpi_bytes_acked`: counts 1 for the SYN of the side that connected, and 1 for the FIN.
  public var bytesAcknowledged: UInt64? { number(.bytesAcknowledged) }
  /// `tcpi_bytes_received`: in order; counts 1 for the peer's FIN.
  public var bytesReceived: UInt64? { number(.bytesReceived) }
  /// `tcpi_segs_out`.
  public var segmentsSent: Int? { count(.segmentsSent) }
  /// `tcpi_segs_in`.
  public var segmentsReceived: Int? { count(.segmentsReceived) }
  /// `tcpi_notsent_bytes`.
  public var bytesNotSent: Int? { count(.bytesNotSent) }
  /// `tcpi_min_rtt`.
  public var shortestRoundTrip: Duration? { microseconds(.shortestRoundTrip) }
  /// `tcpi_delivery_rate`, bytes per second.
  public var deliveryRate: UInt64? { number(.deliveryRate) }
  /// `tcpi_busy_time`: the time with data to send.
  public var busy: Duration? { total(.busyTime) }
  /// `tcpi_rwnd_limited`: the time limited by the peer's window.
  public var heldUpByPeer: Duration? { total(.windowLimitedTime) }
  /// `tcpi_sndbuf_limited`: the time limited by our own send buffer.
  public var heldUpByBuffer: Duration? { total(.bufferLimitedTime) }
  /// `tcpi_bytes_sent`, retransmissions included.
  public var bytesSent: UInt64? { number(.bytesSent) }
  /// `tcpi_bytes_retrans`.
  public var bytesRetransmitted: UInt64? { number(.bytesRetransmitted) }
  /// `tcpi_snd_wnd`: the peer's window, bytes (kernel 5.4).
  public var peerWindow: Int? { count(.sendWindow) }
  /// `tcpi_rcv_wnd`: our window, bytes (kernel 6.2).
  public var ownWindow: Int? { count(.receiveWindow) }
}
