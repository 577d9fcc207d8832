internal import FinBase

/// The holders of a socket.
extension SocketExplanation {
  static func holders(
    of socket: SocketReference, in census: Census, _ readings: SocketDetails
  ) -> [Holding] {
    var all: [Holding] = []
    for holder in census.holders[census.inode(of: socket)] {
      if all.last?.pid != holder.pid {
        all.append(Holding(pid: holder.pid, program: census.programs[holder.pid], descriptors: []))
      }
      let flags = readings.flags[holder]
      all[all.count - 1].descriptors.append(
        Holding.Descriptor(
          number: holder.descriptor, closesOnExec: flags.map { $0 & 0o2000000 != 0 },
          waits: flags.map { $0 & 0o4000 == 0 }))
    }
    return all
  }

  /// Flags shared by all descriptors are listed once.
  static func flags(of holders: [Holding]) -> [Fact] {
    let descriptors = holders.flatMap(\.descriptors)
    guard let first = descriptors.first, let closes = first.closesOnExec, let waits = first.waits else { return [] }
    var all = [Fact(topic: .options, text: waits ? "blocking" : "non-blocking")]
    if descriptors.allSatisfy({ $0.closesOnExec == closes }) {
      all.append(Fact(topic: .options, text: closes ? "close-on-exec" : "not close-on-exec: a child may inherit it"))
    } else {
      all.append(Fact(topic: .options, text: "close-on-exec on some of its descriptors only"))
    }
    return all
  }

  /// The options that only the socket itself can report.
  static func facts(of options: SocketOptions?) -> [Fact] {
    guard let options else { return [] }
    var all: [String] = []
    func add(_ flag: Bool?, _ yes: String, _ no: String? = nil) {
      if flag == true { all.append(yes) } else if flag == false, let no { all.append(no) }
    }
    add(options.reusesAddress, "SO_REUSEADDR", "no SO_REUSEADDR")
    add(options.sharesPort, "SO_REUSEPORT")
    add(options.sendsAtOnce, "TCP_NODELAY")
    if options.keepsAlive == true {
      func seconds(_ value: Int?) -> String { value.map { "\($0) s" } ?? "?" }
      all.append(
        "SO_KEEPALIVE after \(seconds(options.keepaliveIdle)), every \(seconds(options.keepaliveInterval)), "
          + "\(options.keepaliveCount ?? 0) times")
    } else if options.keepsAlive == false {
      all.append("keepalive off")
    }
    if let time = options.userTimeout, time > 0 { all.append("TCP_USER_TIMEOUT \(NumberText.number(time)) ms") }
    if let seconds = options.linger, seconds >= 0 {
      all.append(seconds == 0 ? "SO_LINGER 0: close resets" : "SO_LINGER \(seconds) s")
    }
    if let name = options.congestionControl { all.append("congestion control \(name)") }
    return all.map { Fact(topic: .options, text: $0) }
  }
}

extension SocketExplanation.OtherEnd {
  /// - Parameters:
  ///   - socket: The other end.
  ///   - own: The socket whose other end it is.
  ///   - census: The census of both.
  init(_ socket: SocketReference, of own: SocketReference, in census: Census) {
    self.socket = socket
    let holder = census.holders.first(of: census.inode(of: socket))
    pid = holder?.pid
    descriptor = holder?.descriptor
    let state: String
    var isWaiting = false
    switch socket {
    case .inet(let place):
      state =
        census.sockets[place].state.description
        + (census.sockets[place].state == .finWait2 && census.sockets[place].inode != 0
          ? ": it has finished sending and still receives" : "")
      isWaiting = census.sockets[place].isWaitingForAccept
    case .unix(let place): state = census.unixSockets[place].state.description
    case .detached: state = "DETACHED"
    }
    if let holder {
      let name = census.programs[holder.pid].map { "\($0.title) (pid \(holder.pid))" } ?? "process \(holder.pid)"
      text = "\(name) fd \(holder.descriptor), in \(state)"
    } else if isWaiting {
      text = "in \(state), in its listener's queue: no program has accepted it"
    } else if census.inode(of: socket) == 0 {
      text = "in \(state), and no program holds it any more"
    } else if let keeper = census.keeper(of: census.inode(of: socket)) {
      text = "in \(state), held by \(census.words(keeper))"
    } else {
      text = "in \(state), of a program that could not be read"
    }
    if case .inet(let place) = socket, case .inet(let mine) = own,
      census.sockets[place].namespace != census.sockets[mine].namespace
    {
      text += "; in the network namespace \(census.namespace(of: census.sockets[place]).name), by its addresses"
    }
  }
}

/// The findings about a socket.
extension SocketExplanation {
  /// The findings about this socket, among all findings of the census: they are those of `fin check`, and not judged a
  /// second time. An MPTCP connection has those of its subflows too, and a subflow those of its connection.
  static func own(of socket: SocketReference, in census: Census, among all: [Finding]) -> [Finding] {
    var related: Set<SocketReference> = [socket]
    if case .inet(let place) = socket {
      let multipath = MPTCPSubflows(census.sockets, ages: census.recordedAges)
      related.formUnion(
        (multipath.paths(of: place) + [multipath.owner(ofPath: place)].compactMap { $0 }).map { .inet($0) })
    }
    return all.filter { finding in
      !finding.id.rule.concernsMachine && finding.sockets.contains { related.contains($0) }
    }.sorted { Diagnosis.isWorse($0, $1) }
  }
}
