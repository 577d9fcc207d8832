import FinDoctor

/// The order of the lines.
enum ListOrder {
  /// Sorts by one column: names and addresses ascending, quantities and times descending.
  static func sort(_ rows: inout [ListedSocket], by field: ListField, reversed: Bool, of listing: Listing) {
    var order: [Int]
    switch field {
    case .local, .remote:
      let keys = rows.map { address(field == .local, $0, listing) }
      order = Array(rows.indices).sorted { keys[$0] < keys[$1] }
    case .state, .kind, .program, .unit, .container, .namespace, .timer, .site, .phase:
      let keys = rows.map { row in
        var text = TextBuffer()
        field.write(row, of: listing, to: &text)
        return text.bytes
      }
      order = Array(rows.indices).sorted { keys[$0].lexicographicallyPrecedes(keys[$1]) }
    default:
      // Each number is sorted together with its index, which keeps equal numbers in their order.
      let isUpward = [.owner, .pid, .fd, .inode, .cookie, .user].contains(field)
      let keys = rows.indices.map { place -> (UInt64, Int) in
        let key = number(field, rows[place], listing)
        return (isUpward ? key : .max - key, place)
      }
      order = keys.sorted { $0 < $1 }.map(\.1)
    }
    if reversed { order.reverse() }
    rows = order.map { rows[$0] }
  }

  private static func address(
    _ isLocal: Bool, _ row: ListedSocket, _ listing: Listing
  ) -> (UInt64, UInt64, UInt16) {
    guard case .inet(let index) = row else { return (.max, .max, .max) }
    let socket = listing.census.sockets[index]
    let bits = isLocal ? socket.localBits : socket.remoteBits
    return (bits.high, bits.low, isLocal ? socket.localPort : socket.remotePort)
  }

  private static func number(_ field: ListField, _ row: ListedSocket, _ listing: Listing) -> UInt64 {
    switch field {
    case .owner: return listing.rank(ofOwner: row)
    case .pid: return listing.holder(row).map { UInt64($0.pid) } ?? .max
    case .fd: return listing.holder(row).map { UInt64($0.descriptor) } ?? .max
    case .inode: return UInt64(listing.inode(row))
    case .holders: return UInt64(listing.census.holders[listing.inode(row)].count)
    case .deadline: return listing.published(row)?.deadline ?? 0
    default: break
    }
    switch row {
    case .detached, .other: return 0
    case .unix(let index):
      let socket = listing.census.unixSockets[index]
      switch field {
      case .receiveQueue: return UInt64(socket.receiveQueue)
      case .sendQueue: return UInt64(socket.sendQueue)
      case .cookie: return socket.cookie
      case .user: return UInt64(socket.user ?? 0)
      default: return 0
      }
    case .inet(let index):
      return number(field, listing.census.sockets[index], listing.since(index).lower)
    }
  }

  private static func number(_ field: ListField, _ socket: borrowing InetSocket, _ since: UInt64) -> UInt64 {
    switch field {
    case .receiveQueue: UInt64(socket.receiveQueue)
    case .sendQueue: UInt64(socket.sendQueue)
    case .since: since
    case .idle: AgeBounds.idle(socket)?.lower ?? 0
    case .user: UInt64(socket.user)
    case .cookie: socket.cookie
    case .received: socket.bytesReceived ?? 0
    case .sent: socket.bytesSent ?? 0
    case .unacknowledged: UInt64(socket.info.unacknowledgedSegments ?? 0)
    case .retransmissions: UInt64(socket.info.totalRetransmissions ?? 0)
    case .rtt: UInt64(socket.info.roundTripTime ?? 0)
    case .drops: UInt64(socket.drops ?? 0)
    case .memory: UInt64(socket.memory.received ?? 0) + UInt64(socket.memory.queued ?? 0)
    default: 0
    }
  }
}
