internal import FinBase

extension Diagnosis {
  /// Finds what a program left behind when it ended: sockets that it had not closed, sockets that its children still
  /// hold, and data that the kernel still has to deliver.
  /// - Parameters:
  ///   - pid: The program. It is at its end in the first census and gone in the second.
  ///   - atEnd: The census taken at its end.
  ///   - after: A census taken later.
  ///   - children: The processes that it left running.
  ///   - options: As for ``Diagnosis/findings(in:_:)``.
  package static func leftovers(
    of pid: Int32, atEnd: Census, after: Census, children: Set<Int32>, _ options: Options = Options()
  ) -> [Finding] {
    let look = CensusIndex(atEnd, options)
    let later = CensusIndex(after, options)
    var held: Set<UInt64> = []
    var reset: [Int] = []
    for index in atEnd.sockets.indices where atEnd.sockets[index].transport != .udp {
      let holders = atEnd.holders[atEnd.sockets[index].inode]
      guard holders.contains(where: { $0.pid == pid }) else { continue }
      held.insert(atEnd.sockets[index].identity)
      // The end of the program closes them, unless another process holds them too.
      if atEnd.sockets[index].receiveQueue > 1, look.standsForDescriptor(index), atEnd.sockets[index].state != .listen,
        holders.allSatisfy({ $0.pid == pid })
      {
        reset.append(index)
      }
    }
    let found = findings(in: atEnd, options).filter { $0.who?.pid == pid && FindingID.leaks.contains($0.id) }
    return found + look.resetAtEnd(reset, pid)
      + later.inChildren(children, held, look.who(CensusIndex.OwnerKey(pid: pid)))
      + later.orphans(of: held, look.who(CensusIndex.OwnerKey(pid: pid)))
  }

  /// The number of TCP, UDP and MPTCP sockets that a process holds.
  package static func socketCount(of pid: Int32, in census: Census) -> Int {
    var inodes = Set(census.detached.lazy.filter { $0.pid == pid }.map(\.inode))
    for socket in census.sockets where census.holders[socket.inode].contains(where: { $0.pid == pid }) {
      inodes.insert(socket.inode)
    }
    return inodes.count
  }
}

/// The claims about a program that has ended. Both censuses are of one process that was watched to its end.
extension Claim {
  /// Connections had data unread when the program ended.
  static let resetAtEnd = Claim("reset at the end", needs: [.receiveQueue, .holders])
  /// A child holds sockets after the program has ended.
  static let keptByChild = Claim("kept by a child", needs: [.holders])
  /// The kernel still delivers data after the program has ended.
  static let leftToDeliver = Claim("left to deliver", needs: [.rows])
}

extension CensusIndex {
  fileprivate func resetAtEnd(_ members: [Int], _ pid: Int32) -> [Finding] {
    guard let first = members.first else { return [] }
    let descriptors = members.flatMap { census.holders[sockets[$0].inode].map(\.descriptor) }.sorted()
    let bytes = members.reduce(UInt64(0)) { $0 + UInt64(sockets[$1].receiveQueue) }
    // MPTCP reports its receive queue as memory and not as bytes of data.
    let amount = members.contains { sockets[$0].transport == .mptcp } ? "data" : NumberText.bytes(bytes)
    return [
      Finding(
        .closedUnread, .warning, .resetAtEnd, count: members.count,
        who: who(OwnerKey(pid: pid), descriptors: descriptors),
        sentence: "\(who(OwnerKey(pid: pid)).name) ended with \(amount) unread in "
          + "\(NumberText.noun(members.count, "connection")): the peers are reset, and may lose data sent to them.",
        why: "The end of a program closes its sockets, and a close with unread data sends RST instead of FIN.",
        facts: [.read(.receiveQueue, amount), .read(.holders, "process \(pid) alone")],
        evidence: [.init("Recv-Q", "\(sockets[first].receiveQueue)"), example(first)])
    ]
  }

  fileprivate func inChildren(_ children: Set<Int32>, _ held: Set<UInt64>, _ parent: ProcessOwner) -> [Finding] {
    var members: [Int32: [Int]] = [:]
    for index in sockets.indices where standsForDescriptor(index) {
      for pid in Set(census.holders[sockets[index].inode].map(\.pid)).intersection(children) {
        members[pid, default: []].append(index)
      }
    }
    return members.sorted { $0.key < $1.key }.map { pid, all in
      let own = all.count { held.contains(sockets[$0].identity) }
      let descriptors = all.flatMap { index in
        census.holders[sockets[index].inode].filter { $0.pid == pid }.map(\.descriptor)
      }
      let who = who(OwnerKey(pid: pid), descriptors: descriptors.sorted())
      return Finding(
        .inherited, .warning, .keptByChild, count: all.count, who: who,
        sentence: "\(parent.name) has ended, and its child \(who.name) still holds "
          + "\(NumberText.noun(all.count, "TCP socket"))"
          + (own > 0 ? ", of which \(own) \(NumberText.verb(own, "was", "were")) open in \(parent.shortName)." : "."),
        why: own > 0 ? "Their peers receive no FIN as long as the child runs." : "The program left the child running.",
        facts: [.read(.holders, who.name)], evidence: [.init("parent", "gone"), example(all[0])])
    }
  }

  fileprivate func orphans(of held: Set<UInt64>, _ parent: ProcessOwner) -> [Finding] {
    let members = orphaned.filter { held.contains(sockets[$0].identity) && sockets[$0].sendQueue > 0 }
    guard let first = members.first else { return [] }
    let bytes = members.reduce(UInt64(0)) { $0 + UInt64(sockets[$1].sendQueue) }
    return [
      Finding(
        .orphans, .warning, .leftToDeliver, count: members.count, who: parent,
        sentence: "\(parent.name) has ended and left \(NumberText.noun(members.count, "connection")) with "
          + "\(NumberText.bytes(bytes)) that "
          + "\(NumberText.verb(members.count, "its peer has", "their peers have")) not taken.",
        why: "The kernel still tries to deliver them, and no program will know whether they arrive.",
        facts: [.read(.rows, "Send-Q \(sockets[first].sendQueue), no descriptor")],
        evidence: [
          .init("state", sockets[first].state.description), .init("Send-Q", "\(sockets[first].sendQueue)"),
          .init("timer", sockets[first].timer.description), example(first),
        ])
    ]
  }
}
