internal import FinBase

extension Diagnosis {
  /// Reads what the findings need beyond the census: epoll sets and waiting threads, programs that are near their
  /// descriptor limit without holding a visible socket, and the programs' languages.
  ///
  /// Reads only the few processes that a finding may be about.
  public static func prepare(_ census: inout Census, _ options: inout Options) {
    let look = CensusIndex(census, options)
    let pids = look.processesToWatch
    if !look.ownedByNobody.isEmpty { options.ringHolders = census.socketsInRings() }
    for process in census.holders.processes where census.programs[process.pid] == nil {
      // A process with few descriptors is not near a limit. Reading the limit needs no privileges.
      guard let count = process.descriptorCount, count >= 100 else { continue }
      census.programs[process.pid] = Program.read(process.pid)
    }
    census.watch(pids)
    // Few programs publish a ledger; only those with a finding are read.
    if !census.holders.ledgers.isEmpty {
      census.readLedgers(of: findings(in: census, options).compactMap { $0.who?.pid })
    }
    for pid in pids where options.languages[pid] == nil {
      let byName = census.programs[pid].map { Language(executable: $0.name) } ?? .unknown
      options.languages[pid] = byName == .unknown ? Language.reading(pid) : byName
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

extension Census {
  /// The inodes of sockets that io_uring instances hold as registered files, each with the process of the ring.
  fileprivate func socketsInRings() -> [UInt32: Int32] {
    var found: [UInt32: Int32] = [:]
    for ring in holders.rings {
      guard let bytes = try? Files.read("/proc/\(ring.pid)/fdinfo/\(ring.descriptor)") else { continue }
      for word in Fields(bytes) where word.begins(with: "socket:[") && word.last == UInt8(ascii: "]") {
        if let inode = UInt32(decimal: word.dropFirst(8).dropLast()) { found[inode] = ring.pid }
      }
    }
    return found
  }
}
