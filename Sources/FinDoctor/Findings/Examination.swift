/// A census, sorted once by what each socket could be a part of.
struct Examination {
  let census: Census
  let options: Diagnosis.Options
  var thresholds: Thresholds { options.thresholds }
  var sockets: ContiguousArray<InetSocket> { census.sockets }
  let leftOut = LeftOut()

  // Places in `sockets`.
  private(set) var closeWait: [Int] = []
  private(set) var finishedSending: [Int] = []
  private(set) var orphaned: [Int] = []
  private(set) var closedWindow: [Int] = []
  /// Those that we may not be reading.
  private(set) var full: [Int] = []
  private(set) var unanswered: [Int] = []
  private(set) var quiet: [Int] = []
  private(set) var probing: [Int] = []
  private(set) var synSent: [Int] = []
  private(set) var handshaking: [Int] = []
  private(set) var listeners: [Int] = []
  private(set) var inQueue: [Int] = []
  private(set) var resting: [Int] = []
  /// Connected or resting, whether or not their port is one of those that connect chooses.
  private(set) var named: [Int] = []
  private(set) var bound: [Int] = []
  private(set) var ownedByNobody: [Int] = []

  /// Where somebody listens: an address, or all zeros for every address, and a port.
  private var listening: Set<ListeningPlace> = []
  /// The ports of those, whatever the address: a bit for each.
  private var listeningPorts = ContiguousArray<UInt64>(repeating: 0, count: 1024)

  private struct ListeningPlace: Hashable {
    var namespace: UInt16
    var endpoint: Finding.Endpoint
  }

  struct PortOfNamespace: Hashable {
    var namespace: UInt16
    var port: UInt16
  }

  init(_ census: Census, _ options: Diagnosis.Options) {
    self.census = census
    self.options = options
    for index in census.sockets.indices where census.sockets[index].transport == .tcp { sort(index) }
  }

  private mutating func sort(_ index: Int) {
    // In place: a row is too big to be copied a hundred thousand times for nothing.
    let state = census.sockets[index].state
    let inode = census.sockets[index].inode
    switch state {
    case .listen:
      listeners.append(index)
      let port = census.sockets[index].localPort
      listeningPorts[Int(port >> 6)] |= 1 << UInt64(port & 63)
      listening.insert(
        ListeningPlace(
          namespace: census.sockets[index].namespace,
          endpoint: Finding.Endpoint(address: census.sockets[index].localBits, port: port)))
      return
    case .synReceived, .newSynReceived:
      handshaking.append(index)
      return
    case .synSent:
      synSent.append(index)
      return
    case .bound:
      bound.append(index)
      return
    case .timeWait:
      resting.append(index)
      named.append(index)
      return
    case .closed: return
    case .closeWait:
      if inode == 0 { inQueue.append(index) } else { closeWait.append(index) }
    case .finWait2:
      if inode != 0 { finishedSending.append(index) }
    case .finWait1, .lastAck, .closing:
      if inode == 0 { orphaned.append(index) }
    case .established:
      if inode == 0 { inQueue.append(index) }
      if inode != 0, census.sockets[index].timer == .off { quiet.append(index) }
    default: break
    }
    named.append(index)
    if census.isWithoutDescriptor(index) { ownedByNobody.append(index) }
    let timer = census.sockets[index].timer
    if timer == .persist || timer == .retransmit {
      if isPeerWindowClosed(index) { closedWindow.append(index) } else if inode != 0 { unanswered.append(index) }
    } else if timer == .keepalive, inode != 0 {
      probing.append(index)
    }
    if inode != 0, isFull(index) { full.append(index) }
  }

  /// The peer offers no window, and there is something to send.
  private func isPeerWindowClosed(_ index: Int) -> Bool {
    let state = census.sockets[index].state
    guard state == .established || state == .finWait1 || state == .closeWait, census.sockets[index].sendQueue > 0,
      census.sockets[index].info.sendWindow == 0
    else { return false }
    if census.sockets[index].timer == .persist { return true }
    // A receiver that made its buffer smaller dropped what was on the way: the other timer runs, and counts nothing.
    return census.sockets[index].info.retransmits == 0 && (census.sockets[index].info.unacknowledgedSegments ?? 0) > 0
  }

  /// We offer no window, or the receive buffer is nearly full.
  func isFull(_ index: Int) -> Bool {
    let unread = census.sockets[index].receiveQueue
    guard unread > 1 else { return false }
    if census.sockets[index].info.receiveWindow == 0 { return true }
    guard let limit = census.sockets[index].memory.receiveLimit, limit > 0 else { return false }
    let held = max(unread, census.sockets[index].memory.received ?? 0)
    return Double(held) > Double(limit) * thresholds.unreadShare
  }

  /// Whether somebody listens where this socket is: then it is the server's side of the connection.
  func isServerSide(_ socket: InetSocket) -> Bool {
    isListening(socket.namespace, socket.localBits, socket.localPort)
  }

