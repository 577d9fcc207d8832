internal import FinBase

/// An address and a port to search for.
package struct AddressPort: Hashable, Sendable {
  /// The address; nil for every address.
  package var address: WrittenAddress?
  /// The port.
  package var port: UInt16

  /// Creates a search for an address and a port.
  /// - Parameters:
  ///   - address: The address; nil or an unspecified one for every address.
  ///   - port: The port.
  package init(_ address: NetworkAddress?, port: UInt16) {
    self.init(written: address.map { WrittenAddress($0) }, port: port)
  }

  /// Creates a search for an address, whose interface may be a name, and a port.
  package init(written address: WrittenAddress?, port: UInt16) {
    self.address = address.flatMap { $0.address.isUnspecified ? nil : $0 }
    self.port = port
  }

  func isLocal(of socket: InetSocket, in census: Census) -> Bool {
    guard socket.localPort == port else { return false }
    // A listener on every address also listens on this one.
    let v4 = address?.address.asIPv4
    return matches(socket.localAddress, of: socket, in: census)
      || socket.remotePort == 0 && socket.localAddress.isUnspecified
        && (socket.isIPv6 || v4 != nil) && !(socket.isIPv6Only == true && v4 != nil)
  }

  func isRemote(of socket: InetSocket, in census: Census) -> Bool {
    socket.remotePort == port && matches(socket.remoteAddress, of: socket, in: census)
  }

  private func matches(_ other: NetworkAddress, of socket: InetSocket, in census: Census) -> Bool {
    guard let written = address else { return true }
    if let v4 = written.address.asIPv4 { return v4 == other.asIPv4 }
    guard written.address.bits == other.bits, let interface = written.interface(in: census.namespace(of: socket)) else {
      return false
    }
    return interface == 0 || other.interface == 0 || interface == other.interface
  }
}

/// Searching for sockets.
extension Census {
  /// The sockets of this inode: one or none.
  package func references(toInode inode: UInt32) -> [SocketReference] {
    guard inode != 0 else { return [] }
    if let place = descriptorRows.first(where: { sockets[$0].inode == inode }) { return [.inet(place)] }
    if let place = unixSockets.firstIndex(where: { $0.inode == inode }) { return [.unix(place)] }
    if let place = detached.firstIndex(where: { $0.inode == inode }) { return [.detached(place)] }
    return []
  }

  /// Indices of the rows that stand for the object that a descriptor holds: the MPTCP connection and not its subflows.
  private var descriptorRows: [Int] {
    let multipath = MPTCPSubflows(sockets)
    return sockets.indices.filter { multipath.isTheDescriptors($0, in: sockets) }
  }

  /// The TCP, UDP, MPTCP and Unix sockets that a process holds, by descriptor. Sockets of other kinds are left out.
  package func references(heldBy pid: Int32) -> [(descriptor: Int32, socket: SocketReference)] {
    var wanted: [UInt32: [Int32]] = [:]
    for holder in holders.entries where holder.pid == pid {
      wanted[holder.inode, default: []].append(holder.descriptor)
    }
    guard !wanted.isEmpty else { return [] }
    var found: [(descriptor: Int32, socket: SocketReference)] = []
    func add(_ inode: UInt32, _ socket: SocketReference) {
      for descriptor in wanted[inode] ?? [] { found.append((descriptor, socket)) }
    }
    for place in descriptorRows { add(sockets[place].inode, .inet(place)) }
    for place in unixSockets.indices { add(unixSockets[place].inode, .unix(place)) }
    for place in detached.indices { add(detached[place].inode, .detached(place)) }
    return found.sorted { $0.descriptor < $1.descriptor }
  }

  /// The sockets at an address and port, their own or their peer's; with a second end, those between the two.
  ///
  /// If both ends of a connection are on this machine, both are among the results. With two ends given, the result is
  /// the socket whose local end is `place`; if there is none, the one whose local end is `other`. An MPTCP connection
  /// stands for its subflows between the same two ends.
  /// - Parameters:
  ///   - place: One end.
  ///   - other: The other end; nil for any.
  package func references(at place: AddressPort, _ other: AddressPort? = nil) -> [SocketReference] {
    guard let other else {
      return once(
        sockets.indices.filter {
          place.isLocal(of: sockets[$0], in: self) || place.isRemote(of: sockets[$0], in: self)
        })
    }
    func between(_ local: AddressPort, _ remote: AddressPort) -> [SocketReference] {
      once(
        sockets.indices.filter {
          local.isLocal(of: sockets[$0], in: self) && remote.isRemote(of: sockets[$0], in: self)
        })
    }
    let found = between(place, other)
    return found.isEmpty ? between(other, place) : found
  }

