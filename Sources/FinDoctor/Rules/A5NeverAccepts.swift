extension FindingID {
  /// A listener that no process accepts on.
  public static let neverAccepts = FindingID(code: "A5")
}

extension Rule {
  static let neverAccepts = Rule(
    .neverAccepts, name: "never-accepts", summary: "A listener that was left to a process which does not accept.",
    fix: Remedies(
      "End the process that holds it. Open listeners with SOCK_CLOEXEC, or close them in the child before exec.",
      in: [
        .python: "Leave close_fds=True (the default of subprocess), and do not call set_inheritable(True).",
        .go: "Do not put it into Cmd.ExtraFiles; package net sets close-on-exec on all that it opens.",
      ],
      withFin: "Every socket is created close-on-exec."),
    claims: [.leftWithoutAccept],
    leadsTo: [.atListener(.acceptStalled, rank: 5)],
    watches: \.abandonedListeners,
    find: { $0.neverAccepting() })
}

extension Claim {
  /// None of the processes that hold the listener waits for its clients.
  fileprivate static let leftWithoutAccept = Claim(
    "left without accept", needs: [.rows, .holders, .watchers, .programs],
    .rare("a program that accepts by a timer, or has not begun to accept, looks the same"))
}

extension CensusIndex {
  /// Listeners whose holders have lost the process that started them, and that serve no client at this moment.
  ///
  /// A server that is busy with a client does not wait in accept either; one without clients does.
  fileprivate var abandonedListeners: [Int] {
    let all = listeners.filter { index in
      let holders = census.holders[sockets[index].inode]
      return !holders.isEmpty && holders.allSatisfy { isOrphan($0.pid) && census.holders.rings(of: $0.pid).isEmpty }
    }
    if all.isEmpty { return [] }
    var serving: Set<PortOfNamespace> = []
    for index in named where sockets[index].inode != 0 {
      serving.insert(PortOfNamespace(namespace: sockets[index].namespace, port: sockets[index].localPort))
    }
    return all.filter {
      !serving.contains(PortOfNamespace(namespace: sockets[$0].namespace, port: sockets[$0].localPort))
    }
  }

  /// Whether the process that started this one has ended: the kernel has given it to process 1, or the leader of its
  /// process group is gone. A service that process 1 has started leads its own group.
  private func isOrphan(_ pid: Int32) -> Bool {
    guard let program = census.programs[pid], let group = program.group, group != pid, group > 0,
      program.age ?? .zero >= thresholds.orphanAge
    else { return false }
    return program.parent == 1 || census.holders.process(group) == nil
  }

  /// Listeners of such processes, none of which waits for clients.
  fileprivate func neverAccepting() -> [Finding] {
    abandonedListeners.filter(isUnattended).map { index in
      let socket = sockets[index]
      let who = who(ofListener: index)
      let queued = Int(socket.receiveQueue)
      let holders = Set(census.holders[socket.inode].map(\.pid))
      var finding = Finding(
        .neverAccepts, .warning, .leftWithoutAccept, count: 1, who: who,
        sentence:
          "\(who.name) holds \(words(socket)) and does not wait for clients; it has probably inherited it from a "
          + "process that has ended.",
        why: "No epoll set has the listener, and no thread waits in accept. The kernel still completes the handshakes "
          + "of clients, which then wait, and the port is taken for a restart of the server"
          + (queued > 0 ? ". \(NumberText.noun(queued, "client waits", "clients wait")) now." : "."),
        facts: [
          .read(.rows, "LISTEN, Recv-Q \(socket.receiveQueue)"),
          .read(.holders, "\(holders.count), without the process that started them"),
          watched(index), .read(.programs, census.programs[who.pid ?? 0]?.group.map { "group \($0)" }),
        ],
        evidence: [
          .init("holders", "\(holders.count), none of which waits for it"),
          .init("parent", census.programs[who.pid ?? 0]?.parent.map { "\($0)" } ?? "unknown"),
          .init("leader of its group", census.programs[who.pid ?? 0]?.group.map { "\($0)" } ?? "unknown"),
          .init("waiting", "\(socket.receiveQueue), limit \(socket.sendQueue)"),
        ], sockets: [.inet(index)])
      finding.links = links(to: index)
      return finding
    }
  }

  /// Whether it is known of every holder that it runs and does not wait for this listener.
  private func isUnattended(_ index: Int) -> Bool {
    watchers(of: sockets[index].inode).allSatisfy { $0.way == .unattended && !$0.isHalted }
  }
}
