internal import CFin
internal import Glibc

/// What is asked of the kernel about one socket beyond the picture of all.
public struct LifeReadings: Sendable {
  /// The flags of each descriptor that holds it, `O_NONBLOCK` and `O_CLOEXEC` among them.
  public var flags: [Holder: UInt32] = [:]
  /// Threads of its holders that wait for several descriptors at once, and which of them: nil when that may not be read.
  public var polls: [PollingThread] = []
  /// How long the kernel tries in the socket's namespace.
  public var patience = Patience()
  /// The socket's options; nil when they were not asked for, or may not be read.
  public var options: SocketOptions?
  /// What could not be read, one sentence each.
  public var hidden: [String] = []

  /// Nothing read.
  public init() {}

  /// Asks.
  /// - Parameters:
  ///   - socket: The socket.
  ///   - census: The picture it is in.
  ///   - readsOptions: Whether to take a copy of its descriptor for a moment and ask it. For that moment a close by the program
  ///     ends nothing.
  public static func read(_ socket: SocketReference, in census: Census, readsOptions: Bool = false) -> LifeReadings {
    var all = LifeReadings()
    let holders = census.holders[census.inode(of: socket)]
    for holder in holders.prefix(64) {
      if let flags = flags(of: holder) { all.flags[holder] = flags }
    }
    for pid in Set(holders.map(\.pid)).sorted().prefix(16) { all.polls += PollingThread.read(pid) }
    if case .inet(let place) = socket { all.patience = .read(in: census.namespace(of: census.sockets[place])) }
    if readsOptions, let holder = holders.first {
      do throws(KernelError) {
        all.options = try SocketOptions.read(holder)
      } catch {
        all.hidden.append("the options of descriptor \(holder.descriptor) of process \(holder.pid): \(error)")
      }
    }
    return all
  }

  /// `flags:	02004002`, octal.
  private static func flags(of holder: Holder) -> UInt32? {
    guard let bytes = try? Files.read("/proc/\(holder.pid)/fdinfo/\(holder.descriptor)", limit: 4096),
      let line = bytes.split(separator: 10).first(where: { $0.begins(with: "flags:") })
    else { return nil }
    // The number may mean another file by now.
    if let inode = bytes.split(separator: 10).first(where: { $0.begins(with: "ino:") }),
      Words(inode.dropFirst(4)).first.flatMap({ UInt32(decimal: $0) }) != holder.inode
    {
      return nil
    }
    return Words(line.dropFirst(6)).first.flatMap { UInt32(String(decoding: $0, as: UTF8.self), radix: 8) }
  }
}

/// A thread that waits in poll or select.
public struct PollingThread: Hashable, Sendable {
  /// The process.
  public var pid: Int32
  /// The thread.
  public var thread: Int32
  /// `poll`, `select` and their like.
  public var call: String
  /// The descriptors it waits for, each with the events of poll: 1 input, 4 output, 0x2000 the peer's end. Nil when its
  /// memory may not be read.
  public var interests: [Int32: UInt16]?

  /// From its parts.
  public init(pid: Int32, thread: Int32, call: String, interests: [Int32: UInt16]?) {
    self.pid = pid
    self.thread = thread
    self.call = call
    self.interests = interests
  }

  static func read(_ pid: Int32) -> [PollingThread] {
    var threads: [Int32] = []
    if let folder = try? OwnDescriptor("/proc/\(pid)/task") {
      try? FolderReader().forEachNumber(in: folder.number) { threads.append($0) }
    }
    return threads.prefix(4096).compactMap { thread in
      guard let bytes = try? Files.read("/proc/\(pid)/task/\(thread)/syscall", limit: 256) else { return nil }
      let words = Array(Words(bytes))
      guard words.count > 6, let number = Int(decimal: words[0]), let call = calls[number] else { return nil }
      let arguments = words[1...6].map { UInt64(hexadecimal: $0.dropFirst(2)) ?? 0 }
      return PollingThread(
        pid: pid, thread: thread, call: call,
        interests: call.hasSuffix("poll") ? polled(pid, arguments) : selected(pid, arguments))
    }
  }

  /// `struct pollfd`: a descriptor, the events asked for, those that came.
  private static func polled(_ pid: Int32, _ arguments: [UInt64]) -> [Int32: UInt16]? {
    guard let bytes = memory(pid, arguments[0], arguments[1].multipliedReportingOverflow(by: 8).partialValue) else {
      return nil
    }
    var interests: [Int32: UInt16] = [:]
    for offset in stride(from: 0, to: bytes.count - 7, by: 8) {
      let descriptor = (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[offset + $1]) << UInt32($1 * 8) }
      interests[Int32(bitPattern: descriptor), default: 0] |=
        UInt16(bytes[offset + 4]) | UInt16(bytes[offset + 5]) << 8
    }
    return interests
  }

  /// Three sets of bits: for input, output, and exceptions.
  private static func selected(_ pid: Int32, _ arguments: [UInt64]) -> [Int32: UInt16]? {
    var interests: [Int32: UInt16] = [:]
    for (set, events) in [(1, UInt16(1)), (2, 4), (3, 2)] where arguments[set] != 0 {
      guard let bytes = memory(pid, arguments[set], (arguments[0] &+ 7) / 8) else { return nil }
      for (place, byte) in bytes.enumerated() where byte != 0 {
        for bit in 0..<8 where byte & 1 << UInt8(bit) != 0 {
          interests[Int32(place * 8 + bit), default: 0] |= events
        }
      }
    }
    return interests
  }

  private static func memory(_ pid: Int32, _ address: UInt64, _ count: UInt64) -> [UInt8]? {
    guard count <= 1 << 20, address < 1 << 62 else { return nil }
    if count == 0 { return [] }
    guard let memory = try? OwnDescriptor("/proc/\(pid)/mem"),
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

extension NamespacePlace {
  /// Takes the calling thread into a namespace.
  static func enter(_ path: String) -> Bool {
    guard let entrance = try? OwnDescriptor(path) else { return false }
    return fin_enter_network(entrance.number) == 0
  }
}
