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

/// The fields needed here from a line of `/proc/net/tcp`, `tcp6`, `udp` or `udp6`.
struct InternetSocket {
  let address: IPAddress
  let state: UInt8
  let user: UInt32
  let inode: UInt32

  static let timeWait: UInt8 = 6
  static let listening: UInt8 = 10

  /// Parses a line: `0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 12345 …`
  init?(line: ArraySlice<UInt8>, isV6: Bool) {
    let fields = line.split(separator: UInt8(ascii: " "), maxSplits: 10)
    guard fields.count >= 10, let colon = fields[1].firstIndex(of: UInt8(ascii: ":")),
      let address = InternetSocket.address(fields[1][..<colon], isV6: isV6),
      let state = UInt8(hexadecimal: fields[3]),
      let user = UInt32(decimal: fields[7]), let inode = UInt32(decimal: fields[9])
    else { return nil }
    self.address = address.canonical
    self.state = state
    self.user = user
    self.inode = inode
  }

  /// The text of a port in a line: ":0016 ".
  static func column(_ port: UInt16) -> [UInt8] {
    let digits = String(port, radix: 16, uppercase: true)
    return Array(":\(String(repeating: "0", count: 4 - digits.count))\(digits) ".utf8)
  }

  /// Whether a line describes a socket that is bound to this port. It is checked for every line before the line is
  /// parsed, because a table may have very many.
  static func isLine(_ line: ArraySlice<UInt8>, of column: [UInt8], isV6: Bool) -> Bool {
    // A line begins with its number, a colon, a space and the address.
    guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { return false }
    return line.dropFirst(colon - line.startIndex + 2 + (isV6 ? 32 : 8)).starts(with: column)
  }

  /// Whether a socket with this address prevents another from binding to `wanted`. A wildcard conflicts with every
  /// address of its own version, and `::` also with IPv4, unless `IPV6_V6ONLY` is set, which the table does not show.
  func isInTheWay(of wanted: IPAddress) -> Bool {
    switch (address, wanted) {
    case (.v4(let held), .v4(let wanted)): held == wanted || held.isAny || wanted.isAny
    case (.v6(let held), .v6(let wanted)):
      held.high == wanted.high && held.low == wanted.low || held.isAny || wanted.isAny
    case (.v4, .v6(let wanted)): wanted.isAny
    case (.v6(let held), .v4): held.isAny
    }
  }

  /// Parses an address, which the table prints as 32-bit words in the machine's byte order.
  private static func address(_ text: ArraySlice<UInt8>, isV6: Bool) -> IPAddress? {
    guard text.count == (isV6 ? 32 : 8) else { return nil }
    var words: [UInt64] = []
    var rest = text
    while !rest.isEmpty {
      guard let word = UInt32(hexadecimal: rest.prefix(8)) else { return nil }
      words.append(UInt64(UInt32(bigEndian: word)))
      rest = rest.dropFirst(8)
    }
    return isV6
      ? .v6(IPv6Address(high: words[0] << 32 | words[1], low: words[2] << 32 | words[3]))
      : .v4(IPv4Address(rawValue: UInt32(words[0])))
  }
}

/// The fields needed here from a line of `/proc/net/unix`.
struct UnixSocket {
  let isListening: Bool
  let kind: CInt
  let inode: UInt32
  /// The name as the kernel prints it: `@` for each NUL of an abstract name.
  let name: ArraySlice<UInt8>

  /// Parses a line: `0000000000000000: 00000002 00000000 00010000 0001 01 12345 /run/x.sock`
  init?(line: ArraySlice<UInt8>) {
    let fields = line.split(separator: UInt8(ascii: " "), maxSplits: 7)
    guard fields.count == 8, let flags = UInt32(hexadecimal: fields[3]), let kind = UInt16(hexadecimal: fields[4]),
      let inode = UInt32(decimal: fields[6])
    else { return nil }
    isListening = flags & 0x10000 != 0
    self.kind = CInt(kind)
    self.inode = inode
    name = line[(fields[6].endIndex + 1)...]
  }
}
