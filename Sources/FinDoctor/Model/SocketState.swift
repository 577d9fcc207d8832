internal import FinBase

/// The state of a socket, by the kernel's number (`net/tcp_states.h`).
///
/// It is a structure and not an enumeration, because a newer kernel may have a state that has no name here: then the
/// number is kept. UDP sockets use two of the states: ``established`` when they are connected, ``closed`` when they
/// are not.
public struct SocketState: RawRepresentable, Hashable, Sendable {
  public let rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// Both directions are open, as far as the kernel knows.
  public static let established = SocketState(rawValue: 1)
  /// Our SYN was sent and not answered.
  public static let synSent = SocketState(rawValue: 2)
  /// The peer's SYN was answered; the acknowledgement has not arrived.
  public static let synReceived = SocketState(rawValue: 3)
  /// Our FIN is queued or sent, and not acknowledged.
  public static let finWait1 = SocketState(rawValue: 4)
  /// Our FIN is acknowledged; the peer has not finished.
  public static let finWait2 = SocketState(rawValue: 5)
  /// Both sides have finished, this side first; the port is reserved until the entry expires.
  public static let timeWait = SocketState(rawValue: 6)
  /// No connection: an unconnected datagram socket.
  public static let closed = SocketState(rawValue: 7)
  /// The peer has finished; we have not.
  public static let closeWait = SocketState(rawValue: 8)
  /// The peer finished first, then this side; our FIN is not acknowledged.
  public static let lastAck = SocketState(rawValue: 9)
  /// Accepts connections.
  public static let listen = SocketState(rawValue: 10)
  /// Both sides have sent FIN, and ours is not acknowledged.
  public static let closing = SocketState(rawValue: 11)
  /// A connection request in the kernel's table of requests.
  public static let newSynReceived = SocketState(rawValue: 12)
  /// Bound to a port, and neither listening nor connected.
  public static let bound = SocketState(rawValue: 13)

  /// All states that have a name.
  package static let named: [SocketState] = (1...13).map(SocketState.init)
}

extension SocketState: CustomStringConvertible {
  private static let names: [String] = (UInt8(0)...13).map { number in
    switch SocketState(rawValue: number) {
    case .closed: "UNCONNECTED"
    case .newSynReceived: "SYN-RECEIVED"
    case .bound: "BOUND"
    default: TCPStates.name(number) ?? ""
    }
  }

  /// The name as RFC 9293 writes it: `FIN-WAIT-2`; or one of the two that are not TCP's, `UNCONNECTED` and `BOUND`.
  public var description: String {
    rawValue == 0 || rawValue > 13 ? "STATE-\(rawValue)" : Self.names[Int(rawValue)]
  }
}
