internal import FinBase
internal import Glibc

/// A second look at some sockets of one namespace: which of them still exist.
///
/// The kernel is asked for each by itself, so that the look takes as long as there are sockets in question, whatever
/// other sockets there are. It reads nothing that the kernel keeps under a socket's lock.
struct SecondLook: Sendable {
  /// A part of a table that is dumped.
  private struct Table: Hashable {
    var transport: Transport
    var isIPv6: Bool
    /// The states to dump, a bit for each by its number. The kernel has listeners in a table of their own, and it finds
    /// bound sockets only by going through those of all ports, which takes as long as a dump of all connections.
    var states: UInt32

    init(of socket: InetSocket) {
      transport = socket.transport
      isIPv6 = socket.isIPv6
      states = .max
      if transport == .tcp, socket.state == .listen || socket.state == .bound { states = 1 << socket.state.rawValue }
    }
  }

  /// The limit on sockets that are asked for each by itself. With more of them, a dump takes less time.
  private static let few = 64

  private var connections: [InetSocket] = []
  private var unix: [UnixSocket] = []
  private var tables: Set<Table> = []
  private var unixCount = 0

  /// Adds a socket of TCP, UDP or MPTCP.
  mutating func add(_ socket: InetSocket) {
    if socket.isFoundExactly, connections.count < Self.few {
      connections.append(socket)
    } else {
      tables.insert(Table(of: socket))
    }
  }

  /// Adds a Unix socket.
  mutating func add(_ socket: UnixSocket) {
    unixCount += 1
    if unixCount <= Self.few { unix.append(socket) }
  }

  /// The result of the look.
  struct Seen: Sendable {
    /// The inodes of sockets that still exist: those in question, and others.
    var inodes: Set<UInt32> = []
    /// The network interfaces that have a UDP socket of the kernel, if a UDP socket is in question.
    var links: [LinkDump.Link] = []
  }

  /// Looks from a thread that is in the namespace, or enters it first.
  func look(in place: NamespacePlace, isOwn: Bool) -> Seen {
    var seen = Seen()
    do throws(KernelError) {
      if !isOwn { try enter(place) }
      var netlink = try NetlinkSocket()
      for table in tables { try dump(table, &netlink, &seen) }
      for socket in connections where !seen.inodes.contains(socket.inode) {
        if try socket.exists(&netlink) { seen.inodes.insert(socket.inode) }
      }
      if tables.contains(where: { $0.transport == .udp }) { seen.links = (try? LinkDump.ofThisThread()) ?? [] }
      if unixCount <= Self.few {
        for socket in unix where try socket.exists(&netlink) { seen.inodes.insert(socket.inode) }
      } else {
        var found = UnixSockets()
        _ = try netlink.dump({ UnixDiag.request(sequence: $0) }) { UnixDiag.read($0, namespace: 0, into: &found) }
        for row in found.rows { seen.inodes.insert(row.inode) }
      }
    } catch {
      // Nothing is claimed of a socket that was not seen a second time.
    }
    return seen
  }

  private func enter(_ place: NamespacePlace) throws(KernelError) {
    do throws(KernelError) { try place.enter() } catch {
      guard let again = place.foundAgain() else { throw error }
      try again.enter()
    }
  }

  /// Dumps a part of a table, and notes the inodes in it.
  private func dump(_ table: Table, _ netlink: inout NetlinkSocket, _ seen: inout Seen) throws(KernelError) {
    _ = try netlink.dump({
      InetDiag.request(
        table.transport, isIPv6: table.isIPv6, states: table.states, detailed: false, isLockFree: true, sequence: $0)
    }) { bytes in
      guard let row = InetDiag.row(bytes, transport: table.transport, namespace: 0) else { return false }
      seen.inodes.insert(row.inode)
      return true
    }
  }
}

extension InetSocket {
  /// Whether the kernel finds this socket by its addresses and ports: only connections of TCP differ in them.
  fileprivate var isFoundExactly: Bool {
    transport == .tcp && remotePort != 0 && state != .listen && state != .bound
  }

  /// Whether the socket still exists with its inode.
  fileprivate func exists(_ netlink: inout NetlinkSocket) throws(KernelError) -> Bool {
    var isThere = false
    try netlink.ask({ InetDiag.exact(NetlinkMessage.socketDiagnosis, self, cookie: cookie, sequence: $0) }) { bytes in
      guard let row = InetDiag.row(bytes, transport: transport, namespace: 0) else { return false }
      // A socket that its program has closed lives on without an inode.
      isThere = row.cookie == cookie && row.inode == inode
      return true
    }
    return isThere
  }
}

extension UnixSocket {
  /// Whether the socket still exists.
  fileprivate func exists(_ netlink: inout NetlinkSocket) throws(KernelError) -> Bool {
    var found = UnixSockets()
    try netlink.ask({ UnixDiag.exact(self, sequence: $0) }) { UnixDiag.read($0, namespace: 0, into: &found) }
    return found.rows.contains { $0.cookie == cookie && $0.inode == inode }
  }
}

extension NetlinkSocket {
  /// Makes a request about one socket; `body` is not called if that does not exist.
  fileprivate mutating func ask(
    _ request: (UInt32) -> [UInt8], _ body: (RawSpan) -> Bool
  ) throws(KernelError) {
    do throws(KernelError) { _ = try dump(request, body) } catch {
      // No socket has the addresses or the inode, or the one that has them has another cookie.
      guard error.code == ENOENT || error.code == ESTALE else { throw error }
    }
  }
}
