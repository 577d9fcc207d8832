extension FindingID {
  /// A socket is connected to itself.
  public static let selfConnected = FindingID(code: "P5")
}

extension Rule {
  static let selfConnected = Rule(
    .selfConnected, name: "self-connected", summary: "A socket is connected to itself.",
    fix: Remedies(
      "After connect, compare getsockname() with getpeername(): if they are equal, close and try again. Give servers "
        + "ports outside of ip_local_port_range, or list them in ip_local_reserved_ports.",
      in: [.python: "if sock.getsockname() == sock.getpeername(): close it and connect again later."],
      withFin: "connect refuses a socket that was connected to itself."),
    claims: [.connectedToItself],
    find: { $0.connectedToThemselves() })
}

extension Claim {
  /// Both ends of the connection are one row.
  fileprivate static let connectedToItself = Claim("connected to itself", needs: [.rows])
}

extension CensusIndex {
  /// Connections whose two ends are one socket: a connect to a port of this machine without a listener, for which the
  /// kernel chose that same port as the local one.
  fileprivate func connectedToThemselves() -> [Finding] {
    let groups = gather(selfConnected, at: remote) { index, _, _ in (timeInState(index), 0) }
    return groups.map { group in
      let who = who(group)
      let place = group.key.place.address.with(port: group.key.place.endpoint.port)
      return Finding(
        .selfConnected, .warning, .connectedToItself, count: group.count, who: who, since: group.since,
        sentence:
          "\(who.name) has connected to \(place), and is connected to itself: the socket receives what it sends.",
        why: "No program listened on that port when connect chose it as its own, so the SYN met the socket that had "
          + "sent it (a simultaneous open, RFC 9293, section 3.5). While it is open, a server cannot bind the port.",
        facts: [.read(.rows, "\(place) at both ends")],
        evidence: [
          .init("local and remote address", place), .init("state", sockets[group.oldest].state.description),
          .init("Recv-Q", "\(sockets[group.oldest].receiveQueue)"),
        ], sockets: references(group))
    }
  }
}
