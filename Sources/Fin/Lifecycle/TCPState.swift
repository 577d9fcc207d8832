/// The eleven states of a TCP connection, as the kernel reports them.
///
/// RFC 9293, section 3.3.2; the raw values are Linux's (`tcpi_state` of `TCP_INFO`, `net/tcp_states.h`). A descriptor
/// of ours never reads ``timeWait``: by then the kernel has replaced the socket by a small record of its own, and the
/// descriptor reads ``closed``.
public enum TCPState: UInt8, CaseIterable, Hashable, Sendable {
  /// Both directions are open, as far as the kernel knows.
  case established = 1
  /// Our SYN is sent and not answered.
  case synSent = 2
  /// The peer's SYN was answered; its acknowledgement is awaited.
  case synReceived = 3
  /// Our FIN is queued or sent, and not acknowledged.
  case finWait1 = 4
  /// Our FIN is acknowledged; the peer has not finished.
  case finWait2 = 5
  /// Both sides have finished, this side first; the port stays in TIME-WAIT for 60 s.
  case timeWait = 6
  /// No connection.
  case closed = 7
  /// The peer has finished; we have not.
  case closeWait = 8
  /// The peer finished first, then we did; our FIN is not acknowledged.
  case lastAck = 9
  /// Accepts clients.
  case listen = 10
  /// Both sides have sent FIN, and neither FIN is acknowledged here.
  case closing = 11
}
