/// E4: found when it is asked for, of an address and a port.
extension Diagnosis {
  /// Everything that stands in the way of a listener on this address and port: who holds it, or until when it rests.
  ///
  /// Empty when nothing does. What only a listener without `SO_REUSEADDR` would stumble over is a warning, the rest is
  /// critical.
  /// - Parameters:
  ///   - census: The picture to look in.
  ///   - address: Unspecified for every address.
  ///   - port: The local port, above 0.
  ///   - namespace: Which of ``Census/namespaces``.
  ///   - options: As for ``Diagnosis/findings(in:_:)``.
  public static func bindBlocked(
    in census: Census, address: NetworkAddress, port: UInt16, namespace: UInt16 = 0, _ options: Options = Options()
  ) -> [Finding] {
    let look = Examination(census, options)
    let inTheWay = census.sockets.indices.filter { index in
      let socket = census.sockets[index]
      return socket.transport == .tcp && socket.namespace == namespace && socket.localPort == port
        && overlaps(socket.localAddress, address)
    }
    var held: [Hold: [Int]] = [:]
    for index in inTheWay {
      let state = census.sockets[index].state
      let kind: Hold.Kind =
        switch state {
        case .listen: .listens
        case .bound: .bound
        case .timeWait: .rests
        default: .connected
        }
      held[Hold(kind: kind, owner: look.owner(of: census.sockets[index])), default: []].append(index)
    }
    return held.sorted { ($0.key.kind.rawValue, $0.key.owner.pid) < ($1.key.kind.rawValue, $1.key.owner.pid) }
      .map { look.blocked($0.key, $0.value, address.with(port: port)) }
  }

  fileprivate struct Hold: Hashable {
    enum Kind: Int { case listens, bound, connected, rests }
    var kind: Kind
    var owner: Examination.Owner
  }

  /// Whether a listener on one takes the other away. A listener on `::` takes IPv4's addresses too, unless it says no.
  private static func overlaps(_ one: NetworkAddress, _ other: NetworkAddress) -> Bool {
    if one.isUnspecified { return one.isIPv6 || other.asIPv4 != nil || other.isUnspecified }
    if other.isUnspecified { return other.isIPv6 || one.asIPv4 != nil }
    if let v4 = one.asIPv4 { return v4 == other.asIPv4 }
    return one.bits == other.bits
  }
}

extension Examination {
  fileprivate func blocked(_ hold: Diagnosis.Hold, _ members: [Int], _ place: String) -> Finding {
    let descriptors = members.flatMap { index in
      census.holders[sockets[index].inode].filter { $0.pid == hold.owner.pid }.map(\.descriptor)
    }
    let who: Who? = hold.owner.pid == 0 ? nil : self.who(hold.owner, descriptors: descriptors.sorted())
    let name = who?.name ?? "A program that could not be read"
    let left = members.map { sockets[$0].expires }.max() ?? 0
    let wait = Since(atLeast: UInt64(left), atMost: UInt64(left))
    let count = members.count
    let (sentence, why): (String, String) =
      switch hold.kind {
      case .listens: ("\(name) listens there: \(place) is taken.", "Two may listen only if both set SO_REUSEPORT.")
      case .bound:
        ("\(name) has bound \(place) and does nothing with it.", "It is taken until the program connects or closes.")
      case .connected:
        (
          "\(Counted.noun(count, "connection")) of \(name) \(Counted.verb(count, "stands", "stand")) on \(place).",
          "They block a bind unless they, and the new listener, have SO_REUSEADDR."
        )
      case .rests:
        (
          "\(Counted.noun(count, "connection")) on \(place) \(Counted.verb(count, "rests", "rest")) in TIME-WAIT: without "
            + "SO_REUSEADDR it is free in \(wait).",
          "The side that closed first keeps the port for 60 s; SO_REUSEADDR lets a listener have it at once."
        )
      }
    return Finding(
      .bindBlocked, hold.kind == .listens || hold.kind == .bound ? .critical : .warning, count: count, who: who,
      sentence: sentence, why: why,
      evidence: [
        .init("state", sockets[members[0]].state.description),
        .init("local address", sockets[members[0]].localAddress.with(port: sockets[members[0]].localPort)),
      ] + (hold.kind == .rests ? [.init("free in", "\(wait)")] : []))
  }
}
