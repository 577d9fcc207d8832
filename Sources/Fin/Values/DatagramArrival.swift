/// Facts about the arrival of datagrams that a socket can be asked to report.
public struct ArrivalDetails: OptionSet, Hashable, Sendable {
  /// The bits of the set.
  public let rawValue: Int

  /// Makes a set from its bits.
  public init(rawValue: Int) { self.rawValue = rawValue }

  /// The address that a datagram was sent to, and the interface that it came in by: `IP_PKTINFO`,
  /// `IPV6_RECVPKTINFO`.
  public static let destination = ArrivalDetails(rawValue: 1)
  /// The hops that a datagram had left: `IP_RECVTTL`, `IPV6_RECVHOPLIMIT`.
  public static let hops = ArrivalDetails(rawValue: 2)
  /// The traffic class, whose two lowest bits are those of ECN (RFC 3168): `IP_RECVTOS`, `IPV6_RECVTCLASS`.
  public static let trafficClass = ArrivalDetails(rawValue: 4)
  /// The time at which the kernel took a datagram from the network device: `SO_TIMESTAMPNS`.
  public static let time = ArrivalDetails(rawValue: 8)
  /// The number of datagrams that were dropped before: `SO_RXQ_OVFL`.
  public static let drops = ArrivalDetails(rawValue: 16)

  /// Every fact that UDP has.
  public static let all: ArrivalDetails = [.destination, .hops, .trafficClass, .time, .drops]
}

/// A datagram, and the facts about its arrival that the socket reports.
///
/// A fact is `nil` when ``DatagramSocketProtocol/report(_:)`` has not asked for it, and for the first datagrams after
/// that, which had arrived before.
public struct DatagramArrival: Hashable, Sendable {
  /// The datagram as it arrived.
  public let datagram: Datagram
  /// The address that it was sent to: one of this machine, a broadcast address or a multicast group. An IPv4 address is
  /// one also on an IPv6 socket.
  public let destination: IPAddress?
  /// The index of the interface that it came in by.
  public let interface: UInt32?
  /// The address of this machine that an answer should come from; `nil` when it is not known.
  public let answeringAddress: IPAddress?
  /// The hops that it had left, 0 to 255.
  public let hops: Int?
  /// Its traffic class.
  public let trafficClass: UInt8?
  /// The time of its arrival since 1970 on the machine's clock, which may be set forward and back.
  public let time: Duration?
  /// The number of datagrams that the socket had dropped for lack of room when this one arrived. It has 32 bits, and
  /// begins again at 0. `nil` also while it is 0.
  public let drops: UInt32?
  /// Whether some facts are missing because there was not enough room for them (`MSG_CTRUNC`), as when the program has
  /// asked for further ones with options of its own.
  public let isIncomplete: Bool

  init(datagram: Datagram, head: ArrivedHead) {
    self.datagram = datagram
    let facts = head.facts
    destination = facts.destination
    interface = facts.interface
    // A multicast group sends nothing; for IPv6 the kernel then names no other address.
    answeringAddress = facts.answering ?? facts.destination.flatMap { $0.isMulticast ? nil : $0 }
    hops = facts.hops
    trafficClass = facts.trafficClass
    time = facts.time
    drops = facts.drops
    isIncomplete = head.hasLostControl
  }
}
