/// The eleven states of a TCP connection, as the kernel reports them.
///
/// RFC 9293, section 3.3.2; the raw values are Linux's (`tcpi_state` of `TCP_INFO`, `net/tcp_states.h`).
/// A descriptor of ours never reads ``timeWait``: by then the kernel keeps a small record of its own and the descriptor
/// reads ``closed``.
public enum TCPState: UInt8, CaseIterable, Hashable, Sendable, CustomStringConvertible {
  case established = 1
  case synSent = 2
  case synReceived = 3
  case finWait1 = 4
  case finWait2 = 5
  case timeWait = 6
  case closed = 7
  case closeWait = 8
  case lastAck = 9
  case listen = 10
  case closing = 11

  /// The state as RFC 9293 writes it: `FIN-WAIT-2`.
  public var description: String {
    switch self {
    case .established: "ESTABLISHED"
    case .synSent: "SYN-SENT"
    case .synReceived: "SYN-RECEIVED"
    case .finWait1: "FIN-WAIT-1"
    case .finWait2: "FIN-WAIT-2"
    case .timeWait: "TIME-WAIT"
    case .closed: "CLOSED"
    case .closeWait: "CLOSE-WAIT"
    case .lastAck: "LAST-ACK"
    case .listen: "LISTEN"
    case .closing: "CLOSING"
    }
  }
}
