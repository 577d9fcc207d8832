import Glibc

/// The kernel's own tables under `/proc/net`, for the network namespace of the calling thread.
///
/// An oracle: it shares no code and no system call with what it judges. Inside `namespace.run { … }` it reads
/// that namespace.
public enum KernelView {
  /// The calling thread's network namespace, as the link in `/proc` names it: `net:[4026531840]`.
  public static func namespace() throws(RigError) -> String { try namespace(of: "thread-self") }

  /// The network namespace of a process or thread, by its name in `/proc`.
  public static func namespace(of owner: String) throws(RigError) -> String {
    guard let name = readLink("/proc/\(owner)/ns/net") else { throw .last("readlink") }
    return name
  }

  /// All TCP sockets, including those without a descriptor and those in TIME-WAIT.
  public static func tcp() throws(RigError) -> [KernelSocket] { try tcp(naming: nil) }

  /// All TCP sockets with this port as local or remote port; with nil, all. Only matching lines are parsed, because a
  /// machine may have tens of thousands of sockets in TIME-WAIT.
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

  /// The TCP sockets with these ports; nil means any port.
  public static func tcp(localPort: UInt16?, remotePort: UInt16? = nil) throws(RigError) -> [KernelSocket] {
    try tcp(naming: localPort ?? remotePort).filter {
      (localPort == nil || $0.localPort == localPort) && (remotePort == nil || $0.remotePort == remotePort)
    }
  }

  /// The TCP socket with this pair of addresses, or nil.
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

  /// The number of connections in TIME-WAIT.
  public static func timeWaitCount() throws(RigError) -> Int {
    try tcp().count { $0.state == .timeWait }
  }

  /// The number of orphans: connections that no descriptor refers to and that the kernel still finishes.
  ///
  /// A closed connection in FIN-WAIT-2 counts; SYN-RECEIVED and TIME-WAIT do not.
  public static func orphanCount() throws(RigError) -> Int {
    let alive: Set<KernelState> = [.finWait1, .finWait2, .closing, .lastAck, .closeWait]
    return try tcp().count { $0.inode == 0 && alive.contains($0.state) }
  }

  /// A value from `/proc/net/sockstat`: `sockstat("TCP", "tw")`.
  ///
  /// `inuse` and `tw` count the namespace; `orphan`, `alloc` and `mem` count the whole machine.
  public static func sockstat(_ protocolName: String, _ field: String) throws(RigError) -> Int? {
    let text = try readText("/proc/thread-self/net/sockstat")
    let line = text.split(separator: "\n").first { $0.hasPrefix("\(protocolName):") }
    let words = line?.split(separator: " ") ?? []
    guard let index = words.firstIndex(where: { $0 == field }), index + 1 < words.count else { return nil }
    return Int(words[index + 1])
  }

  /// A counter from `/proc/net/snmp` or `netstat`: `counter("TcpExt", "TCPAbortOnData")`.
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

/// Processes and threads by name.
extension KernelView {
  /// Names the calling thread, with 15 bytes at most; a child that it starts has the name until its exec.
  public static func nameThread(_ name: String) throws(RigError) {
    let file = unsafe open("/proc/thread-self/comm", O_WRONLY | O_CLOEXEC)
    guard file >= 0 else { throw .last("open comm") }
    defer { close(file) }
    guard unsafe write(file, name, name.utf8.count) == name.utf8.count else { throw .last("write comm") }
  }

  /// Whether a process of the machine has this name in `/proc/PID/comm`.
  public static func isProcess(named name: String) -> Bool {
    guard let folder = unsafe opendir("/proc") else { return false }
    defer { unsafe _ = closedir(folder) }
    while let entry = unsafe readdir(folder) {
      let number = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if Int(number) != nil, (try? readText("/proc/\(number)/comm")) == name { return true }
    }
    return false
  }
}
