/// Connections in TIME-WAIT, counted by destination and program: what a history has of them beside its key frames. A
/// pure value, like ``Spans``.
///
/// A program has nothing to do with such a connection any more, and the kernel does not say which one had it. But the
/// connection keeps its cookie, so the look that saw it open tells.
struct RestingPlaces: Sendable {
  /// A destination, or the port of a server, and the program.
  struct Place: Hashable, Sendable {
    /// The inode of the network namespace.
    var namespace: UInt32
    /// As in ``RestingCount``.
    var local: NetworkAddress
    var localPort: UInt16
    var remote: NetworkAddress
    var remotePort: UInt16
    var owner: Observed.Owner?
  }

  /// The most places of one look: those with the most connections. With more of them, the day of a machine with 100 new
  /// connections a look would have more than its 64 MiB.
  static let most = 12

  /// The owners of the connections in TIME-WAIT, by identity, as a look before saw them.
  private var owners: [UInt64: Observed.Owner] = [:]

  /// Counts what a look saw.
  /// - Parameter before: The intervals, before they took this look.
  mutating func look(_ index: CensusIndex, before: Spans) -> [(place: Place, count: Int)] {
    let census = index.census
    var next: [UInt64: Observed.Owner] = [:]
    var counts: [Place: Int] = [:]
    for place in index.resting {
      let identity = census.sockets[place].identity
      let owner =
        owners[identity] ?? before.open[.init(identity, isUnix: false)]?.observed.owners.first
        ?? index.listenerOwner(ofAccepted: place)
      if let owner { next[identity] = owner }
      var known = owner
      known?.descriptor = 0
      counts[index.restingPlace(place, known), default: 0] += 1
    }
    owners = next
    return counts.sorted { ($1.value, $0.key.order) < ($0.value, $1.key.order) }.prefix(Self.most)
      .map { ($0.key, $0.value) }
  }
}

extension RestingPlaces.Place {
  /// An order among places with as many connections, so that the same looks give the same rows.
  fileprivate var order: String { "\(local) \(localPort) \(remote) \(remotePort) \(owner?.pid ?? 0)" }
}

extension CensusIndex {
  fileprivate func restingPlace(_ place: Int, _ owner: Observed.Owner?) -> RestingPlaces.Place {
    let route = route(place)
    let isOurs = isChosen(place)
    return RestingPlaces.Place(
      namespace: census.namespaces[Int(route.namespace)].inode, local: route.source,
      localPort: isOurs ? 0 : census.sockets[place].localPort,
      remote: isOurs ? route.destination : NetworkAddress(AddressBits(), isIPv6: false),
      remotePort: isOurs ? route.port : 0, owner: owner)
  }

  /// The owner of the listener at the local port of a connection that a listener accepted; nil if there is none.
  func listenerOwner(ofAccepted place: Int) -> Observed.Owner? {
    let socket = sockets[place]
    return listenerOwner(at: socket.localPort, of: socket.localBits, in: socket.namespace)
  }

  /// The owner of the listener at a port; nil if there is none.
  func listenerOwner(at port: UInt16, of address: AddressBits, in namespace: UInt16) -> Observed.Owner? {
    guard isListening(namespace, address, port) else { return nil }
    let all = listeners.filter { sockets[$0].localPort == port && sockets[$0].namespace == namespace }
    // As the kernel does: the listener at this very address, and otherwise one at the wildcard.
    let listener =
      all.first { sockets[$0].localBits.unmapped == address.unmapped }
      ?? all.first { sockets[$0].localBits.unmapped == AddressBits() }
    guard let listener, let holder = census.holders.first(of: sockets[listener].inode) else { return nil }
    return Observed.Owner(pid: holder.pid, started: census.programs[holder.pid]?.started ?? 0, descriptor: 0)
  }
}
