internal import FinBase

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

  /// Whether the process has ended or is about to, and its number is still there: its parent has not waited for it.
  ///
  /// False where it cannot be read, as beside `hidepid`.
  static func isEnding(_ pid: Int32) -> Bool {
    isEnding { () throws(KernelError) in try Files.read("/proc/\(pid)/stat", limit: 4096) }
  }

  /// Whether a process has ended or is about to, by its `stat`, which a closure reads.
  static func isEnding(reading: () throws(KernelError) -> [UInt8]) -> Bool {
    do throws(KernelError) { return isEnding(stat: try reading()) } catch { return error.isGone }
  }

  /// Reads the flags of the first thread and the number of threads: that thread may end before the others.
  static func isEnding(stat bytes: [UInt8]) -> Bool {
    guard let end = bytes.lastIndex(of: UInt8(ascii: ")")) else { return false }
    let fields = Array(Fields(bytes[(end + 1)...]))
    // Fields 9 and 20 of the manual, counted from 1, where the state is field 3. `PF_EXITING` is 4.
    guard fields.count > 17, let flags = UInt64(decimal: fields[6]), let threads = Int64(decimal: fields[17]) else {
      return false
    }
    return flags & 4 != 0 && threads <= 1
  }
}