  /// Removes subflows whose MPTCP socket is among the results, and duplicate rows of a listener.
  private func once(_ places: [Int]) -> [SocketReference] {
    let multipath = MPTCPSubflows(sockets)
    let all = Set(places)
    return places.filter { place in
      if sockets[place].state == .listen { return multipath.isTheDescriptors(place, in: sockets) }
      return multipath.owner(ofPath: place).map { !all.contains($0) } ?? true
    }.map { .inet($0) }
  }

  /// The Unix sockets of this name: a path, or `@` and an abstract name.
  package func references(toName name: String) -> [SocketReference] {
    unixSockets.indices.filter { self.name(of: unixSockets[$0]) == name }.map { .unix($0) }
  }

  /// The inode of a socket; 0 for one that never had a descriptor or no longer has one.
  package func inode(of socket: SocketReference) -> UInt32 {
    switch socket {
    case .inet(let place): sockets[place].inode
    case .unix(let place): unixSockets[place].inode
    case .detached(let place): detached[place].inode
    }
  }

  /// The other end of a connection, when it is also on this machine: over loopback, or in another namespace.
  package func otherEnd(of socket: SocketReference) -> SocketReference? {
    switch socket {
    case .detached: return nil
    case .unix(let place):
      guard let peer = unixSockets[place].peer, peer != 0 else { return nil }
      return unixSockets.firstIndex { $0.inode == peer }.map { .unix($0) }
    case .inet(let place):
      let own = sockets[place]
      guard own.remotePort != 0, own.state != .listen else { return nil }
      let ends = sockets.indices.filter { sockets[$0].isOtherEnd(of: own) && $0 != place }
      let near = ends.filter { sockets[$0].namespace == own.namespace }
      if !near.isEmpty { return near.count == 1 ? .inet(near[0]) : nil }
      // Namespaces that are not connected may use the same addresses, so the rows must agree on their age as well.
      // Several that do are ambiguous.
      let far = ends.filter { sockets[$0].agrees(with: own) }
      return far.count == 1 ? .inet(far[0]) : nil
    }
  }
}

extension InetSocket {
  /// Whether this row is the other end of that connection.
  func isOtherEnd(of other: InetSocket) -> Bool {
    guard localPort == other.remotePort, remotePort == other.localPort, transport == other.transport else {
      return false
    }
    return localAddress.isSame(as: other.remoteAddress) && remoteAddress.isSame(as: other.localAddress)
  }
}

extension InetSocket {
  /// Whether this can be the other end of that connection, by the time since the handshake, which is the same at both.
  ///
  /// A handshake leaves no number that both ends keep, so this excludes strangers and proves nothing.
  fileprivate func agrees(with other: InetSocket) -> Bool {
    guard transport == .tcp, state == .established, other.state == .established else { return true }
    let (mine, its) = (AgeBounds.handshake(self, finished: false), AgeBounds.handshake(other, finished: false))
    // The last step of a handshake may be lost; then the later end is younger by a retransmission or two.
    func isOlder(_ one: AgeBounds, than two: AgeBounds) -> Bool {
      two.upper < .max - 3000 && one.lower > two.upper + 3000
    }
    return !isOlder(mine, than: its) && !isOlder(its, than: mine)
  }
}

/// The object behind a descriptor.
package enum DescriptorTarget: Hashable, Sendable {
  /// A socket, with its inode and the kernel's name of its protocol (`TCP`, `NETLINK`), if known.
  case socket(inode: UInt32, protocolName: String?)
  /// Any other file, made visible: `/dev/null`, `pipe:[812]`.
  case other(String)
  /// The process has no such descriptor.
  case closed
  /// There is no such process.
  case noProcess
  /// The process may not be read.
  case hidden

  /// Reads the target of a process's descriptor.
  package static func read(_ pid: Int32, _ descriptor: Int32) -> DescriptorTarget {
    let path = "/proc/\(pid)/fd/\(descriptor)"
    do throws(KernelError) {
      let link = try Files.link(path)
      guard let inode = unsafe link.withUnsafeBytes({ unsafe linkedInode($0, after: "socket:[") }) else {
        return .other(visible(link))
      }
      let name = try? Files.attribute("system.sockprotoname", of: path)
      return .socket(inode: inode, protocolName: name.map { visible($0) })
    } catch {
      if error.isRefusal { return .hidden }
      return (try? Files.status("/proc/\(pid)")) == nil ? .noProcess : .closed
    }
  }
}
