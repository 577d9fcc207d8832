/// Sockets that are one finding together.
struct Group {
  /// Whose, where, and of which kind.
  struct Key: Hashable {
    var owner: Examination.Owner
    var namespace: UInt16
    var place: Examination.Place
    var kind: UInt8
    /// Of MPTCP less is known, so that other words are needed.
    var isMultipath = false

    /// `connection`, `MPTCP connection`.
    var noun: String { isMultipath ? "MPTCP connection" : "connection" }
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
  /// - Parameter judge: The bounds of a socket, by its place and its row, and its kind; nil for one that is as it should be.
  func gather(
    _ indices: [Int], at place: ((InetSocket) -> Place)? = nil,
    _ judge: (Int, InetSocket, Owner) -> (Since, kind: UInt8)?
  ) -> [Group] {
    var all: [Judged] = []
    // How many have each place in common: a server's have its port, a client's have the peer.
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
