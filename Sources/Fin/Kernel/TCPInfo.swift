internal import CFin
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

  private func number<T: FixedWidthInteger>(at offset: Int, as: T.Type) -> T? {
    guard offset + MemoryLayout<T>.size <= bytes.count else { return nil }
    var value: T = 0
    for index in (0..<MemoryLayout<T>.size).reversed() { value = value << 8 | T(bytes[offset + index]) }
    return value
  }

  private func count(at offset: Int) -> Int? { number(at: offset, as: UInt32.self).map(Int.init) }
  private func long(at offset: Int) -> UInt64? { number(at: offset, as: UInt64.self) }
  private func milliseconds(at offset: Int) -> Duration? { count(at: offset).map { .milliseconds($0) } }
  private func microseconds(at offset: Int) -> Duration? { count(at: offset).map { .microseconds($0) } }

  /// `tcpi_state`; `nil` when the kernel knows a state that RFC 9293 does not.
  public var state: TCPState? { number(at: 0, as: UInt8.self).flatMap(TCPState.init(rawValue:)) }
  /// `tcpi_retransmits`: retransmissions in a row without an answer.
  public var retransmitsInARow: Int? { number(at: 2, as: UInt8.self).map(Int.init) }
  /// `tcpi_probes`: zero-window or keepalive probes in a row without an answer.
  public var probesInARow: Int? { number(at: 3, as: UInt8.self).map(Int.init) }
  /// `tcpi_rto`.
  public var retransmissionTimeout: Duration? { microseconds(at: 8) }
  /// `tcpi_snd_mss`, bytes.
  public var sendSegmentSize: Int? { count(at: 16) }
  /// `tcpi_rcv_mss`, bytes.
  public var receiveSegmentSize: Int? { count(at: 20) }
  /// `tcpi_unacked`: segments, not bytes; on a listener the length of its accept queue.
  public var segmentsUnacknowledged: Int? { count(at: 24) }
  /// `tcpi_sacked`: segments; on a listener its backlog.
  public var segmentsSacked: Int? { count(at: 28) }
  /// `tcpi_last_data_sent`: the time since data was last sent.
  public var sinceDataSent: Duration? { milliseconds(at: 44) }
  /// `tcpi_last_data_recv`: the time since data was last received.
  public var sinceDataReceived: Duration? { milliseconds(at: 52) }
  /// `tcpi_last_ack_recv`: the time since an acknowledgement was last received.
  public var sinceAcknowledgement: Duration? { milliseconds(at: 56) }
  /// `tcpi_pmtu`, bytes.
  public var pathMTU: Int? { count(at: 60) }
  /// `tcpi_rtt`, smoothed.
  public var roundTrip: Duration? { microseconds(at: 68) }
  /// `tcpi_rttvar`.
  public var roundTripVariation: Duration? { microseconds(at: 72) }
  /// `tcpi_snd_cwnd`, segments.
  public var congestionWindow: Int? { count(at: 80) }
  /// `tcpi_total_retrans`, segments.
  public var segmentsRetransmitted: Int? { count(at: 100) }
  /// `tcpi_bytes_acked`: counts 1 for the SYN of the side that connected, and 1 for the FIN.
  public var bytesAcknowledged: UInt64? { long(at: 120) }
  /// `tcpi_bytes_received`: in order; counts 1 for the peer's FIN.
  public var bytesReceived: UInt64? { long(at: 128) }
  /// `tcpi_segs_out`.
  public var segmentsSent: Int? { count(at: 136) }
  /// `tcpi_segs_in`.
  public var segmentsReceived: Int? { count(at: 140) }
  /// `tcpi_notsent_bytes`.
  public var bytesNotSent: Int? { count(at: 144) }
  /// `tcpi_min_rtt`.
  public var shortestRoundTrip: Duration? { microseconds(at: 148) }
  /// `tcpi_delivery_rate`, bytes per second.
  public var deliveryRate: UInt64? { long(at: 160) }
  /// `tcpi_busy_time`: the time with data to send.
  public var busy: Duration? { long(at: 168).map { .microseconds(Int64(clamping: $0)) } }
  /// `tcpi_rwnd_limited`: the time limited by the peer's window.
  public var heldUpByPeer: Duration? { long(at: 176).map { .microseconds(Int64(clamping: $0)) } }
  /// `tcpi_sndbuf_limited`: the time limited by our own send buffer.
  public var heldUpByBuffer: Duration? { long(at: 184).map { .microseconds(Int64(clamping: $0)) } }
  /// `tcpi_bytes_sent`, retransmissions included.
  public var bytesSent: UInt64? { long(at: 200) }
  /// `tcpi_bytes_retrans`.
  public var bytesRetransmitted: UInt64? { long(at: 208) }
  /// `tcpi_snd_wnd`: the peer's window, bytes (kernel 5.4).
  public var peerWindow: Int? { count(at: 228) }
  /// `tcpi_rcv_wnd`: our window, bytes (kernel 6.2).
  public var ownWindow: Int? { count(at: 232) }
}
