internal import FinBase

extension FindingID {
  /// Another program holds the socket as well.
  public static let inherited = FindingID(code: "L5")
}

extension Rule {
  static let inherited = Rule(
    .inherited, name: "inherited", summary: "Another program holds the socket as well.",
    isLeak: true,
    fix: Remedies(
      "Open with SOCK_CLOEXEC and accept4(…, SOCK_CLOEXEC), or close everything in the child before exec. To end "
        + "the connection now, shutdown() it: that works for every process that holds it.",
      in: [
        .python:
          "Leave close_fds=True (the default of subprocess) and do not call set_inheritable(True); pass_fds names "
          + "the descriptors that a child may have.",
        .go: "Do not put it into Cmd.ExtraFiles; package net sets close-on-exec on all that it opens.",
      ],
      withFin: "Every socket is created close-on-exec."),
    claims: [.heldByTwoPrograms, .keptByChild],
    find: { $0.inheritances() })
}

extension Claim {
  /// Two programs hold one socket.
  fileprivate static let heldByTwoPrograms = Claim(
    "held by two programs", needs: [.holders],
    .rare("a socket may be handed to another program on purpose"))
}

extension CensusIndex {
  /// A program that holds a socket which another program opened.
  private struct Inheritance: Hashable {
    var owner: Int32
    var heir: Int32
    var isListener: Bool
  }

  /// Sockets that processes of different programs hold at the same time.
  fileprivate func inheritances() -> [Finding] {
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
    if pids.contains(1) || programs.contains(where: { ["systemd", "inetd"].contains($0.fileName) }) { return nil }
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
      .inherited, key.isListener || cannotEnd ? .critical : .warning, .heldByTwoPrograms,
      count: members.count, who: who,
      sentence: "\(who.name) also holds \(what) of \(owner.name), "
        + (isChild(key.heir, of: key.owner) ? "which started it." : "inherited from it or received from it."),
      why: key.isListener
        ? "While \(who.shortName) runs the port is taken, and a restart of \(owner.shortName) fails with "
          + "\"address already in use\"."
        : "A close by \(owner.shortName) sends no FIN as long as \(who.shortName) runs: its peer reads no end of file.",
      facts: [.read(.holders, "\(owner.name) and \(who.name)")],
      evidence: [
        .init("the same inode in", "\(owner.name) and \(who.name)"),
        .init("executables", "\(file(key.owner)) and \(file(key.heir))"), example(members[0]),
      ],
      sockets: members.map { .inet($0) })
    // The remedy belongs in the code of the program that started the other.
    finding.fix = Fix(.inherited, in: owner.language)
    return finding
  }

  private func isChild(_ heir: Int32, of owner: Int32) -> Bool { census.programs[heir]?.parent == owner }

  private func file(_ pid: Int32) -> String { census.programs[pid].map { $0.executable ?? $0.name } ?? "unknown" }

  private func ports(of members: [Int]) -> String {
    Set(members.map { sockets[$0].localPort }).sorted().prefix(8).map { "\($0)" }.joined(separator: ", ")
  }
}
