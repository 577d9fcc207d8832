extension FindingID {
  /// A process of an earlier generation of a server still has connections.
  public static let oldGeneration = FindingID(code: "G1")
}

extension Rule {
  static let oldGeneration = Rule(
    .oldGeneration, name: "old-generation",
    summary: "A server's process from before a reload still has connections.",
    fix: Remedies(
      "Give the old process a limit after a reload: hard-stop-after (haproxy), worker_shutdown_timeout (nginx). Look "
        + "at its connections: fin explain PID.",
      withFin: "stop(within:) ends the connections that are left at its deadline, and reports them."),
    claims: [.beforeReload],
    find: { $0.oldGenerations() })
}

extension Claim {
  /// A younger process of the same program and parent has taken over the listener.
  fileprivate static let beforeReload = Claim(
    "from before a reload", needs: [.rows, .holders, .programs],
    .rare("a worker that gets its connections from another process looks the same"))
}

extension CensusIndex {
  /// An old process and the youngest one that took over its listeners.
  private struct Succession: Hashable {
    var old: Int32
    var new: Int32
  }

  /// Processes that have connections on a port where they do not listen, while a younger process of the same program
  /// and parent does.
  fileprivate func oldGenerations() -> [Finding] {
    var accepting: [PortOfNamespace: Set<Int32>] = [:]
    for index in listeners {
      let port = PortOfNamespace(namespace: sockets[index].namespace, port: sockets[index].localPort)
      accepting[port, default: []].formUnion(census.holders[sockets[index].inode].map(\.pid))
    }
    if accepting.isEmpty { return [] }
    var members: [Succession: [Int]] = [:]
    for index in named where sockets[index].inode != 0 {
      let port = PortOfNamespace(namespace: sockets[index].namespace, port: sockets[index].localPort)
      guard let acceptors = accepting[port], let pid = census.holders.first(of: sockets[index].inode)?.pid,
        !acceptors.contains(pid), let new = successor(of: pid, among: acceptors)
      else { continue }
      members[Succession(old: pid, new: new), default: []].append(index)
    }
    return members.sorted { $0.key.old < $1.key.old }.map(oldGeneration)
  }

  /// The process that was started last among those of the same executable and the same parent that are younger.
  private func successor(of pid: Int32, among acceptors: Set<Int32>) -> Int32? {
    guard let old = census.programs[pid], let age = old.age, let parent = old.parent, let file = old.executable else {
      return nil
    }
    let younger = acceptors.compactMap { census.programs[$0] }.filter {
      $0.executable == file && $0.parent == parent && $0.age ?? age < age
    }
    return younger.min { ($0.age ?? .zero, $0.pid) < ($1.age ?? .zero, $1.pid) }?.pid
  }

  private func oldGeneration(_ succession: Succession, _ members: [Int]) -> Finding {
    let descriptors = members.flatMap { index in
      census.holders[sockets[index].inode].filter { $0.pid == succession.old }.map(\.descriptor)
    }
    let who = who(OwnerKey(pid: succession.old), descriptors: descriptors.sorted())
    let new = self.who(OwnerKey(pid: succession.new))
    let (oldAge, newAge) = (
      census.programs[succession.old]?.age ?? .zero, census.programs[succession.new]?.age ?? .zero
    )
    func time(_ age: Duration) -> String { "\(AgeBounds(atLeast: age.milliseconds, atMost: age.milliseconds))" }
    let ports = Set(members.map { sockets[$0].localPort }).sorted()
    let words = ports.prefix(8).map { "\($0)" }.joined(separator: ", ")
    return Finding(
      .oldGeneration, newAge >= thresholds.drain ? .warning : .info, .beforeReload, count: members.count, who: who,
      since: AgeBounds(atMost: newAge.milliseconds),
      sentence: "\(who.name) is from before a reload: \(new.name), started \(time(oldAge - newAge)) later by the same "
        + "parent, listens on port \(words) now, and the old one still has "
        + "\(NumberText.noun(members.count, "connection")) there.",
      why: "The old process ends when its last connection does. It accepts no new ones.",
      facts: [
        .read(.rows, "listener and connections on port \(words)"),
        .read(.holders, "listener: process \(succession.new), connections: process \(succession.old)"),
        .read(.programs, "one executable and parent, started \(time(oldAge - newAge)) apart"),
      ],
      evidence: [
        .init("started", "\(time(oldAge)) and \(time(newAge)) ago"),
        .init("executable of both", census.programs[succession.old]?.executable ?? "unknown"),
        .init("parent of both", census.programs[succession.old]?.parent.map { "\($0)" } ?? "unknown"),
        example(members[0]),
      ], sockets: members.map { .inet($0) })
  }
}
