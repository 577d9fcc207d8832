/// A descriptor of a process that holds a socket, or another object that the census needs to know.
public struct Holder: Hashable, Sendable {
  /// The inode of the socket; 0 for an object of another kind.
  public var inode: UInt32
  /// The process.
  public var pid: Int32
  /// The number of the descriptor in that process.
  public var descriptor: Int32

  /// Makes one from its values.
  package init(inode: UInt32, pid: Int32, descriptor: Int32) {
    self.inode = inode
    self.pid = pid
    self.descriptor = descriptor
  }
}

/// A process as the census of descriptors found it.
public struct HoldingProcess: Hashable, Sendable {
  /// The process's number.
  public var pid: Int32
  /// The user it runs as; root also for a process that may not be read.
  public var user: UInt32
  /// The number of its open descriptors, readable for every process without rights. Nil where the kernel does not
  /// report it (before Linux 6.2).
  public var descriptorCount: UInt32?
  /// Whether its descriptors could be read.
  public var isReadable: Bool

  /// Makes one from its values.
  package init(pid: Int32, user: UInt32 = 0, descriptorCount: UInt32? = nil, isReadable: Bool = true) {
    self.pid = pid
    self.user = user
    self.descriptorCount = descriptorCount
    self.isReadable = isReadable
  }
}

/// The processes that hold each socket, from `/proc/PID/fd` of every process that could be read.
public struct Holders: Sendable {
  /// Every descriptor of a socket, by inode, then by process, then by number.
  public let entries: ContiguousArray<Holder>
  /// Every process, by number.
  public let processes: ContiguousArray<HoldingProcess>
  /// Descriptors of epoll instances, by process.
  package let epolls: ContiguousArray<Holder>
  /// Descriptors of ledgers published by a library, by process: memory files whose name begins with `fin-ledger`.
  package let ledgers: ContiguousArray<Holder>
  /// Descriptors of io_uring instances, by process: they may hold sockets that have no descriptor.
  package let rings: ContiguousArray<Holder>

  /// A hash table from each inode to the position of its first entry. It uses open addressing; 0 is an empty slot, and
  /// a position is stored plus one.
  ///
  /// Inode and position share one integer: with the inode elsewhere, each lookup would wait for memory twice.
  private let places: ContiguousArray<UInt64>

  /// Sorts and indexes the descriptors.
  /// - Parameters:
  ///   - sockets: Descriptors of sockets. All arrays may be in any order.
  ///   - processes: Every process that was found.
  ///   - epolls: Descriptors of epoll instances.
  ///   - ledgers: Descriptors of ledgers published by a library.
  ///   - rings: Descriptors of io_uring instances.
  package init(
    sockets: ContiguousArray<Holder>, processes: ContiguousArray<HoldingProcess> = [],
    epolls: ContiguousArray<Holder> = [], ledgers: ContiguousArray<Holder> = [], rings: ContiguousArray<Holder> = []
  ) {
    let sorted = Self.byInode(sockets)
    entries = sorted
    places = Self.index(sorted)
    self.processes = ContiguousArray(processes.sorted { $0.pid < $1.pid })
    self.epolls = Self.byProcess(epolls)
    self.ledgers = Self.byProcess(ledgers)
    self.rings = Self.byProcess(rings)
  }

  /// The descriptors that hold the socket of this inode, in any process; empty when none could be found.
  public subscript(inode: UInt32) -> ContiguousArray<Holder>.SubSequence {
    guard let first = position(of: inode) else { return entries[0..<0] }
    var end = first + 1
    while end < entries.count, entries[end].inode == inode { end += 1 }
    return entries[first..<end]
  }

  /// The first descriptor that holds the socket of this inode: that of the process with the lowest number.
  public func first(of inode: UInt32) -> Holder? { position(of: inode).map { entries[$0] } }

  /// The process of this number, as the census found it; nil if it did not exist.
  public func process(_ pid: Int32) -> HoldingProcess? {
    let place = processes.firstPlace { $0.pid >= pid }
    return place < processes.count && processes[place].pid == pid ? processes[place] : nil
  }

  /// The numbers of this process's epoll instances.
  package func epolls(of pid: Int32) -> [Int32] { Self.descriptors(of: pid, in: epolls) }
  /// The numbers of this process's published ledgers.
  package func ledgers(of pid: Int32) -> [Int32] { Self.descriptors(of: pid, in: ledgers) }
  /// The numbers of this process's io_uring instances.
  package func rings(of pid: Int32) -> [Int32] { Self.descriptors(of: pid, in: rings) }

  private static func descriptors(of pid: Int32, in holders: ContiguousArray<Holder>) -> [Int32] {
    holders[holders.firstPlace { $0.pid >= pid }...].prefix { $0.pid == pid }.map(\.descriptor)
  }
}

/// Sorting and lookup: 100,000 descriptors in a few milliseconds.
extension Holders {
  private func position(of inode: UInt32) -> Int? {
    guard inode != 0, !places.isEmpty else { return nil }
    let mask = places.count - 1
    var slot = Self.scatter(inode) & mask
    while true {
      let place = places[slot]
      if place == 0 { return nil }
      if UInt32(place >> 32) == inode { return Int(place & 0xffff_ffff) - 1 }
      slot = (slot + 1) & mask
    }
  }

  private static func scatter(_ inode: UInt32) -> Int { Int((UInt64(inode) &* 0x9e37_79b9_7f4a_7c15) >> 32) }

  private static func index(_ entries: ContiguousArray<Holder>) -> ContiguousArray<UInt64> {
    var size = 16
    while size < entries.count * 2 { size *= 2 }
    var places = ContiguousArray<UInt64>(repeating: 0, count: size)
    for position in entries.indices where position == 0 || entries[position].inode != entries[position - 1].inode {
      var slot = scatter(entries[position].inode) & (size - 1)
      while places[slot] != 0 { slot = (slot + 1) & (size - 1) }
      places[slot] = UInt64(entries[position].inode) << 32 | UInt64(position + 1)
    }
    return places
  }

  private static func byProcess(_ holders: ContiguousArray<Holder>) -> ContiguousArray<Holder> {
    ContiguousArray(holders.sorted { ($0.pid, $0.descriptor) < ($1.pid, $1.descriptor) })
  }

  private static func byInode(_ holders: ContiguousArray<Holder>) -> ContiguousArray<Holder> {
    // Sorting integers needs no closure for each comparison; an inode and an index fill 64 bits.
    var keys = ContiguousArray<UInt64>()
    keys.reserveCapacity(holders.count)
    for (place, holder) in holders.enumerated() { keys.append(UInt64(holder.inode) << 32 | UInt64(place)) }
    keys.sort()
    var sorted = ContiguousArray(keys.map { holders[Int($0 & 0xffff_ffff)] })
    // Few sockets have several holders: only their entries are compared any further.
    var start = 0
    while start < sorted.count {
      var end = start + 1
      while end < sorted.count, sorted[end].inode == sorted[start].inode { end += 1 }
      if end - start > 1 { sorted[start..<end].sort { ($0.pid, $0.descriptor) < ($1.pid, $1.descriptor) } }
      start = end
    }
    return sorted
  }
}

extension RandomAccessCollection where Index == Int {
  /// The first index where the condition holds, or the end. The condition must hold from that index on.
  func firstPlace(where condition: (Element) -> Bool) -> Int {
    var low = startIndex
    var high = endIndex
    while low < high {
      let middle = (low + high) / 2
      if condition(self[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
