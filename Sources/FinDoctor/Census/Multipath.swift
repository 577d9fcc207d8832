/// Which sockets of TCP are the paths of which socket of MPTCP.
///
/// The socket of MPTCP is its program's: what is read, written and closed. Each of its paths is a row of TCP, with its times,
/// windows and timers. The kernel tells only some of who asks what stands above a row of TCP, so that both are joined here by
/// what everybody is told: the inode that they share; and the addresses and ports of the first path, while no program has
/// accepted the connection, or after it has closed it.
public struct Multipath: Sendable {
  /// Place of a path to place of its socket of MPTCP.
  private var owners: [Int: Int] = [:]
  private var pathsOfOwners: [Int: [Int]] = [:]

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

  /// Joins them. It costs next to nothing where there is no MPTCP.
  /// - Parameter sockets: All rows of a census.
  public init(_ sockets: ContiguousArray<InetSocket>) {
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

  /// Whether there is none.
  public var isEmpty: Bool { owners.isEmpty }

  /// Whether this row is the one that stands for what a descriptor holds: of MPTCP the connection, and not its paths; but of a
  /// listener the row of TCP, which tells more.
  /// - Parameters:
  ///   - place: The row's place.
  ///   - sockets: The rows that this was made of.
  public func isTheDescriptors(_ place: Int, in sockets: ContiguousArray<InetSocket>) -> Bool {
    switch sockets[place].transport {
    case .udp: true
    case .tcp: owner(ofPath: place) == nil || sockets[place].state == .listen
    case .mptcp: sockets[place].state != .listen || paths(of: place).isEmpty
    }
  }

  /// The socket of MPTCP that a row of TCP is a path of, as a place in the census.
  /// - Parameter place: The row's place.
  public func owner(ofPath place: Int) -> Int? { owners.isEmpty ? nil : owners[place] }

  /// The paths of a socket of MPTCP, as places in the census.
  /// - Parameter place: The socket's place.
  public func paths(of place: Int) -> [Int] { pathsOfOwners[place] ?? [] }
}
