extension Diagnosis {
  /// Reads what the findings will want to know beyond the picture: who waits for what, which programs are near their limit
  /// without holding a socket that may be seen, and what programs are written in.
  ///
  /// It asks the kernel about few processes, those that something is to be said of.
  public static func prepare(_ census: inout Census, _ options: inout Options) {
    let look = Examination(census, options)
    let pids = look.processesToWatch
    if !look.ownedByNobody.isEmpty { options.ringHolders = census.socketsInRings() }
    for process in census.holders.processes where census.programs[process.pid] == nil {
      // Whoever has few open is not near a limit; the limit can be read with no right at all.
      guard let count = process.descriptorCount, count >= 100 else { continue }
      census.programs[process.pid] = Program.read(process.pid)
    }
    census.watch(pids)
    // Few programs publish; of those, the ones that something would be said of.
    if !census.holders.ledgers.isEmpty {
      census.readLedgers(of: findings(in: census, options).compactMap { $0.who?.pid })
    }
    for pid in pids where options.languages[pid] == nil {
      let byName = census.programs[pid].map { Language(executable: $0.name) } ?? .unknown
      options.languages[pid] = byName == .unknown ? Language.reading(pid) : byName
    }
  }
}

extension Examination {
  /// Those that hold a connection which its peer has finished, one that they may not be reading, or a queue.
  var processesToWatch: Set<Int32> {
    var pids: Set<Int32> = []
    for index in closeWait + full { pids.insert(owner(of: sockets[index]).pid) }
    for index in listeners where sockets[index].receiveQueue > 0 { pids.insert(owner(of: sockets[index]).pid) }
    pids.remove(0)
    return pids
  }
}

extension Census {
  /// The inodes of sockets that rings of io_uring hold as registered files, each with the ring's process.
  fileprivate func socketsInRings() -> [UInt32: Int32] {
    var found: [UInt32: Int32] = [:]
    for ring in holders.rings {
      guard let bytes = try? Files.read("/proc/\(ring.pid)/fdinfo/\(ring.descriptor)") else { continue }
      for word in Words(bytes) where word.begins(with: "socket:[") && word.last == UInt8(ascii: "]") {
        if let inode = UInt32(decimal: word.dropFirst(8).dropLast()) { found[inode] = ring.pid }
      }
    }
    return found
  }
}
