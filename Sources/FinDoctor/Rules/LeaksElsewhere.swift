/// L5 to L7: sockets that outlive their descriptor, or that were closed before their data was read.
extension CensusIndex {
  /// A program that holds a socket which another program opened.
  private struct Inheritance: Hashable {
    var owner: Int32
    var heir: Int32
    var isListener: Bool
  }

  /// L5: sockets that processes of different programs hold at the same time.
  func inherited() -> [Finding] {
    let shared = sharedInodes()
    if shared.isEmpty { return [] }
    var members: [Inheritance: [Int]] = [:]
    for index in sockets.indices {
      guard standsForDescriptor(index), let pids = shared[sockets[index].inode],
        let (owner, heir) = ownerAndHeir(pids)
      else { continue }
      let key = Inheritance(owner: owner, heir: heir, isListener: sockets[index].state == .listen)
      members[key, default: []].append(index)
    }
    return members.sorted { ($0.key.owner, $0.key.heir) < ($1.key.owner, $1.key.heir) }.map(inheritance)
  }

  private func sharedInodes() -> [UInt32: [Int32]] {
    var shared: [UInt32: [Int32]] = [:]
    let entries = census.holders.entries
    var start = 0
    while start < entries.count {
      var end = start + 1
      while end < entries.count, entries[end].inode == entries[start].inode { end += 1 }
      // Entries with the same inode are sorted by process.
      if entries[start].inode != 0, entries[end - 1].pid != entries[start].pid {
        shared[entries[start].inode] = Array(Set(entries[start..<end].map(\.pid))).sorted()
      }
      start = end
    }
    return shared
  }

  /// Tells the process that opened a socket from the one that inherited it. Of two different programs, the owner is the
  /// one that started the other, or else the older one.
  ///
  /// Nil when all of them are the same program, such as the workers of a server, and when the service manager is one of
  /// them, because it opens sockets for other programs on purpose.
  private func ownerAndHeir(_ pids: [Int32]) -> (owner: Int32, heir: Int32)? {
    let programs = pids.compactMap { census.programs[$0] }
    if pids.contains(1) || programs.contains(where: { $0.name == "systemd" || $0.name == "inetd" }) { return nil }
    func file(_ program: Program) -> String { program.executable ?? program.name }
    for heir in programs {
      for owner in programs where file(owner) != file(heir) && heir.parent == owner.pid { return (owner.pid, heir.pid) }
    }
    let sorted = programs.sorted { ($0.age ?? .zero, $1.pid) > ($1.age ?? .zero, $0.pid) }
    guard let owner = sorted.first, let heir = sorted.first(where: { file($0) != file(owner) }) else { return nil }
    return (owner.pid, heir.pid)
  }

  private func inheritance(_ key: Inheritance, _ members: [Int]) -> Finding {
    let descriptors = members.flatMap { index in
      census.holders[sockets[index].inode].filter { $0.pid == key.heir }.map(\.descriptor)
    }
    let who = who(OwnerKey(pid: key.heir), descriptors: descriptors.sorted(), others: [key.owner])
    let owner = self.who(OwnerKey(pid: key.owner))
    let cannotEnd = members.contains { sockets[$0].state == .closeWait }
    let what =
      key.isListener
      ? NumberText.noun(members.count, "listener") + " on port " + ports(of: members)
      : NumberText.noun(members.count, "connection")
    var finding = Finding(
      .inherited, key.isListener || cannotEnd ? .critical : .warning, count: members.count, who: who,
      sentence: "\(who.name) also holds \(what) of \(owner.name), which it inherited when it was started.",
      why: key.isListener
        ? "While \(who.shortName) runs the port is taken, and a restart of \(owner.shortName) fails with "
          + "\"address already in use\"."
        : "A close by \(owner.shortName) sends no FIN as long as \(who.shortName) runs: its peer reads no end of file.",
      evidence: [
        .init("the same inode in", "\(owner.name) and \(who.name)"),
        .init("executables", "\(file(key.owner)) and \(file(key.heir))"), example(members[0]),
      ],
      confidence: .likely("a socket may be handed to another program on purpose"))
    // The remedy belongs in the code of the program that started the other.
    finding.fix = Fix(.inherited, in: owner.language)
    return finding
  }

  private func file(_ pid: Int32) -> String { census.programs[pid].map { $0.executable ?? $0.name } ?? "unknown" }

  private func ports(of members: [Int]) -> String {
    Set(members.map { sockets[$0].localPort }).sorted().prefix(8).map { "\($0)" }.joined(separator: ", ")
  }

