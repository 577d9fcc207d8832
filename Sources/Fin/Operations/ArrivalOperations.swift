internal import CFin
internal import Glibc
internal import SystemPackage

/// Datagrams with the facts about their arrival, and answers that come from the address that was asked.
extension Core {
  /// Asks the kernel for these facts about each datagram, and for no other.
  func report(_ details: ArrivalDetails) throws(SocketError) {
    guard kind == .datagram, family != .unix || details.isSubset(of: .time) else {
      throw error(.setOption, .invalid("a Unix socket reports the time only"))
    }
    try withAccess(.setOption) { access throws(SocketError) in
      for option in Core.options(of: family) {
        do throws(Errno) {
          try Syscalls.setIntegerOption(
            number(access), option.level, option.name, details.contains(option.detail) ? 1 : 0)
        } catch { throw self.error(.setOption, .system(error), note: option.label) }
      }
    }
  }

  private struct DetailOption {
    let detail: ArrivalDetails
    let label: String
    let level: CInt
    let name: CInt
  }

  /// The options of a family. An IPv6 socket has those of IPv4 too, for the IPv4 datagrams that it receives.
  private static func options(of family: AddressFamily) -> [DetailOption] {
    var options = [
      DetailOption(detail: .time, label: "SO_TIMESTAMPNS", level: SOL_SOCKET, name: CInt(FIN_SO_TIMESTAMPNS))
    ]
    if family == .unix { return options }
    let (four, six) = (CInt(IPPROTO_IP), CInt(IPPROTO_IPV6))
    options += [
      DetailOption(detail: .drops, label: "SO_RXQ_OVFL", level: SOL_SOCKET, name: CInt(FIN_SO_RXQ_OVFL)),
      DetailOption(detail: .destination, label: "IP_PKTINFO", level: four, name: CInt(FIN_IP_PKTINFO)),
      DetailOption(detail: .hops, label: "IP_RECVTTL", level: four, name: CInt(FIN_IP_RECVTTL)),
      DetailOption(detail: .trafficClass, label: "IP_RECVTOS", level: four, name: CInt(FIN_IP_RECVTOS)),
    ]
    if family == .ipv4 { return options }
    return options + [
      DetailOption(detail: .destination, label: "IPV6_RECVPKTINFO", level: six, name: CInt(FIN_IPV6_RECVPKTINFO)),
      DetailOption(detail: .hops, label: "IPV6_RECVHOPLIMIT", level: six, name: CInt(FIN_IPV6_RECVHOPLIMIT)),
      DetailOption(detail: .trafficClass, label: "IPV6_RECVTCLASS", level: six, name: CInt(FIN_IPV6_RECVTCLASS)),
    ]
  }

  /// Receives a datagram with the facts about its arrival.
  func receiveArrival(upTo most: Int, _ access: Access) throws(SocketError) -> Attempt<DatagramArrival> {
    guard (0...Datagram.most).contains(most) else {
      throw error(.receive, .invalid("cannot receive a datagram of up to \(most) bytes"))
    }
    let cached = CachedReadiness(of: self, access)
    if !cached.mayBeReady(.input) { return .blocked(.input) }
    return try unsafe withUnsafeTemporaryAllocation(byteCount: max(1, most), alignment: 1) { room throws(SocketError) in
      let room = unsafe UnsafeMutableRawBufferPointer(rebasing: room[..<most])
      do throws(Errno) {
        let head = try unsafe Syscalls.receiveArrival(number(access), room)
        try checkIsDatagram(head.length, head.sender)
        let bytes = unsafe Array(room[..<min(head.length, most)])
        let datagram = Datagram(bytes: bytes, sender: head.sender, length: head.length)
        return .done(DatagramArrival(datagram: datagram, head: head))
      } catch { return try nothingArrived(error, cached, access) }
    }
  }

  /// The control messages of a datagram that leaves from an address or by an interface that the caller names.
  func checkSource(
    _ source: IPAddress?, _ interface: UInt32?, to peer: SocketAddress
  ) throws(SocketError) -> [UInt8]? {
    if source == nil, interface == nil { return nil }
    let source = source?.canonical
    func invalid(_ reason: String) -> SocketError { failure(.send, .invalid(reason), peer) }
    guard family != .unix, let target = peer.canonical.ip else {
      throw invalid("only a UDP socket sends from an address of choice")
    }
    if let source, source.family != target.family { throw invalid("\(source) cannot send to \(peer)") }
    // For an IPv4 destination an IPv6 socket takes the interface in the mapped form of any address only.
    let local = source ?? (target.family == .ipv4 && family == .ipv6 ? .v4(.any) : nil)
    return ControlMessages.sending(from: local, on: interface ?? 0, isIPv6: family == .ipv6)
  }

  /// The address that an answer goes to.
  func sender(of question: DatagramArrival) throws(SocketError) -> SocketAddress {
    guard let sender = question.datagram.sender, sender != .unix(.unnamed) else {
      throw error(.send, .invalid("the sender of this datagram has no name to answer to"))
    }
    return sender
  }
}
