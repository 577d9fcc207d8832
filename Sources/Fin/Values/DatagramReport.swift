public import SystemPackage

/// A report of a datagram that did not arrive, from the error queue of a socket (ip(7), `IP_RECVERR`).
public struct DatagramReport: Hashable, Sendable, CustomStringConvertible {
  /// The finder of an error.
  public enum Origin: Hashable, Sendable {
    /// This machine, before anything was sent: `SO_EE_ORIGIN_LOCAL`.
    case local
    /// Another machine, or this one in its place, with a message of ICMP (RFC 792).
    case icmp
    /// As ``icmp``, for IPv6 (RFC 4443).
    case icmp6
  }

  /// The error: `ECONNREFUSED` when no socket has the port, `EHOSTUNREACH`, `EMSGSIZE`.
  public let code: Errno
  /// The finder of the error.
  public let origin: Origin
  /// The type of the ICMP message: 3 for an unreachable destination over IPv4, and 1 over IPv6.
  public let type: UInt8
  /// The code of the ICMP message: for an unreachable port 3 over IPv4, and 4 over IPv6.
  public let typeCode: UInt8
  /// The address that the datagram was sent to.
  public let destination: SocketAddress?
  /// The machine that sent the ICMP message, such as a router; `nil` for a local error. Any machine on the way can send
  /// one that names another.
  public let offender: IPAddress?
  /// The largest packet that passes, in bytes, when ``code`` is `EMSGSIZE`.
  public let pathMTU: Int?
  /// The beginning of the datagram, as the report quotes it. A program that numbers its datagrams finds the number
  /// here. There are as few as 0 bytes, and never more than ``mostBytes``.
  public let bytes: [UInt8]

  /// The number of bytes of a datagram that a report keeps: 1,500.
  public static let mostBytes = QueuedReport.mostBytes

  /// Makes the report of an entry of the queue; `nil` for one without an error.
  init?(_ queued: QueuedReport) {
    guard let code = queued.code else { return nil }
    self.code = code
    origin = queued.isLocal ? .local : queued.isICMP6 ? .icmp6 : .icmp
    (type, typeCode) = (queued.type, queued.typeCode)
    destination = queued.peer
    offender = queued.offender?.canonical
    pathMTU = code == .messageTooLong && queued.information > 0 ? Int(queued.information) : nil
    bytes = queued.bytes
  }

  /// The report in one line: `10.0.0.9:53: connection refused (ECONNREFUSED), says 10.0.0.9 (ICMP type 3 code 3)`.
  public var description: String {
    var text = (destination.map { "\($0): " } ?? "") + code.text
    if let offender {
      text += ", says \(offender) (\(origin == .icmp6 ? "ICMPv6" : "ICMP") type \(type) code \(typeCode))"
    }
    if let pathMTU { text += ", at most \(pathMTU) bytes in a packet" }
    return text
  }

  /// The part of the description that an error has not said yet.
  var note: String? {
    if let pathMTU { return "packets of at most \(pathMTU) bytes pass" }
    guard let offender, offender != destination?.canonical.ip else { return nil }
    return "\(offender) says so (\(origin == .icmp6 ? "ICMPv6" : "ICMP") type \(type) code \(typeCode))"
  }
}
