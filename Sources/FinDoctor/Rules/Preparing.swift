internal import FinBase

extension Diagnosis {
  /// Reads what the findings need beyond the census: epoll sets and waiting threads, programs that are near their
  /// descriptor limit without holding a visible socket, and the programs' languages.
  ///
  /// Reads only the few processes that a finding may be about.
  public static func prepare(_ census: inout Census, _ options: inout Options) {
    let look = CensusIndex(census, options)
    let pids = look.processesToWatch
    // A process with few descriptors is not near a limit. Reading the limit needs no privileges.
    census.readPrograms(
      of: census.holders.processes.filter { census.programs[$0.pid] == nil && ($0.descriptorCount ?? 0) >= 100 }
        .map(\.pid))
    census.watch(pids)
    // Few programs publish a ledger; only those with a finding are read.
    if !census.holders.ledgers.isEmpty {
      census.readLedgers(of: findings(in: census, options).compactMap { $0.who?.pid })
    }
    for pid in pids where options.languages[pid] == nil {
      let byName = census.programs[pid].map { Language(executable: $0.fileName) } ?? .unknown
      if byName != .unknown {
        options.languages[pid] = byName
      } else {
        let (language, isSilent) = Language.reading(pid, user: census.programs[pid]?.user)
        options.languages[pid] = language
        if isSilent { census.gaps.note(.executable, of: pid) }
      }
    }
  }
}

extension CensusIndex {
  /// The processes whose epoll sets and waiting threads a rule reads: all that hold a socket, because any of them may
  /// be the one that watches it. Of very many, these are the first.
  var processesToWatch: Set<Int32> {
    var pids: Set<Int32> = []
    for rule in Rule.all {
      for index in rule.watches(self) {
        for holder in census.holders[sockets[index].inode].prefix(256) { pids.insert(holder.pid) }
      }
    }
    return pids
  }
}
