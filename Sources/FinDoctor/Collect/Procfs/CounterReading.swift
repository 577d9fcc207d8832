internal import FinBase

extension Counters {
  /// The counters of the namespace that the calling thread is in.
  static func ofThisThread() -> Counters { read("/proc/thread-self/net") }

  /// The counters of the namespace that a process is in. Reading them needs no rights.
  package static func read(of pid: Int32) -> Counters { read("/proc/\(pid)/net") }

  private static func read(_ folder: String) -> Counters {
    var counters = Counters()
    for name in ["netstat", "snmp"] {
      if let bytes = try? Files.read("\(folder)/\(name)") { counters.take(table: bytes) }
    }
    if let bytes = try? Files.read("\(folder)/sockstat") { counters.take(pairs: bytes) }
    return counters
  }

  /// Reads lines in pairs: `TcpExt: SyncookiesSent …` and `TcpExt: 0 …`. A value without a name or a number is
  /// left out.
  mutating func take(table bytes: [UInt8]) {
    let lines = bytes.split(separator: 10)
    var index = 0
    while index + 1 < lines.count {
      var names = Fields(lines[index])
      var numbers = Fields(lines[index + 1])
      guard let head = names.next(), head.last == UInt8(ascii: ":"), numbers.next() == head else {
        index += 1
        continue
      }
      let group = visible(head.dropLast())
      while let name = names.next(), let number = numbers.next() {
        if let value = Self.number(number) { values["\(group).\(visible(name))"] = value }
      }
      index += 2
    }
  }

  /// Reads names and values in turn: `TCP: inuse 5 orphan 0 tw 2 alloc 7 mem 1`.
  mutating func take(pairs bytes: [UInt8]) {
    for line in bytes.split(separator: 10) {
      var words = Fields(line)
      guard let head = words.next(), head.last == UInt8(ascii: ":") else { continue }
      let group = visible(head.dropLast())
      while let name = words.next(), let number = words.next() {
        if let value = Self.number(number) { values["sockstat.\(group).\(visible(name))"] = value }
      }
    }
  }

  private static func number(_ word: ArraySlice<UInt8>) -> Int64? {
    word.first == UInt8(ascii: "-") ? Int64(decimal: word.dropFirst()).map { -$0 } : Int64(decimal: word)
  }
}
