/// The state of a socket, as the kernel numbers it (`net/tcp_states.h`).
///
/// A structure and not an enumeration, because a newer kernel may have a state that has no name here: it is kept as its
/// number. UDP sockets use two of the states: ``established`` when they are connected, ``closed`` when they are not.
public struct SocketState: RawRepresentable, Hashable, Sendable {
  public let rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// Both directions are open, as far as the kernel knows.
  public static let established = SocketState(rawValue: 1)
  /// Our SYN is on its way.
  public static let synSent = SocketState(rawValue: 2)
  /// The peer's SYN was answered; its acknowledgement is awaited.
  public static let synReceived = SocketState(rawValue: 3)
  /// Our FIN is queued or sent, and not acknowledged.
  public static let finWait1 = SocketState(rawValue: 4)
  /// Our FIN is acknowledged; the peer has not finished.
  public static let finWait2 = SocketState(rawValue: 5)
  /// Both have finished and this side was first; the port rests.
  public static let timeWait = SocketState(rawValue: 6)
  /// No connection: an unconnected datagram socket.
  public static let closed = SocketState(rawValue: 7)
  /// The peer has finished; we have not.
  public static let closeWait = SocketState(rawValue: 8)
  /// The peer finished first, then we did; our FIN is not acknowledged.
  public static let lastAck = SocketState(rawValue: 9)
  /// Takes clients.
  public static let listen = SocketState(rawValue: 10)
  /// Both have sent FIN, and neither is acknowledged here.
  public static let closing = SocketState(rawValue: 11)
  /// A connection request, in the kernel's own table of them.
  public static let newSynReceived = SocketState(rawValue: 12)
  /// Bound to a port, and neither listening nor connected.
  public static let bound = SocketState(rawValue: 13)

  /// All that have a name.
  public static let named: [SocketState] = (1...13).map(SocketState.init)
}

extension SocketState: CustomStringConvertible {
  private static let names: [String] = [
    "", "ESTABLISHED", "SYN-SENT", "SYN-RECEIVED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "UNCONNECTED", "CLOSE-WAIT",
    "LAST-ACK", "LISTEN", "CLOSING", "SYN-RECEIVED", "BOUND",
  ]

  /// As RFC 9293 writes it: `FIN-WAIT-2`; and the two that are not TCP's, `UNCONNECTED` and `BOUND`.
  public var description: String {
    rawValue == 0 || rawValue > 13 ? "STATE-\(rawValue)" : Self.names[Int(rawValue)]
  }
}
