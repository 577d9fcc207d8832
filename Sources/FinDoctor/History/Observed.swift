/// One socket as a look of a recorder saw it: what an interval of the history consists of.
package struct Observed: Hashable, Sendable {
  /// The name of a socket as long as the machine runs.
  package struct Key: Hashable, Sendable {
    /// ``InetSocket/identity``, or the cookie of a Unix socket.
    package var identity: UInt64
    package var isUnix: Bool

    package init(_ identity: UInt64, isUnix: Bool) {
      self.identity = identity
      self.isUnix = isUnix
    }
  }

  /// A process that holds it, and with which descriptor. The number of a process may be used again, but not with the
  /// same start.
  package struct Owner: Hashable, Sendable {
    package var pid: Int32
    /// The moment of its start, in clock ticks since the machine's; 0 if it could not be read.
    package var started: UInt64
    package var descriptor: Int32

    package init(pid: Int32, started: UInt64, descriptor: Int32) {
      self.pid = pid
      self.started = started
      self.descriptor = descriptor
    }
  }

  package var key: Key
  /// The protocol's number; for Unix sockets, ``unixKind`` and the type.
  package var kind: UInt16
  /// The inode of the network namespace.
  package var namespace: UInt32 = 0
  package var isIPv6 = false
  package var local = AddressBits()
  package var localPort: UInt16 = 0
  package var remote = AddressBits()
  package var remotePort: UInt16 = 0
  /// The name of a Unix socket, escaped.
  package var name = ""
  package var state: SocketState
  package var inode: UInt32 = 0
  package var receiveQueue: UInt32 = 0
  package var sendQueue: UInt32 = 0
  package var drops: UInt32 = 0
  /// The owners, in an order that does not change.
  package var owners: [Owner] = []
  /// The time in this state, as far as the kernel's fields tell.
  package var since = AgeBounds.unknown

  package init(_ key: Key, kind: UInt16, state: SocketState) {
    self.key = key
    self.kind = kind
    self.state = state
  }

  /// The kinds of Unix sockets begin here: `unixKind + type`.
  package static let unixKind: UInt16 = 1000

  /// Whether it belongs to the same interval as it did at the look before: neither its state nor its owners changed.
  func continues(_ other: Observed) -> Bool { state == other.state && owners == other.owners }
}

extension Census {
  /// The sockets of a census for a history: all but those in TIME-WAIT, which only expire, and those without a number
  /// of the kernel.
  package var observed: [Observed] {
    var all: [Observed] = []
    all.reserveCapacity(sockets.count + unixSockets.count)
    let multipath = MPTCPSubflows(sockets)
    for place in sockets.indices where sockets[place].state != .timeWait && sockets[place].identity != 0 {
      let socket = sockets[place]
      let namespace = namespaces[Int(socket.namespace)]
      var one = Observed(.init(socket.identity, isUnix: false), kind: socket.transport.rawValue, state: socket.state)
      one.namespace = namespace.inode
      one.isIPv6 = socket.isIPv6
      (one.local, one.localPort) = (socket.localBits, socket.localPort)
      (one.remote, one.remotePort) = (socket.remoteBits, socket.remotePort)
      one.inode = socket.inode
      (one.receiveQueue, one.sendQueue) = (socket.receiveQueue, socket.sendQueue)
      one.drops = socket.drops ?? 0
      one.owners = owners(of: socket.inode)
      one.since = multipath.since(place, in: sockets, limits: namespace.limits)
      all.append(one)
    }
    for socket in unixSockets where socket.cookie != 0 {
      var one = Observed(
        .init(socket.cookie, isUnix: true), kind: Observed.unixKind + UInt16(socket.type.rawValue), state: socket.state)
      one.namespace = namespaces[Int(socket.namespace)].inode
      one.name = visible(unixNames[Int(socket.name.lowerBound)..<Int(socket.name.upperBound)])
      one.inode = socket.inode
      (one.receiveQueue, one.sendQueue) = (socket.receiveQueue, socket.sendQueue)
      one.owners = owners(of: socket.inode)
      all.append(one)
    }
    return all
  }

  private func owners(of inode: UInt32) -> [Observed.Owner] {
    holders[inode].map { .init(pid: $0.pid, started: programs[$0.pid]?.started ?? 0, descriptor: $0.descriptor) }
  }

  /// Whether the process of an owner still runs, as far as this census shows it.
  func runs(_ owner: Observed.Owner) -> Bool {
    guard let process = holders.process(owner.pid) else { return false }
    // A process that ends closes its descriptors first; its number remains until its parent has waited for it.
    if process.descriptorCount == 0, ProcessState.isEnding(owner.pid) { return false }
    guard let started = programs[owner.pid]?.started, owner.started != 0 else { return true }
    return started == owner.started
  }
}