  func isListening(_ namespace: UInt16, _ address: AddressBits, _ port: UInt16) -> Bool {
    func isListening(_ address: AddressBits) -> Bool {
      listening.contains(
        ListeningPlace(namespace: namespace, endpoint: Finding.Endpoint(address: address, port: port)))
    }
    // Nearly no port is listened on, and to ask for one bit is cheaper than to look for an address.
    return listeningPorts[Int(port >> 6)] & 1 << UInt64(port & 63) != 0
      && (isListening(address) || isListening(AddressBits()))
  }
}

extension Census {
  /// Whether it is a connection with an inode, so that it has had a descriptor, and no process that could be read holds it.
  func isWithoutDescriptor(_ index: Int) -> Bool {
    let inode = sockets[index].inode
    guard inode != 0, sockets[index].transport == .tcp else { return false }
    switch sockets[index].state {
    case .listen, .synReceived, .newSynReceived, .synSent, .bound, .timeWait, .closed: return false
    // The paths of an MPTCP connection that was closed stay for a while.
    default: return holders.first(of: inode) == nil && !sockets[index].isSubflow
    }
  }
}

/// Who and where.
extension Examination {
  /// Whose a socket is. A process where it is known; else all sockets of a user and a cgroup are one program's.
  struct Owner: Hashable {
    var pid: Int32 = 0
    var user: UInt32 = 0
    var cgroup: UInt64 = 0
  }

  func owner(of socket: InetSocket) -> Owner {
    if let holder = census.holders.first(of: socket.inode) { return Owner(pid: holder.pid) }
    return Owner(user: socket.user, cgroup: socket.cgroup ?? 0)
  }

  /// What the connections of one group have in common: the own port of a server, the peer of a client.
  struct Place: Hashable {
    var isPeer: Bool
    var endpoint: Finding.Endpoint
    var isIPv6: Bool

    var address: NetworkAddress { NetworkAddress(endpoint.address, isIPv6: isIPv6) }

    /// `on local port 8080`, `to 10.0.0.1:443`.
    var words: String {
      isPeer ? "to \(address.with(port: endpoint.port))" : "on local port \(endpoint.port)"
    }
  }

  func local(of socket: InetSocket) -> Place {
    Place(
      isPeer: false, endpoint: Finding.Endpoint(address: AddressBits(), port: socket.localPort), isIPv6: false)
  }

  func remote(of socket: InetSocket) -> Place {
    Place(
      isPeer: true, endpoint: Finding.Endpoint(address: socket.remoteBits, port: socket.remotePort),
      isIPv6: socket.isIPv6)
  }

  func who(_ owner: Owner, descriptors: [Int32] = [], others: [Int32] = []) -> Who {
    guard owner.pid != 0 else {
      let cgroup = census.cgroups[owner.cgroup]
      return Who(
        user: owner.user, unit: cgroup?.unit, container: cgroup?.container, descriptors: descriptors, others: others)
    }
    let program = census.programs[owner.pid]
    let name = program?.name
    return Who(
      program: name, script: program?.script, pid: owner.pid, user: program?.user, unit: program?.unit,
      container: program?.container, descriptors: descriptors, others: others,
      language: options.languages[owner.pid] ?? name.map(Language.init(executable:)) ?? .unknown)
  }

  /// The soft limit of descriptors.
  func descriptorLimit(of pid: Int32) -> Double? { census.programs[pid]?.descriptorLimit.map { Double($0) } }

  func limits(of socket: InetSocket) -> KernelLimits { census.namespace(of: socket).limits }
}

/// Sockets that are one finding together.
struct Group {
  /// Whose, where, and of which kind.
  struct Key: Hashable {
    var owner: Examination.Owner
    var namespace: UInt16
    var place: Examination.Place
    var kind: UInt8
  }

  var key: Key
  /// Places in the census.
  var members: [Int] = []
  /// The bounds of the one that has lasted longest: the truth of the oldest lies between the largest of each.
  var since = Since(atLeast: 0, atMost: 0)
  /// The one with the largest lower bound.
  var oldest = 0

  var count: Int { members.count }
}

extension Examination {
  private struct Judged {
    var index: Int
    var since: Since
    var key: Group.Key
  }

