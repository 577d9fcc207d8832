internal import FinBase

/// The kernel's support for MPTCP in the network namespace that the calling thread is in.
enum MPTCPSupport {
  /// Whether the kernel supports MPTCP. A kernel without it would search for a module at each request for
  /// MPTCP sockets.
  static var isThere: Bool { (try? Files.status("/proc/sys/net/mptcp")) != nil }

  /// Whether any MPTCP sockets exist, for a kernel that does not list them: it may have MPTCP and lack the module that
  /// lists its sockets.
  static func hasSockets(isIPv6: Bool) -> Bool {
    guard let bytes = try? Files.read("/proc/thread-self/net/protocols") else { return true }
    return hasSockets(isIPv6 ? "MPTCPv6" : "MPTCP", in: bytes)
  }

  /// Reads the table of protocols, whose lines are a name, the size of a socket, and the number of sockets.
  static func hasSockets(_ name: String, in table: [UInt8]) -> Bool {
    for line in table.split(separator: 10) {
      let words = Array(Fields(line))
      if words.count > 2, words[0].elementsEqual(name.utf8) { return words[2] != [UInt8(ascii: "0")] }
    }
    return false
  }
}
