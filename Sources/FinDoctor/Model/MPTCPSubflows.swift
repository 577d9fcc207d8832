/// The relation between MPTCP sockets and their subflows, which are TCP sockets.
///
/// A program reads, writes and closes the MPTCP socket. Each subflow is a TCP row with its own times, windows and
/// timers. The kernel reports only to privileged readers that a TCP row is a subflow. So both are joined here by data
/// that every reader gets: the inode that they share; or the addresses and ports of the first subflow, as long as no
/// program has accepted the connection, and after the program has closed it.
package struct MPTCPSubflows: Sendable {
  /// The index of each subflow's MPTCP socket.
  private var owners: [Int: Int] = [:]
  private var pathsOfOwners: [Int: [Int]] = [:]
  /// The ages that a history knows: see ``Census/recordedAges``.
  let recordedAges: [UInt64: AgeBounds]

  private struct Ends: Hashable {
    var namespace: UInt16
    var local: AddressBits
    var remote: AddressBits
    var localPort: UInt16
    var remotePort: UInt16

    init(_ socket: borrowing InetSocket) {
      namespace = socket.namespace
      (local, localPort) = (socket.localBits, socket.localPort)
      (remote, remotePort) = (socket.remoteBits, socket.remotePort)
    }
  }

  /// Joins the rows. It costs next to nothing where there is no MPTCP.
  /// - Parameters:
  ///   - sockets: All rows of a census.
  ///   - ages: The ages that a history knows, by the sockets' identity.
  package init(_ sockets: ContiguousArray<InetSocket>, ages: [UInt64: AgeBounds] = [:]) {
    recordedAges = ages
    var byInode: [UInt32: Int] = [:]
    var byEnds: [Ends: Int] = [:]
    for place in sockets.indices where sockets[place].transport == .mptcp {
      if sockets[place].inode != 0 { byInode[sockets[place].inode] = place }
      byEnds[Ends(sockets[place])] = place
    }
    if byEnds.isEmpty { return }
    for place in sockets.indices where sockets[place].transport == .tcp && sockets[place].state != .timeWait {
      guard
        let owner = (sockets[place].inode == 0 ? nil : byInode[sockets[place].inode]) ?? byEnds[Ends(sockets[place])],
        (sockets[owner].state == .listen) == (sockets[place].state == .listen)
      else { continue }
      owners[place] = owner
      pathsOfOwners[owner, default: []].append(place)
    }
  }

  /// Whether no row is a subflow.
  package var isEmpty: Bool { owners.isEmpty }

  /// Whether this row represents the object that a descriptor holds. For an MPTCP connection that is the MPTCP row, and
  /// not its subflows. For an MPTCP listener it is the TCP row, which has more data.
  /// - Parameters:
  ///   - place: The row's index.
  ///   - sockets: The rows that this was made from.
  package func isTheDescriptors(_ place: Int, in sockets: ContiguousArray<InetSocket>) -> Bool {
    switch sockets[place].transport {
    case .udp: true
    case .tcp: owner(ofPath: place) == nil || sockets[place].state == .listen
    case .mptcp: sockets[place].state != .listen || paths(of: place).isEmpty
    }
  }

  /// The MPTCP socket of a subflow, as an index in the census.
  /// - Parameter place: The index of the subflow's row.
  package func owner(ofPath place: Int) -> Int? { owners.isEmpty ? nil : owners[place] }

  /// The subflows of an MPTCP socket, as indices in the census.
  /// - Parameter place: The index of the MPTCP socket.
  package func paths(of place: Int) -> [Int] { pathsOfOwners[place] ?? [] }
}
