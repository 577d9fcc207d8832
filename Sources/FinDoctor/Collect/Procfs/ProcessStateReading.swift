extension ProcessState {
  /// Reads the state of a process; nil when it has ended. Reading it needs no rights.
  static func read(_ pid: Int32) -> ProcessState? {
    (try? Files.read("/proc/\(pid)/stat", limit: 4096)).flatMap { ProcessState(stat: $0) }
  }

  /// Reads `PID (name) state …`. The name may hold any byte, also parentheses; the last parenthesis ends it.
  init?(stat bytes: [UInt8]) {
    guard let end = bytes.lastIndex(of: UInt8(ascii: ")")), end + 2 < bytes.count else { return nil }
    self.init(letter: bytes[end + 2])
  }
}
