/// Parts of a census: a report may be about less than the machine.
extension Census {
  /// Leaves out a process: its descriptors, and the sockets that no other process holds.
  ///
  /// For the process that takes the census, which may have inherited sockets. They are not its own, and the process
  /// ends with its report.
  package mutating func leaveOut(_ pid: Int32) { leaveOut([pid]) }

  /// Leaves out several processes.
  mutating func leaveOut(_ pids: Set<Int32>) {
    let own = Set(holders.entries.lazy.filter { pids.contains($0.pid) }.map(\.inode))
    let others = Set(holders.entries.lazy.filter { !pids.contains($0.pid) && own.contains($0.inode) }.map(\.inode))
    let alone = own.subtracting(others)
    if !alone.isEmpty {
      sockets.removeAll { alone.contains($0.inode) }
      unixSockets.removeAll { alone.contains($0.inode) }
      detached.removeAll { alone.contains($0.inode) }
    }
    func rest(_ all: ContiguousArray<Holder>) -> ContiguousArray<Holder> { all.filter { !pids.contains($0.pid) } }
    if !own.isEmpty || pids.contains(where: { holders.process($0) != nil }) {
      holders = Holders(
        sockets: rest(holders.entries), processes: holders.processes.filter { !pids.contains($0.pid) },
        epolls: rest(holders.epolls), ledgers: rest(holders.ledgers), rings: rest(holders.rings))
    }
    for pid in pids { programs[pid] = nil }
  }

  /// Keeps only the sockets that a census with these options would have read.
  package mutating func select(_ options: Options) {
    sockets.removeAll { !options.transports.contains($0.transport) }
    if !options.readsUnixSockets { unixSockets.removeAll() }
    detached.removeAll { !options.readsDetached || !options.transports.contains($0.transport) }
    if !options.readsAllNamespaces { keep(namespaces: Set(namespaces.indices.filter { namespaces[$0].isOwn })) }
  }

  /// Keeps only the sockets of these namespaces, given by their indices. A detached socket is in no namespace.
  package mutating func keep(namespaces places: Set<Int>) {
    sockets.removeAll { !places.contains(Int($0.namespace)) }
    unixSockets.removeAll { !places.contains(Int($0.namespace)) }
    detached.removeAll()
  }
}
