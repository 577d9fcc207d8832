internal import CFin
internal import Glibc

/// Options for the reports of datagrams that did not arrive.
extension SocketOption where Value == Bool {
  /// `IP_RECVERR`: ICMP messages about sent datagrams become errors of later calls, also for a socket that is not
  /// connected. Each of them has a ``SocketError/report``.
  public static var reportErrors: SocketOption {
    flag("IP_RECVERR", level: CInt(IPPROTO_IP), name: CInt(FIN_IP_RECVERR))
  }
  /// `IPV6_RECVERR`: as ``reportErrors``, for an IPv6 socket; set both on one that sends to IPv4 addresses too.
  public static var reportErrors6: SocketOption {
    flag("IPV6_RECVERR", level: CInt(IPPROTO_IPV6), name: CInt(FIN_IPV6_RECVERR))
  }
}
