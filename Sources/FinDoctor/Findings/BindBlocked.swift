/// E4: found when it is asked for, of an address and a port.
extension Diagnosis {
  /// Everything that stands in the way of a bind: who holds the address, or until when it rests.
  ///
  /// Empty when nothing does. What stops every listener is critical. What `SO_REUSEADDR` may get around is a warning: it
  /// does if the socket in the way has the option as well, which the kernel tells nobody but that socket's program.
  /// - Parameters:
  ///   - census: The picture to look in.
  ///   - request: What somebody wants to bind.
  ///   - options: As for ``Diagnosis/findings(in:_:)``.
  public static func bindBlocked(
    in census: Census, _ request: BindRequest, _ options: Options = Options()
  ) -> [Finding] {
    let look = Examination(census, options)
    var held: [Hold: [Int]] = [:]
    for index in census.sockets.indices {
      guard let kind = Hold.Kind(census.sockets[index], request) else { continue }
      held[Hold(kind: kind, owner: look.owner(of: census.sockets[index])), default: []].append(index)
    }
    return held.sorted { ($0.key.kind.rawValue, $0.key.owner.pid) < ($1.key.kind.rawValue, $1.key.owner.pid) }
      .map { look.blocked($0.key, $0.value, request) }
  }

  fileprivate struct Hold: Hashable {
    enum Kind: Int { case listens, bound, datagrams, waits, connected, closed, rests }
    var kind: Kind
    var owner: Examination.Owner
  }
}

/// What somebody wants to bind.
public struct BindRequest: Hashable, Sendable {
  /// The address; unspecified for every one that the machine has.
  public var address: NetworkAddress
  /// The port, above 0.
  public var port: UInt16
  /// For a listener of TCP, or for datagrams.
  public var transport: Transport
  /// Whether a socket on `::` takes no IPv4 (`IPV6_V6ONLY`).
  public var isIPv6Only: Bool
  /// Which of ``Census/namespaces``.
  public var namespace: UInt16

  /// From its parts.
  /// - Parameters:
  ///   - address: Unspecified for every address of the machine.
  ///   - port: Above 0.
  ///   - transport: TCP, or UDP.
  ///   - isIPv6Only: Whether a socket on `::` takes no IPv4.
  ///   - namespace: Which of ``Census/namespaces``.
  public init(
    _ address: NetworkAddress, port: UInt16, transport: Transport = .tcp, isIPv6Only: Bool = false,
    namespace: UInt16 = 0
  ) {
    self.address = address
    self.port = port
    self.transport = transport
    self.isIPv6Only = isIPv6Only
    self.namespace = namespace
  }

  /// Whether this socket and the wanted one would take the same packets: then the kernel looks at their options.
  public func meets(_ socket: InetSocket) -> Bool {
    guard socket.transport == transport, socket.namespace == namespace, socket.localPort == port else { return false }
    // A link-local address belongs to its interface. A socket that is bound to no interface meets all of them.
    if address.isLinkLocal, address.interface != 0, socket.interface != 0, address.interface != socket.interface {
      return false
    }
    // A handshake that is not finished has no place in the table of ports.
    if socket.state == .synReceived || socket.state == .newSynReceived { return false }
    return overlaps(socket)
  }

  /// As the kernel compares them: a socket on `::` takes IPv4 too, unless it says no, and 1.2.3.4 is `::ffff:1.2.3.4`.
  private func overlaps(_ socket: InetSocket) -> Bool {
    let other = socket.localAddress
    switch (isAny, address.asIPv4 != nil, isAny(socket), other.asIPv4 != nil) {
    case (true, true, _, _), (_, _, true, true):
      // 0.0.0.0 on one side: all of IPv4, and what takes IPv4 too.
      return takesIPv4 && takesIPv4(socket)
    case (true, false, true, false): return true
    case (true, false, _, let isV4): return isV4 ? !isIPv6Only : true
    case (_, let isV4, true, false): return isV4 ? socket.isIPv6Only != true : true
    default:
      if let v4 = address.asIPv4 { return v4 == other.asIPv4 }
      return address.bits == other.bits
    }
  }

  private var isAny: Bool { address.isUnspecified || address.asIPv4 == 0 }
  private func isAny(_ socket: InetSocket) -> Bool {
    socket.localAddress.isUnspecified || socket.localAddress.asIPv4 == 0
  }
  private var takesIPv4: Bool { address.asIPv4 != nil || address.isUnspecified && !isIPv6Only }
  private func takesIPv4(_ socket: InetSocket) -> Bool {
    let address = socket.localAddress
    return address.asIPv4 != nil || address.isUnspecified && socket.isIPv6Only != true
  }
}

