/// A descriptor of a process that holds a socket, or something else that is worth to be known.
public struct Holder: Hashable, Sendable {
  /// The inode of the socket; 0 for what is no socket.
  public var inode: UInt32
  /// The process.
  public var pid: Int32
  /// The number of the descriptor in that process.
  public var descriptor: Int32

  /// From its parts.
  public init(inode: UInt32, pid: Int32, descriptor: Int32) {
    self.inode = inode
    self.pid = pid
    self.descriptor = descriptor
  }
}

/// A process as the census of descriptors met it.
public struct HoldingProcess: Hashable, Sendable {
  /// Its number.
  public var pid: Int32
  /// The user it runs as; root also for a process that does not let itself be looked at.
  public var user: UInt32
  /// How many descriptors it has open: known of every process, whatever one's rights. Nil where the kernel does not say
  /// (before Linux 6.2).
  public var descriptorCount: UInt32?
  /// Whether its descriptors could be read.
  public var isReadable: Bool

  /// From its parts.
  public init(pid: Int32, user: UInt32 = 0, descriptorCount: UInt32? = nil, isReadable: Bool = true) {
    self.pid = pid
    self.user = user
    self.descriptorCount = descriptorCount
    self.isReadable = isReadable
  }
}

/// Who holds which socket, out of `/proc/PID/fd` of every process that could be read.
public struct Holders: Sendable {
  /// Every descriptor that is a socket, by inode, then by process, then by number.
  public let entries: ContiguousArray<Holder>
  /// Every process, by number.
  public let processes: ContiguousArray<HoldingProcess>
  /// Descriptors that are epoll instances, by process.
  public let epolls: ContiguousArray<Holder>
  /// Descriptors that are ledgers published by a library, memory files whose name begins with `fin-ledger`, by process.
  public let ledgers: ContiguousArray<Holder>
  /// Descriptors that are io_uring instances, by process: they may hold sockets that have no descriptor.
  public let rings: ContiguousArray<Holder>

  /// Each inode with where its entries begin; open addressing, 0 is an empty place, and a position is kept plus one.
  ///
  /// Both in one number: with the inode elsewhere, each question would wait for the memory twice.
  private let places: ContiguousArray<UInt64>

  /// Puts the descriptors in order.
  /// - Parameters:
  ///   - sockets: Descriptors that are sockets. All may come in any order.
  ///   - processes: Every process that was met.
  ///   - epolls: Descriptors that are epoll instances.
  ///   - ledgers: Descriptors that are ledgers published by a library.
  ///   - rings: Descriptors that are io_uring instances.
  public init(
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

  /// The first of them: of the process with the lowest number.
  public func first(of inode: UInt32) -> Holder? { position(of: inode).map { entries[$0] } }

  /// What the census met of this process; nil if it was not there.
  public func process(_ pid: Int32) -> HoldingProcess? {
    let place = processes.firstPlace { $0.pid >= pid }
    return place < processes.count && processes[place].pid == pid ? processes[place] : nil
  }

  /// The numbers of this process's epoll instances.
  public func epolls(of pid: Int32) -> [Int32] { Self.descriptors(of: pid, in: epolls) }
  /// The numbers of this process's published ledgers.
  public func ledgers(of pid: Int32) -> [Int32] { Self.descriptors(of: pid, in: ledgers) }
  /// The numbers of this process's io_uring instances.
  public func rings(of pid: Int32) -> [Int32] { Self.descriptors(of: pid, in: rings) }

  private static func descriptors(of pid: Int32, in holders: ContiguousArray<Holder>) -> [Int32] {
    holders[holders.firstPlace { $0.pid >= pid }...].prefix { $0.pid == pid }.map(\.descriptor)
  }
}

/// How they are put in order and found: a hundred thousand of them in some milliseconds.
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
    // Sorting numbers needs no closure for each comparison; an inode and a place fill 64 bits.
    var keys = ContiguousArray<UInt64>()
    keys.reserveCapacity(holders.count)
    for (place, holder) in holders.enumerated() { keys.append(UInt64(holder.inode) << 32 | UInt64(place)) }
    keys.sort()
    var sorted = ContiguousArray(keys.map { holders[Int($0 & 0xffff_ffff)] })
    // Few sockets have several holders: only those are compared any further.
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

extension ContiguousArray {
  /// The first place where the condition holds, or the end: it holds from some place on.
  func firstPlace(where condition: (Element) -> Bool) -> Int {
    var low = 0
    var high = count
    while low < high {
      let middle = (low + high) / 2
      if condition(self[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
