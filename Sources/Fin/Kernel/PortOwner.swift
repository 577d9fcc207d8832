internal import FinBase
internal import Glibc

/// The process that holds an address for which a bind failed, as a note for the error.
///
/// It is looked up only after such a failure. It reads `/proc` of the thread's own network namespace, within limits,
/// and returns what it finds out, or `nil`; it never fails. Programs choose their names and paths, so both are escaped
/// before they are shown.
enum PortOwner {
  /// The maximum number of bytes read from one table: about 220,000 sockets, more than Linux keeps in TIME-WAIT. The
  /// kernel lists listeners first.
  private static let tableLimit = 32 << 20

  /// Returns a clause for the error message.
  ///
  /// - Returns: for example "held by python3 (pid 123), descriptor 4"; `nil` when nothing is known.
  static func note(_ address: SocketAddress, _ kind: SocketKind) -> String? {
    switch address {
    case .ip(let ip, let port): port == 0 ? nil : note(ip.canonical, port, kind)
    case .unix(let path): path.kind == .unnamed ? nil : note(path, kind)
    }
  }

  // MARK: IP

  private static func note(_ address: IPAddress, _ port: UInt16, _ kind: SocketKind) -> String? {
    var sockets: [InternetSocket] = []
    var isComplete = true
    let column = InternetSocket.column(port)
    for name in kind == .stream ? ["tcp", "tcp6"] : ["udp", "udp6"] {
      let path = "/proc/thread-self/net/\(name)"
      let isV6 = name.hasSuffix("6")
      // A kernel without IPv6 does not have the second table.
      guard unsafe access(path, F_OK) == 0 else { continue }
      let wasRead = ProcFile.forEachLine(path, limit: tableLimit) { line in
        if InternetSocket.isLine(line, of: column, isV6: isV6),
          let socket = InternetSocket(line: line, isV6: isV6), socket.isInTheWay(of: address)
        {
          sockets.append(socket)
        }
        return sockets.count < 4096
      }
      isComplete = isComplete && wasRead
    }
    let owners = kind == .stream ? sockets.filter { $0.state == InternetSocket.listening } : sockets
    if let owner = owners.first {
      let place = owner.address == address ? "" : "\(SocketAddress.ip(owner.address, port: port)) is "
      return place + held(Set(owners.map(\.inode)), by: owner.user)
    }
    if sockets.isEmpty {
      guard isComplete, kind == .stream else { return nil }
      return "no listener has it, but perhaps a bound socket that does not listen"
    }
    return leftover(sockets)
  }

  /// The note for an address without a listener, of which only connections are left.
  private static func leftover(_ sockets: [InternetSocket]) -> String {
    let waiting = sockets.count { $0.state == InternetSocket.timeWait }
    if waiting == sockets.count {
      return "no process holds it, only \(connections(waiting)) in TIME-WAIT of a program that had not set "
        + "SO_REUSEADDR: set it in that program, or wait up to 60 s"
    }
    let others = sockets.filter { $0.state != InternetSocket.timeWait }
    let count = connections(others.count)
    let inodes = Set(others.map(\.inode)).subtracting([0])
    if inodes.isEmpty {
      return "no process holds it, only \(count) that the kernel is still closing, of a program that had not set "
        + "SO_REUSEADDR: set it in that program, or wait"
    }
    return "no listener has it, only \(count) of a listener that had not set SO_REUSEADDR, "
      + held(inodes, by: others.first { $0.inode != 0 }?.user) + ": close them in that program, or set the option there"
  }

  private static func connections(_ count: Int) -> String {
    count == 1 ? "a connection" : "\(count) connections"
  }

  // MARK: Unix

  private static func note(_ path: UnixPath, _ kind: SocketKind) -> String? {
    var shown = path.kind == .abstract ? [UInt8(ascii: "@")] : []
    shown += path.bytes.map { $0 == 0 ? UInt8(ascii: "@") : $0 }
    var listeners: Set<UInt32> = []
    var others: Set<UInt32> = []
    let wasRead = ProcFile.forEachLine("/proc/thread-self/net/unix", limit: tableLimit) { line in
      guard let socket = UnixSocket(line: line), socket.kind == kind.rawValue || path.kind == .path,
        socket.name.elementsEqual(shown)
      else { return true }
      if socket.isListening { listeners.insert(socket.inode) } else { others.insert(socket.inode) }
      return others.count < 4096
    }
    // Connections accepted from a listener carry its name too.
    let owners = listeners.isEmpty ? others : listeners
    guard wasRead, !owners.isEmpty else { return nil }
    return held(owners, by: nil)
  }

  // MARK: Wording

  private static func held(_ inodes: Set<UInt32>, by user: UInt32?) -> String {
    let search = SocketHolder.find(inodes)
    if search.holders.isEmpty {
      if search.sawForbidden, let user, user != geteuid() { return "held by a process of user \(user)" }
      if search.sawForbidden { return "held by a process of another user" }
      return "held by a process that cannot be seen from here"
    }
    let names = search.holders.prefix(SocketHolder.mostHolders - 1).map { holder in
      holder.process == getpid()
        ? "this program, descriptor \(holder.descriptor)"
        : "\(holder.name) (pid \(holder.process)), descriptor \(holder.descriptor)"
    }
    return "held by " + names.joined(separator: ", and by ")
      + (search.holders.count < SocketHolder.mostHolders ? "" : ", and by others")
  }
}