extension BindRequest: CustomStringConvertible {
  /// `tcp 127.0.0.1:80`.
  public var description: String { "\(transport) \(address.with(port: port))" }
}

extension Diagnosis.Hold.Kind {
  /// Nil when the socket is in nobody's way.
  fileprivate init?(_ socket: InetSocket, _ request: BindRequest) {
    guard request.meets(socket) else { return nil }
    switch socket.state {
    case .listen: self = .listens
    case .timeWait: self = .rests
    case _ where socket.transport == .udp: self = .datagrams
    case .bound: self = .bound
    case .established where socket.inode == 0, .closeWait where socket.inode == 0: self = .waits
    case _ where socket.inode == 0: self = socket.timer == .timeWait ? .rests : .closed
    default: self = .connected
    }
  }
}

extension Examination {
  fileprivate func blocked(_ hold: Diagnosis.Hold, _ members: [Int], _ request: BindRequest) -> Finding {
    let place = request.address.with(port: request.port)
    let holders = members.flatMap { census.holders[sockets[$0].inode] }
    let descriptors = holders.filter { $0.pid == hold.owner.pid }.map(\.descriptor)
    let others = Set(holders.map(\.pid)).subtracting([hold.owner.pid])
    let isNobodys = hold.kind == .rests || hold.kind == .closed || hold.kind == .waits
    let who: Who? =
      isNobodys && hold.owner.pid == 0
      ? nil : self.who(hold.owner, descriptors: descriptors.sorted(), others: others.sorted())
    let name = who?.name ?? "A program that could not be read"
    let left = members.map { sockets[$0].expires }.max() ?? 0
    let wait = Since(atLeast: UInt64(left), atMost: UInt64(left))
    let count = members.count
    let connections = Counted.noun(count, "connection")
    let both = "Unless both have SO_REUSEADDR: this one, which does not tell, and the new listener."
    let (sentence, why): (String, String) =
      switch hold.kind {
      case .listens:
        (
          "\(name) listens there: \(place) is taken.",
          "Two may listen only if both set SO_REUSEPORT, and run as the same user; SO_REUSEADDR does not help."
        )
      case .bound:
        (
          "\(name) has bound \(place) and neither listens there nor is connected.",
          "It is taken until the program closes it, or has lost it. " + both
        )
      case .datagrams:
        (
          "\(name) has bound \(place) for datagrams.",
          "Two may have it if both set SO_REUSEADDR (the last one then gets what comes), or both SO_REUSEPORT as the same "
            + "user."
        )
      case .waits:
        (
          "\(connections) on \(place) that nobody has accepted \(Counted.verb(count, "stands", "stand")) in the way.",
          "They go with their listener. " + both
        )
      case .connected:
        (
          "\(connections) of \(name) \(Counted.verb(count, "stands", "stand")) on \(place).",
          "Until closed; and the port may then rest in TIME-WAIT. " + both
        )
      case .closed:
        (
          "\(connections) on \(place) that no program has any more \(Counted.verb(count, "is", "are")) still ending.",
          "The kernel still delivers the last bytes, and gives up by itself. " + both
        )
      case .rests:
        (
          "\(connections) on \(place) \(Counted.verb(count, "rests", "rest")) in TIME-WAIT: free in \(wait).",
          "The side that closes first keeps the port for 60 s. SO_REUSEADDR gets it at once if the listener before had it "
            + "as well: set it from the first run on."
        )
      }
    var finding = Finding(
      .bindBlocked, hold.kind == .listens ? .critical : .warning, count: count, who: who, sentence: sentence, why: why,
      evidence: [
        .init("state", sockets[members[0]].state.description),
        .init("local address", sockets[members[0]].localAddress.with(port: sockets[members[0]].localPort)),
      ] + (hold.kind == .rests ? [.init("free in", "\(wait)")] : []))
    switch hold.kind {
    case .listens, .datagrams:
      finding.fix.code = "End the program that is there, or take another address or port."
    case .bound: finding.fix.code = "Close what is bound and not used, also after an error of connect or listen."
    case .waits, .connected, .closed, .rests: break
    }
    return finding
  }
}