  /// L6: connected sockets that no descriptor holds. Judged only where every process could be read.
  func withoutDescriptor() -> [Finding] {
    // If some process cannot be read, that process may hold them.
    guard !ownedByNobody.isEmpty, census.gaps.unreadableProcessCount == 0 else { return [] }
    var members: [Int32: [Int]] = [:]
    for index in ownedByNobody where options.passingBefore?.contains(sockets[index].identity) != false {
      members[options.ringHolders[sockets[index].inode] ?? -1, default: []].append(index)
    }
    let before = options.earlier.map { earlier in
      let look = CensusIndex(earlier, options)
      return look.ownedByNobody.count { look.sockets[$0].state == .established }
    }
    return members.sorted { $0.key < $1.key }.map { pid, all in
      let who = pid > 0 ? who(OwnerKey(pid: pid)) : nil
      let isGrowing = before.map { all.count > $0 } ?? false
      let isMany = all.count >= thresholds.noDescriptorMany && (isGrowing || thresholds.noDescriptorMany <= 1)
      let oldest = all.map { timeInState($0) }.max { $0.lower < $1.lower }
      let place =
        switch pid {
        case 1...: "\(who?.name ?? "a process") holds them as registered files of an io_uring"
        default:
          "an SCM_RIGHTS message that no process has received, an io_uring ring, or the kernel itself holds them"
        }
      return Finding(
        .noDescriptor, isMany ? .warning : .info, count: all.count, who: who, since: oldest,
        sentence:
          "\(NumberText.noun(all.count, "connection")) \(NumberText.verb(all.count, "is", "are")) open and in no "
          + "process's descriptor table: \(place).",
        evidence: [
          .init("inode", "\(sockets[all[0]].inode)"), .init("descriptors with it", "none in any process"),
          example(all[0]),
        ],
        confidence: pid > 0 || options.passingBefore != nil
          ? .certain : .possible("a process may have closed it, or received it, between the two readings"))
    }
  }

  /// L7: connections that were closed with data unread, between the two censuses.
  func closedUnread() -> [Finding] {
    guard let earlier = options.earlier, census.when.monotonic > earlier.when.monotonic else { return [] }
    let seconds = Double(census.when.monotonic - earlier.when.monotonic) / 1e9
    // EOF counts as one byte in Recv-Q. A connection that this side reset has nothing left in its queue.
    let unread = options.closed.filter { $0.transport == .tcp && $0.receiveQueue > 1 }
    var all: [Finding] = []
    var byPort: [PortOfNamespace: [InetSocket]] = [:]
    for socket in unread {
      byPort[PortOfNamespace(namespace: socket.namespace, port: socket.localPort), default: []].append(socket)
    }
    for (port, closed) in byPort.sorted(by: { $0.key.port < $1.key.port }) {
      let listener = listeners.first {
        sockets[$0].namespace == port.namespace && sockets[$0].localPort == port.port
      }
      let rate = Double(closed.count) / seconds
      let bytes = closed.reduce(UInt64(0)) { $0 + UInt64($1.receiveQueue) }
      all.append(
        closedUnreadFinding(
          count: closed.count, rate: rate, who: listener.map { who(owner(of: sockets[$0])) },
          place: listener == nil ? "from local port \(port.port)" : "on local port \(port.port)",
          evidence: [.init("destroy events with Recv-Q above 1", "\(closed.count)"), .init("bytes unread", "\(bytes)")])
      )
    }
    // In a namespace without destroy events, its counters still give the number.
    let told = Set(byPort.keys.map(\.namespace))
    for (number, namespace) in census.namespaces.enumerated() where !told.contains(UInt16(clamping: number)) {
      guard let before = earlier.namespaces.first(where: { $0.inode == namespace.inode }),
        let old = before.counters["TcpExt.TCPAbortOnClose"], let new = namespace.counters["TcpExt.TCPAbortOnClose"],
        new > old
      else { continue }
      all.append(
        closedUnreadFinding(
          count: Int(new - old), rate: Double(new - old) / seconds, who: nil,
          place: "in the network namespace \(namespace.name)",
          evidence: [.init("TCPAbortOnClose", "\(NumberText.number(old)), then \(NumberText.number(new))")]))
    }
    return all
  }

  private func closedUnreadFinding(
    count: Int, rate: Double, who: Who?, place: String, evidence: [Finding.Evidence]
  ) -> Finding {
    let rateText = "\(Int(rate * 10) / 10).\(Int(rate * 10) % 10) a second"
    return Finding(
      .closedUnread, rate > thresholds.closedUnreadRate ? .warning : .info, count: count, who: who,
      sentence: "\(who?.name ?? "A program") closed \(NumberText.noun(count, "connection")) \(place) with data unread: "
        + "the peer is reset, and may lose the last bytes that were sent to it.",
      why: "A close with unread data sends RST instead of FIN (RFC 9293, section 3.6.1; RFC 2525, section 2.17).",
      evidence: [.init("rate", rateText)] + evidence,
      confidence: .likely("the program may mean to abort"))
  }
}
