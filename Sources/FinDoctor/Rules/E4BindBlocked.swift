extension FindingID {
  /// An obstacle to a bind.
  public static let bindBlocked = FindingID(code: "E4")
}

extension Rule {
  static let bindBlocked = Rule(
    .bindBlocked, name: "bind-blocked", summary: "An obstacle to a bind.",
    fix: Remedies(
      "Set SO_REUSEADDR before bind, from the first run on: the old socket must have had it too.",
      withFin: "Listener.bind sets SO_REUSEADDR, and its error names the holder of the address."),
    claims: [.listenerInTheWay, .socketInTheWay, .entryInTheWay] + Claim.kept,
    find: { _ in [] })
}

extension Claim {
  /// A listener has the address.
  fileprivate static let listenerInTheWay = Claim("listener in the way", needs: [.rows])

  /// Another socket has the address.
  fileprivate static let socketInTheWay = Claim(
    "socket in the way", needs: [.rows], .rare("a bind may succeed if both sockets have set an option for that"))

  /// The kernel keeps the address after a close.
  fileprivate static let entryInTheWay = Claim(
    "entry in the way", needs: [.rows], .rare("the 60 s begin again if the peer sends its FIN again"))
}

/// Judged on request, for one address and port, and not by `Rule.find`.
extension Diagnosis {
  /// Returns every obstacle to a bind: the program that holds the address, or the time until TIME-WAIT ends.
  ///
  /// Empty when there is no obstacle. An obstacle to every listener is critical. One that `SO_REUSEADDR` may get around
  /// is a warning: the option helps only if the socket in the way has it as well, and the kernel shows that to no
  /// other program.
  /// - Parameters:
  ///   - census: The census to look in.
  ///   - request: The bind to judge.
  ///   - options: As for ``Diagnosis/findings(in:_:)``.
  package static func bindBlocked(
    in census: Census, _ request: BindRequest, _ options: Options = Options()
  ) -> [Finding] {
    let look = CensusIndex(census, options)
    var held: [Hold: [Int]] = [:]
    for index in census.sockets.indices {
      guard let kind = Hold.Kind(census.sockets[index], request) else { continue }
      let keeper = census.keeper(of: census.sockets[index].inode)
      held[Hold(kind: kind, owner: look.owner(of: census.sockets[index]), keeper: keeper), default: []].append(index)
    }
    return held.sorted { ($0.key.kind.rawValue, $0.key.owner.pid) < ($1.key.kind.rawValue, $1.key.owner.pid) }
      .map { look.blocked($0.key, $0.value, request) }
  }

  fileprivate struct Hold: Hashable {
    enum Kind: Int { case listens, bound, datagrams, waits, connected, closed, rests }
    var kind: Kind
    var owner: CensusIndex.OwnerKey
    /// The holder, if no descriptor holds it.
    var keeper: Keeper?
  }
}

extension Diagnosis.Hold.Kind {
  /// Nil when the socket is no obstacle to the bind.
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

extension CensusIndex {
  fileprivate func blocked(_ hold: Diagnosis.Hold, _ members: [Int], _ request: BindRequest) -> Finding {
    let place = request.address.with(port: request.port)
    let holders = members.flatMap { census.holders[sockets[$0].inode] }
    let descriptors = holders.filter { $0.pid == hold.owner.pid }.map(\.descriptor)
    let others = Set(holders.map(\.pid)).subtracting([hold.owner.pid])
    let isNobodys = hold.kind == .rests || hold.kind == .closed || hold.kind == .waits
    // The kernel, a message or a ring, where that is known.
    let keeper = hold.keeper == .unseen ? nil : hold.keeper
    let who: ProcessOwner? =
      if let keeper {
        self.who(ofKeeper: keeper)
      } else if isNobodys && hold.owner.pid == 0 {
        nil
      } else {
        self.who(hold.owner, descriptors: descriptors.sorted(), others: others.sorted())
      }
    let name = who?.name ?? "A program that could not be read"
    let left = members.map { sockets[$0].expires }.max() ?? 0
    let wait = AgeBounds(atLeast: UInt64(left), atMost: UInt64(left))
    let count = members.count
    let connections = NumberText.noun(count, "connection")
    let both =
      "Until then, bind succeeds only if the new listener and this socket both have SO_REUSEADDR; "
      + "the kernel does not show whether this one has it."
    let (sentence, why): (String, String) =
      switch hold.kind {
      case .listens:
        (
          "\(place) is taken: \(name) listens there.",
          "Two sockets can listen there only if both set SO_REUSEPORT and run as the same user; "
            + "SO_REUSEADDR does not help."
        )
      case .bound:
        (
          "\(name) has bound \(place) and neither listens there nor is connected.",
          "The address is taken until the program closes the socket or ends. " + both
        )
      case .datagrams:
        (
          "\(name) has bound \(place) for datagrams.",
          "Two sockets can have it if both set SO_REUSEADDR (the last one to bind then gets the datagrams), or if both "
            + "set SO_REUSEPORT and run as the same user."
        )
      case .waits:
        (
          "\(connections) on \(place) \(NumberText.verb(count, "is", "are")) in the way, and no program has accepted "
            + "\(NumberText.verb(count, "it", "them")).",
          "They end when their listener is closed. " + both
        )
      case .connected:
        (
          "\(name) has \(connections) on \(place).",
          "The port is taken until they are closed, and may then stay in TIME-WAIT. " + both
        )
      case .closed:
        (
          "\(connections) on \(place) \(NumberText.verb(count, "is", "are")) still ending, and no program holds "
            + "\(NumberText.verb(count, "it", "them")) any more.",
          "The kernel still delivers the last bytes, and gives up after a time limit. " + both
        )
      case .rests:
        (
          "\(connections) on \(place) \(NumberText.verb(count, "is", "are")) in TIME-WAIT: free in \(wait).",
          "The side that closes first keeps the port for 60 s. With SO_REUSEADDR a bind succeeds at once, if the "
            + "listener before had it too: set it from the first run on."
        )
      }
    let state = sockets[members[0]].state.description
    var finding = Finding(
      .bindBlocked, hold.kind == .listens ? .critical : .warning,
      keeper.map { .kept(by: $0) }
        ?? (hold.kind == .listens ? .listenerInTheWay : hold.kind == .rests ? .entryInTheWay : .socketInTheWay),
      count: count, who: who, sentence: sentence, why: why,
      facts: keeper.map {
        facts(of: $0, state, isConnections: members.allSatisfy { sockets[$0].isConnection })
      } ?? [.read(.rows, state)],
      evidence: [
        .init("state", state),
        .init("local address", sockets[members[0]].localAddress.with(port: sockets[members[0]].localPort)),
      ] + (hold.kind == .rests ? [.init("free in", "\(wait)")] : []), sockets: members.map { .inet($0) })
    switch hold.kind {
    case .listens, .datagrams:
      finding.fix.code = "End the program that has the address, or use another address or port."
    case .bound:
      finding.fix.code = "Close a socket that is bound and not used, also after an error of connect or listen."
    case .waits, .connected, .closed, .rests: break
    }
    if let keeper {
      finding.sentence = "\(place) is taken: a \(noun(sockets[members[0]])) there is held by \(census.words(keeper))."
      finding.fix.code = census.remedy(keeper)
    }
    return finding
  }
}
