/// A field of the kernel's `struct tcp_info` (tcp(7), `linux/tcp.h`): its offset and its type.
///
/// The struct has grown with every kernel. A reader takes a field only if the kernel's answer reaches to its end: an
/// older kernel does not know it. All fields lie at multiples of their size, and are in the machine's byte order.
@usableFromInline
package struct TCPInfoField<Number: FixedWidthInteger & UnsignedInteger> {
  @usableFromInline package let offset: Int

  @inlinable package init(at offset: Int) { self.offset = offset }
}

extension TCPInfoField where Number == UInt8 {
  /// `tcpi_state`: see ``TCPStates``.
  @inlinable package static var state: Self { Self(at: 0) }
  /// `tcpi_ca_state`: the state of the congestion control.
  @inlinable package static var congestionState: Self { Self(at: 1) }
  /// `tcpi_retransmits`: consecutive retransmissions without an acknowledgement.
  @inlinable package static var retransmits: Self { Self(at: 2) }
  /// `tcpi_probes`: consecutive probes without an answer, of a closed window or of keepalive.
  @inlinable package static var probes: Self { Self(at: 3) }
  /// `tcpi_backoff`: the number of times that the timer was doubled.
  @inlinable package static var backoff: Self { Self(at: 4) }
  /// `tcpi_options`: the negotiated options, as bits.
  @inlinable package static var options: Self { Self(at: 5) }
}

extension TCPInfoField where Number == UInt16 {
  /// `tcpi_total_rto`: the number of retransmission timeouts.
  @inlinable package static var totalTimeouts: Self { Self(at: 240) }
  /// `tcpi_total_rto_recoveries`.
  @inlinable package static var totalTimeoutRecoveries: Self { Self(at: 242) }
}

extension TCPInfoField where Number == UInt32 {
  /// `tcpi_rto`, microseconds.
  @inlinable package static var retransmitTimeout: Self { Self(at: 8) }
  /// `tcpi_snd_mss`, bytes.
  @inlinable package static var sendSegmentSize: Self { Self(at: 16) }
  /// `tcpi_rcv_mss`, bytes.
  @inlinable package static var receiveSegmentSize: Self { Self(at: 20) }
  /// `tcpi_unacked`: segments; for a listener the length of its accept queue.
  @inlinable package static var unacknowledged: Self { Self(at: 24) }
  /// `tcpi_sacked`: segments; for a listener its backlog.
  @inlinable package static var selectivelyAcknowledged: Self { Self(at: 28) }
  /// `tcpi_lost`: segments.
  @inlinable package static var lost: Self { Self(at: 32) }
  /// `tcpi_last_data_sent`: milliseconds ago.
  @inlinable package static var lastDataSent: Self { Self(at: 44) }
  /// `tcpi_last_data_recv`: milliseconds ago.
  @inlinable package static var lastDataReceived: Self { Self(at: 52) }
  /// `tcpi_last_ack_recv`: milliseconds ago.
  @inlinable package static var lastAcknowledgementReceived: Self { Self(at: 56) }
  /// `tcpi_pmtu`, bytes.
  @inlinable package static var pathMTU: Self { Self(at: 60) }
  /// `tcpi_rtt`, smoothed, microseconds.
  @inlinable package static var roundTripTime: Self { Self(at: 68) }
  /// `tcpi_rttvar`, microseconds.
  @inlinable package static var roundTripVariation: Self { Self(at: 72) }
  /// `tcpi_snd_cwnd`, segments.
  @inlinable package static var congestionWindow: Self { Self(at: 80) }
  /// `tcpi_total_retrans`, segments.
  @inlinable package static var totalRetransmissions: Self { Self(at: 100) }
  /// `tcpi_segs_out`.
  @inlinable package static var segmentsSent: Self { Self(at: 136) }
  /// `tcpi_segs_in`.
  @inlinable package static var segmentsReceived: Self { Self(at: 140) }
  /// `tcpi_notsent_bytes`.
  @inlinable package static var bytesNotSent: Self { Self(at: 144) }
  /// `tcpi_min_rtt`, microseconds.
  @inlinable package static var shortestRoundTrip: Self { Self(at: 148) }
  /// `tcpi_data_segs_in`.
  @inlinable package static var dataSegmentsReceived: Self { Self(at: 152) }
  /// `tcpi_data_segs_out`.
  @inlinable package static var dataSegmentsSent: Self { Self(at: 156) }
  /// `tcpi_snd_wnd`: the peer's window, bytes (kernel 5.4).
  @inlinable package static var sendWindow: Self { Self(at: 228) }
  /// `tcpi_rcv_wnd`: our window, bytes (kernel 6.2).
  @inlinable package static var receiveWindow: Self { Self(at: 232) }
  /// `tcpi_total_rto_time`, milliseconds.
  @inlinable package static var totalTimeoutTime: Self { Self(at: 244) }
}

extension TCPInfoField where Number == UInt64 {
  /// `tcpi_bytes_acked`: counts 1 for the SYN of the side that connected, and 1 for our FIN.
  @inlinable package static var bytesAcknowledged: Self { Self(at: 120) }
  /// `tcpi_bytes_received`: in order; counts 1 for the peer's FIN.
  @inlinable package static var bytesReceived: Self { Self(at: 128) }
  /// `tcpi_delivery_rate`, bytes per second.
  @inlinable package static var deliveryRate: Self { Self(at: 160) }
  /// `tcpi_busy_time`: with data to send, microseconds.
  @inlinable package static var busyTime: Self { Self(at: 168) }
  /// `tcpi_rwnd_limited`: limited by the peer's window, microseconds.
  @inlinable package static var windowLimitedTime: Self { Self(at: 176) }
  /// `tcpi_sndbuf_limited`: limited by the send buffer, microseconds.
  @inlinable package static var bufferLimitedTime: Self { Self(at: 184) }
  /// `tcpi_bytes_sent`, retransmissions included.
  @inlinable package static var bytesSent: Self { Self(at: 200) }
  /// `tcpi_bytes_retrans`.
  @inlinable package static var bytesRetransmitted: Self { Self(at: 208) }
}
