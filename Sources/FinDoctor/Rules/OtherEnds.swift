/// The other ends of connections, where they are on this machine.
extension CensusIndex {
  /// The condition of a connection's other end.
  enum OtherEnd: UInt8 {
    /// It may be on another machine, or in a namespace that was not read.
    case unseen
    /// No descriptor is left for it: its program has closed it.
    case closed
    /// A program still holds it.
    case held
  }

  /// The row of a connection's other end; nil when it is not on this machine, or ambiguous.
  func otherEnd(of index: Int) -> Int? { ends.table(of: census.sockets).otherEnd(of: index, in: census.sockets) }

  /// The condition of a connection's other end.
  func condition(ofOtherEndOf index: Int) -> OtherEnd {
    if let other = otherEnd(of: index) {
      // One that waits for accept has no descriptor yet.
      return census.sockets[other].inode == 0 && !census.sockets[other].isWaitingForAccept ? .closed : .held
    }
    // Both ends of a loopback connection are in one table, so that an end which is not there has ended. MPTCP's may be
    // in the table of plain TCP.
    return hasWholeTables && census.sockets[index].transport == .tcp && census.sockets[index].remoteAddress.isLoopback
      && !ends.isAmbiguous(index, in: census) ? .closed : .unseen
  }

  /// Whether every table was read to its end.
  var hasWholeTables: Bool {
    census.gaps.damagedAnswers == 0 && census.gaps.interruptedDumps == 0 && census.gaps.refusedDumps.isEmpty
  }

  /// The other end in words: `fd 7 of python3 (pid 812), in FIN-WAIT-2`.
  func words(forOtherEndOf index: Int) -> String? {
    guard let other = otherEnd(of: index) else {
      return condition(ofOtherEndOf: index) == .closed ? "gone" : nil
    }
    let state = census.sockets[other].state.description
    guard let holder = census.holders.first(of: census.sockets[other].inode) else {
      return census.sockets[other].inode == 0 ? "in \(state), without a descriptor" : "in \(state), with a descriptor"
    }
    return "fd \(holder.descriptor) of \(who(OwnerKey(pid: holder.pid)).name), in \(state)"
  }
}

/// The index of ends, made when the first rule asks for it.
final class OtherEnds {
  private var made: EndTable?

  func table(of sockets: ContiguousArray<InetSocket>) -> EndTable {
    if let made { return made }
    let table = EndTable(sockets)
    made = table
    return table
  }

  func isAmbiguous(_ index: Int, in census: Census) -> Bool {
    table(of: census.sockets).candidates(of: index, in: census.sockets).count > 1
  }
}

/// Finds the other end of a connection among all rows, without a search through them.
struct EndTable {
  /// A hash table from both ends of a connection to the position of its row, plus one. It uses open addressing; 0 is an
  /// empty slot. The upper half of an entry is a part of the hash, so that few rows need to be read.
  private var places: ContiguousArray<UInt64> = []

  init(_ sockets: ContiguousArray<InetSocket>) {
    var size = 16
    while size < sockets.count * 2 { size *= 2 }
    places = ContiguousArray(repeating: 0, count: size)
    for index in sockets.indices where sockets[index].remotePort != 0 && sockets[index].transport != .udp {
      let hash = Self.hash(sockets[index], reversed: false)
      var slot = Int(truncatingIfNeeded: hash) & (size - 1)
      while places[slot] != 0 { slot = (slot + 1) & (size - 1) }
      places[slot] = hash & 0xffff_ffff_0000_0000 | UInt64(index + 1)
    }
  }

  func otherEnd(of index: Int, in sockets: ContiguousArray<InetSocket>) -> Int? {
    let ends = candidates(of: index, in: sockets)
    // Two containers may use the same addresses; then the other end is ambiguous.
    let near = ends.filter { sockets[$0].namespace == sockets[index].namespace }
    return near.count == 1 ? near[0] : near.isEmpty && ends.count == 1 ? ends[0] : nil
  }

  func candidates(of index: Int, in sockets: ContiguousArray<InetSocket>) -> [Int] {
    guard sockets[index].remotePort != 0, sockets[index].state != .listen else { return [] }
    let hash = Self.hash(sockets[index], reversed: true)
    var slot = Int(truncatingIfNeeded: hash) & (places.count - 1)
    var found: [Int] = []
    while places[slot] != 0 {
      let place = Int(places[slot] & 0xffff_ffff) - 1
      if (places[slot] ^ hash) >> 32 == 0, place != index, sockets[place].isOtherEnd(of: sockets[index]) {
        found.append(place)
      }
      slot = (slot + 1) & (places.count - 1)
    }
    return found
  }

  /// A hash that both ends of a connection have in common, one of them with the ends exchanged.
  private static func hash(_ socket: borrowing InetSocket, reversed: Bool) -> UInt64 {
    func mixed(_ bits: AddressBits, _ port: UInt16) -> UInt64 {
      // The low half of an IPv4 address is the same when it is mapped into IPv6, but for these sixteen bits.
      ((bits.low & 0xffff_ffff) ^ UInt64(port) << 32) &* 0x9e37_79b9_7f4a_7c15
    }
    let (local, remote) = (
      mixed(socket.localBits, socket.localPort), mixed(socket.remoteBits, socket.remotePort)
    )
    let both = reversed ? remote &+ (local << 1 | local >> 63) : local &+ (remote << 1 | remote >> 63)
    let spread = (both ^ both >> 29) &* 0xbf58_476d_1ce4_e5b9
    return spread ^ spread >> 32
  }
}
