internal import FinBase

extension FindingID {
  /// Sockets that no descriptor holds.
  public static let noDescriptor = FindingID(code: "L6")
}

extension Rule {
  static let noDescriptor = Rule(
    .noDescriptor, name: "no-fd-holder", summary: "Sockets that no descriptor holds.",
    isLeak: true,
    fix: Remedies(
      "Unregister the file from the ring; receive messages with room for their descriptors, and close those of a "
        + "truncated message (MSG_CTRUNC).",
      withFin: "Descriptors are lent for a scope, and never sent by accident."),
    claims: [.heldByNoDescriptor],
    find: { $0.withoutDescriptor() })
}

extension Claim {
  /// Sockets that no descriptor of any process holds.
  fileprivate static let heldByNoDescriptor = Claim(
    "held by no descriptor", needs: [.rows, .allProcesses],
    .common(
      "a process may have closed it, or received it, between the two readings", unless: .secondCensus, .holders))
}

extension CensusIndex {
  /// Connected sockets that no descriptor holds. Judged only where every process could be read.
  fileprivate func withoutDescriptor() -> [Finding] {
    // If some process cannot be read, that process may hold them.
    guard !ownedByNobody.isEmpty, census.gaps.unreadableProcessCount == 0 else { return [] }
    var members: [Int32: [Int]] = [:]
    for index in ownedByNobody where options.passingBefore?.contains(sockets[index].identity) != false {
      members[options.ringHolders[sockets[index].inode] ?? -1, default: []].append(index)
    }
    let before = before.first.map { earlier in
      earlier.ownedByNobody.count { earlier.sockets[$0].state == .established }
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
        .noDescriptor, isMany ? .warning : .info, .heldByNoDescriptor, count: all.count, who: who, since: oldest,
        sentence:
          "\(NumberText.noun(all.count, "connection")) \(NumberText.verb(all.count, "is", "are")) open and in no "
          + "process's descriptor table: \(place).",
        facts: [
          .read(.rows, "inode \(sockets[all[0]].inode)"),
          .holds(.allProcesses, "read", census.gaps.unreadableProcessCount == 0),
          .holds(.secondCensus, "in the same condition", options.passingBefore != nil),
          .holds(.holders, "an io_uring of process \(pid)", pid > 0),
        ],
        evidence: [
          .init("inode", "\(sockets[all[0]].inode)"), .init("descriptors with it", "none in any process"),
          example(all[0]),
        ],
        sockets: all.map { .inet($0) })
    }
  }
}
