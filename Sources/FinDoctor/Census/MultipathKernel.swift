/// Whether there is MPTCP at all, in the network namespace that the calling thread is in.
enum MultipathKernel {
  /// Whether the kernel has it. One that has not would look for a module each time that it is asked about its sockets.
  static var isThere: Bool { (try? Files.status("/proc/sys/net/mptcp")) != nil }

  /// Whether there are any sockets of it, of which the kernel will not tell more: what shows them may be missing where
  /// MPTCP is not.
  static func hasSockets(isIPv6: Bool) -> Bool {
    guard let bytes = try? Files.read("/proc/thread-self/net/protocols") else { return true }
    return hasSockets(isIPv6 ? "MPTCPv6" : "MPTCP", in: bytes)
  }

  /// Out of the table of protocols: a name, the size of a socket, and how many there are.
  static func hasSockets(_ name: String, in table: [UInt8]) -> Bool {
    for line in table.split(separator: 10) {
      let words = Array(Words(line))
      if words.count > 2, words[0].elementsEqual(name.utf8) { return words[2] != [UInt8(ascii: "0")] }
    }
    return false
  }
}
