/// Sockets that form one finding together.
struct Group {
  /// The common properties of a group: owner, place and kind.
  struct Key: Hashable {
    var owner: CensusIndex.OwnerKey
    var namespace: UInt16
    var place: CensusIndex.Place
    var kind: UInt8
    /// Whether they are MPTCP connections, which are worded differently because the kernel tells less about them.
    var isMultipath = false

    /// `connection`, `MPTCP connection`.
    var noun: String { isMultipath ? "MPTCP connection" : "connection" }
  }

  var key: Key
  /// Indices in the census.
  var members: [Int] = []
  /// The largest lower bound and the largest upper bound of all members; the age of the oldest member lies
  /// between them.
  var since = AgeBounds(atLeast: 0, atMost: 0)
  /// The member with the largest lower bound.
  var oldest = 0

  var count: Int { members.count }

  /// Takes in the members of another group.
  mutating func add(_ other: Group) {
    members += other.members
    if other.since.lower > since.lower { oldest = other.oldest }
    since = AgeBounds(atLeast: max(since.lower, other.since.lower), atMost: max(since.upper, other.since.upper))
  }
}

extension CensusIndex {
  private struct Judged {
    var index: Int
    var since: AgeBounds
    var key: Group.Key
  }

  /// Groups the sockets that belong together, in the order in which they were met.
  /// - Parameter judge: Takes a socket's index, row and owner. Returns its age bounds and its kind; nil for a socket
  ///   that is as it should be.
  func gather(
    _ indices: [Int], at place: ((InetSocket) -> Place)? = nil,
    _ judge: (Int, InetSocket, OwnerKey) -> (AgeBounds, kind: UInt8)?
  ) -> [Group] {
    var all: [Judged] = []
    // The number of sockets with each place in common: a server's share their port, a client's share the peer.
    var sizes: [Group.Key: Int] = [:]
    for index in indices {
      let socket = sockets[index]
      let owner = owner(of: socket)
      guard let (since, kind) = judge(index, socket, owner) else { continue }
      var key = Group.Key(
        owner: owner, namespace: socket.namespace, place: place?(socket) ?? local(of: socket), kind: kind,
        isMultipath: socket.transport == .mptcp)
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
    return joined(Self.grouped(all))
  }

  /// The number of peers from which on a client's groups become one: a crawler that leaks one connection to each of a
  /// thousand hosts has one problem.
  private static let manyPeers = 4

  /// Joins the groups of one program whose peers have one port and many addresses.
  private func joined(_ groups: [Group]) -> [Group] {
    func common(_ group: Group) -> Group.Key {
      var key = group.key
      key.place = key.place.ofManyPeers
      return key
    }
    var sizes: [Group.Key: Int] = [:]
    for group in groups where group.key.place.isPeer { sizes[common(group), default: 0] += 1 }
    var all: [Group] = []
    var places: [Group.Key: Int] = [:]
    for group in groups {
      guard group.key.place.isPeer, sizes[common(group)] ?? 0 >= Self.manyPeers else {
        all.append(group)
        continue
      }
      if let place = places[common(group)] {
        all[place].add(group)
      } else {
        var first = group
        first.key = common(group)
        places[first.key] = all.count
        all.append(first)
      }
    }
    return all
  }

  /// Decides for a single connection: whether connect could have chosen the peer's port and not ours.
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

  /// The place in words: `on local port 8080`, `to 10.0.0.1:443`, `to 300 peers, port 443`.
  func words(_ group: Group) -> String {
    let place = group.key.place
    guard place.isManyPeers else { return place.words }
    let peers = Set(group.members.lazy.map { sockets[$0].remoteBits }).count
    return "to \(NumberText.noun(peers, "peer")), port \(place.endpoint.port)"
  }

  /// Whether a socket of any census belongs to the place of a group.
  func isAt(_ place: Place, _ socket: InetSocket) -> Bool {
    if !place.isPeer { return local(of: socket) == place }
    if place.isManyPeers { return socket.remotePort == place.endpoint.port && !isServerSide(socket) }
    return remote(of: socket) == place
  }

  func who(_ group: Group) -> ProcessOwner {
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

  /// The members of a group, as the explanation of one socket looks for them.
  func references(_ group: Group) -> [SocketReference] { group.members.map { .inet($0) } }

  func links(_ group: Group) -> Finding.Links {
    var links = Finding.Links()
    // A few members are enough to recognize the group.
    for index in group.members.prefix(64) {
      let socket = sockets[index]
      links.remotes.insert(socket.remoteEndpoint)
      links.locals.insert(socket.localEndpoint)
    }
    return links
  }

  /// The oldest member of a group as an example: `10.0.0.1:8080 to 10.0.0.2:51234`.
  func example(_ index: Int) -> Finding.Evidence {
    let socket = sockets[index]
    return Finding.Evidence(
      "for example",
      "\(socket.localAddress.with(port: socket.localPort)) to \(socket.remoteAddress.with(port: socket.remotePort))")
  }

  /// The part of the owner's descriptor limit that this number of descriptors takes.
  func share(_ count: Int, of owner: OwnerKey) -> Double? { descriptorLimit(of: owner.pid).map { Double(count) / $0 } }

  /// The largest number of a group's connections to one peer.
  func mostToOnePeer(_ group: Group) -> Int {
    var counts: [AddressBits: Int] = [:]
    for index in group.members { counts[sockets[index].remoteBits, default: 0] += 1 }
    return counts.values.max() ?? 0
  }
}
