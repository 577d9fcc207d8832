internal import FinBase

/// The descriptors that a thread in poll or select waits for, read from its memory at the addresses in its system
/// call's arguments.
enum PollSet {
  /// Reads the call and its descriptors. The result is nil for any other call; the descriptors are nil when the memory
  /// may not be read.
  /// - Parameters:
  ///   - pid: The process.
  ///   - line: The text of `/proc/PID/task/TID/syscall`: the call's number and its arguments.
  static func read(_ pid: Int32, _ line: [UInt8]) -> (call: String, descriptors: [Int32]?)? {
    let words = Array(Fields(line))
    guard words.count > 6, let number = Int(decimal: words[0]), let call = calls[number] else { return nil }
    let arguments = words[1...6].map { UInt64(hexadecimal: $0.dropFirst(2)) ?? 0 }
    return (call, call.hasSuffix("poll") ? polled(pid, arguments) : selected(pid, arguments))
  }

  /// Reads an array of `struct pollfd`: a descriptor, the requested events, the returned events.
  private static func polled(_ pid: Int32, _ arguments: [UInt64]) -> [Int32]? {
    guard let bytes = memory(pid, arguments[0], arguments[1].multipliedReportingOverflow(by: 8).partialValue) else {
      return nil
    }
    let all = stride(from: 0, to: bytes.count - 7, by: 8).map { offset in
      Int32(bitPattern: (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[offset + $1]) << UInt32($1 * 8) })
    }
    // The kernel ignores negative descriptors.
    return all.filter { $0 >= 0 }
  }

  /// Reads three bit sets: for input, output, and exceptions.
  private static func selected(_ pid: Int32, _ arguments: [UInt64]) -> [Int32]? {
    var all: Set<Int32> = []
    for set in 1...3 where arguments[set] != 0 {
      guard let bytes = memory(pid, arguments[set], (arguments[0] &+ 7) / 8) else { return nil }
      for (place, byte) in bytes.enumerated() where byte != 0 {
        for bit in 0..<8 where byte & 1 << UInt8(bit) != 0 { all.insert(Int32(place * 8 + bit)) }
      }
    }
    return all.sorted()
  }

  private static func memory(_ pid: Int32, _ address: UInt64, _ count: UInt64) -> [UInt8]? {
    guard count <= 1 << 20, address < 1 << 62 else { return nil }
    if count == 0 { return [] }
    guard let memory = try? Descriptor("/proc/\(pid)/mem"),
      let bytes = try? memory.read(Int(count), at: address), bytes.count == Int(count)
    else { return nil }
    return bytes
  }

  private static let calls: [Int: String] = {
    #if arch(x86_64)
    [7: "poll", 23: "select", 270: "pselect", 271: "ppoll"]
    #else
    [72: "pselect", 73: "ppoll"]
    #endif
  }()
}