  /// Puts the sockets that belong together into groups, in the order in which they were met.
  /// - Parameter judge: The bounds of a socket and its kind; nil for one that is as it should be.
  func gather(
    _ indices: [Int], at place: ((InetSocket) -> Place)? = nil, _ judge: (InetSocket, Owner) -> (Since, kind: UInt8)?
  ) -> [Group] {
    var all: [Judged] = []
    // How many have each place in common: a server's have its port, a client's have the peer.
    var sizes: [Group.Key: Int] = [:]
    for index in indices {
      let socket = sockets[index]
      let owner = owner(of: socket)
      guard let (since, kind) = judge(socket, owner) else { continue }
      var key = Group.Key(
        owner: owner, namespace: socket.namespace, place: place?(socket) ?? local(of: socket), kind: kind)
      if place == nil {
        sizes[key, default: 0] += 1
        key.place = remote(of: socket)
        sizes[key, default: 0] += 1
      }
      all.append(Judged(index: index, since: since, key: key))
    }
    if place == nil {
      for number in all.indices {
        let socket = sockets[all[number].index]
        var local = all[number].key
        local.place = self.local(of: socket)
        let (mine, theirs) = (sizes[local] ?? 0, sizes[all[number].key] ?? 0)
        if mine > theirs || isServerSide(socket) || mine == theirs && looksLikeServerSide(socket) {
          all[number].key = local
        }
      }
    }
    return Self.grouped(all)
  }

  /// Of one connection alone: whether only the peer's port is one that connect chooses.
  private func looksLikeServerSide(_ socket: InetSocket) -> Bool {
    let limits = limits(of: socket)
    func isChosen(_ port: UInt16) -> Bool { limits.ephemeralPorts == nil ? port >= 32768 : limits.isEphemeral(port) }
    return isChosen(socket.remotePort) && !isChosen(socket.localPort)
  }

  private static func grouped(_ all: [Judged]) -> [Group] {
    var groups: [Group] = []
    var places: [Group.Key: Int] = [:]
    for judged in all {
      let number = places[judged.key] ?? groups.count
      if number == groups.count {
        places[judged.key] = number
        groups.append(Group(key: judged.key, oldest: judged.index))
      }
      let since = judged.since
      groups[number].members.append(judged.index)
      if groups[number].count == 1 || since.lower > groups[number].since.lower { groups[number].oldest = judged.index }
      groups[number].since.lower = max(groups[number].since.lower, since.lower)
      groups[number].since.upper = max(groups[number].since.upper, since.upper)
    }
    return groups
  }

  func who(_ group: Group) -> Who {
    let pid = group.key.owner.pid
    var descriptors: [Int32] = []
    var others: Set<Int32> = []
    for index in group.members {
      for holder in census.holders[sockets[index].inode] {
        if holder.pid == pid { descriptors.append(holder.descriptor) } else { others.insert(holder.pid) }
      }
    }
    return who(group.key.owner, descriptors: descriptors.sorted(), others: others.sorted())
  }

  func links(_ group: Group) -> Finding.Links {
    var links = Finding.Links()
    // A few are enough to be recognized by.
    for index in group.members.prefix(64) {
      let socket = sockets[index]
      links.remotes.insert(Finding.Endpoint(address: socket.remoteBits, port: socket.remotePort))
      links.locals.insert(Finding.Endpoint(address: socket.localBits, port: socket.localPort))
    }
    return links
  }

  /// `10.0.0.1:8080 to 10.0.0.2:51234`, the oldest of a group as its example.
  func example(_ index: Int) -> Finding.Evidence {
    let socket = sockets[index]
    return Finding.Evidence(
      "for example",
      "\(socket.localAddress.with(port: socket.localPort)) to \(socket.remoteAddress.with(port: socket.remotePort))")
  }

  /// The part of the program's limit of descriptors that so many are.
  func share(_ count: Int, of owner: Owner) -> Double? { descriptorLimit(of: owner.pid).map { Double(count) / $0 } }
}

/// Numbers in sentences.
enum Counted {
  /// `1,234`
  static func number(_ value: some BinaryInteger) -> String {
    let digits = Array(String(value < 0 ? 0 - value : value).utf8)
    var text: [UInt8] = value < 0 ? [UInt8(ascii: "-")] : []
    for (index, digit) in digits.enumerated() {
      if index > 0, (digits.count - index) % 3 == 0 { text.append(UInt8(ascii: ",")) }
      text.append(digit)
    }
    return String(decoding: text, as: UTF8.self)
  }

  /// `1 connection`, `60 connections`
  static func noun(_ count: Int, _ one: String, _ many: String? = nil) -> String {
    "\(number(count)) \(count == 1 ? one : many ?? one + "s")"
  }

  /// `1 connection has`, `60 connections have`
  static func verb(_ count: Int, _ one: String, _ many: String) -> String { count == 1 ? one : many }

  /// `93 %`
  static func percent(_ share: Double) -> String {
    guard share.isFinite else { return "?" }
    return share > 0 && share < 0.01 ? "less than 1 %" : "\(number(Int((min(share, 1e6) * 100).rounded()))) %"
  }

  /// `64 KiB`
  static func bytes(_ count: UInt64) -> String {
    if count < 10_240 { return "\(number(count)) bytes" }
    return count < 10 << 20 ? "\(number(count >> 10)) KiB" : "\(number(count >> 20)) MiB"
  }

  /// `2,460 ms`
  static func milliseconds(_ value: UInt32?) -> String { value.map { "\(number($0)) ms" } ?? "unknown" }
}
