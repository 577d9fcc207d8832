import Glibc

/// What the kernel says under `/proc/net`, in the network namespace of the calling thread: an oracle that shares no code
/// and no system call with what it judges.
///
/// Inside `namespace.run { … }` it tells of that namespace.
public enum KernelView {
  /// The calling thread's network namespace, as `/proc` links: `net:[4026531840]`.
  public static func namespace() throws(RigError) -> String {
    guard let name = readLink("/proc/thread-self/ns/net") else { throw .last("readlink") }
    return name
  }

  /// All TCP sockets, those without a descriptor and those in TIME-WAIT too.
  public static func tcp() throws(RigError) -> [KernelSocket] { try tcp(naming: nil) }

  /// Those with this port in one of their names. A machine may have tens of thousands in TIME-WAIT: only the lines that
  /// are wanted are taken apart.
  private static func tcp(naming port: UInt16?) throws(RigError) -> [KernelSocket] {
    var all: [KernelSocket] = []
    for name in ["tcp", "tcp6"] {
      // A kernel may be built without IPv6.
      guard unsafe name == "tcp" || access("/proc/thread-self/net/\(name)", R_OK) == 0 else { continue }
      let text = try readText("/proc/thread-self/net/\(name)")
      let wanted =
        port.map { lines(of: text, containing: KernelSocket.column($0)) }
        ?? Array(text.split(separator: "\n").dropFirst())
      all += wanted.compactMap { KernelSocket(line: $0, isV6: name == "tcp6") }
    }
    return all
  }

  /// TCP sockets with these ports; nil stands for any.
  public static func tcp(localPort: UInt16?, remotePort: UInt16? = nil) throws(RigError) -> [KernelSocket] {
    try tcp(naming: localPort ?? remotePort).filter {
      (localPort == nil || $0.localPort == localPort) && (remotePort == nil || $0.remotePort == remotePort)
    }
  }

  /// The one TCP socket with this pair of names, or nil.
  public static func tcp(
    local: (address: String, port: UInt16), remote: (address: String, port: UInt16)
  ) throws(RigError) -> KernelSocket? {
    try tcp(naming: local.port).first {
      $0.localAddress == local.address && $0.localPort == local.port && $0.remoteAddress == remote.address
        && $0.remotePort == remote.port
    }
  }

  public static func unix() throws(RigError) -> [KernelUnixSocket] {
    try readText("/proc/thread-self/net/unix").split(separator: "\n").dropFirst()
      .compactMap { KernelUnixSocket(line: $0) }
  }

  /// Connections in TIME-WAIT.
  public static func timeWaitCount() throws(RigError) -> Int {
    try tcp().count { $0.state == .timeWait }
  }

  /// Connections that no program holds any more and that the kernel still works on.
  ///
  /// A closed connection in FIN-WAIT-2 counts; SYN-RECEIVED and TIME-WAIT do not.
  public static func orphanCount() throws(RigError) -> Int {
    let alive: Set<KernelState> = [.finWait1, .finWait2, .closing, .lastAck, .closeWait]
    return try tcp().count { $0.inode == 0 && alive.contains($0.state) }
  }

  /// A number of `/proc/net/sockstat`: `sockstat("TCP", "tw")`.
  ///
  /// `inuse` and `tw` are of the namespace; `orphan`, `alloc` and `mem` are of the whole machine.
  public static func sockstat(_ protocolName: String, _ field: String) throws(RigError) -> Int? {
    let text = try readText("/proc/thread-self/net/sockstat")
    let line = text.split(separator: "\n").first { $0.hasPrefix("\(protocolName):") }
    let words = line?.split(separator: " ") ?? []
    guard let index = words.firstIndex(where: { $0 == field }), index + 1 < words.count else { return nil }
    return Int(words[index + 1])
  }

  /// A counter of `/proc/net/snmp` or `netstat`: `counter("TcpExt", "TCPAbortOnData")`.
  public static func counter(_ group: String, _ name: String) throws(RigError) -> Int? {
    for file in ["snmp", "netstat"] {
      let lines = try readText("/proc/thread-self/net/\(file)").split(separator: "\n")
        .filter { $0.hasPrefix("\(group):") }.map { $0.split(separator: " ") }
      guard lines.count == 2, let index = lines[0].firstIndex(where: { $0 == name }), index < lines[1].count
      else { continue }
      return Int(lines[1][index])
    }
    return nil
  }
}
