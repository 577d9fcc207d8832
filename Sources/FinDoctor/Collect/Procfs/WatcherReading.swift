internal import FinBase
internal import Glibc

extension Watchers {
  /// Reads the epoll entries and blocked threads of a process.
  ///
  /// An epoll instance is locked while a thread copies events out of it, and the memory that it copies to may not
  /// answer. What did not answer, or was longer than its limit, is noted.
  /// - Parameters:
  ///   - pid: The process.
  ///   - user: The user that it runs as.
  ///   - epolls: The descriptors of its epoll instances, see ``Holders/epolls(of:)``.
  package static func read(_ pid: Int32, user: UInt32? = nil, epolls: [Int32]) -> Watchers {
    var reading = WatcherReading(pid: pid, user: user)
    reading.readSets(epolls)
    reading.readThreads()
    var all = Watchers(
      interests: reading.interests, blocked: reading.blocked, isComplete: reading.isComplete, state: .read(pid))
    (all.unanswered, all.cut) = (reading.unanswered, reading.cut)
    return all
  }
}

/// The reading of one process's epoll entries and threads.
private struct WatcherReading {
  let pid: Int32
  let user: UInt32?
  var interests: [Watchers.Interest] = []
  var blocked: [Watchers.BlockedThread] = []
  var isComplete = true
  var unanswered: Set<CensusGaps.Unanswered> = []
  var cut: [String] = []
  /// The number of threads that wait for each descriptor in poll or select.
  private var polling: [Int32: Int] = [:]

  init(pid: Int32, user: UInt32?) {
    self.pid = pid
    self.user = user
  }

  /// Makes readings of this process, and calls `body` with those that have not failed.
  private mutating func perform(
    _ requests: [HelperRequest], _ kind: CensusGaps.Unanswered, _ body: (inout Self, Int, HelperAnswer) -> Void
  ) {
    Helpers.perform(requests.map { Helpers.Reading(pid: pid, user: user, request: $0) }) { place, answer in
      if answer.isSilent { unanswered.insert(kind) }
      body(&self, place, answer)
    }
  }

  mutating func readSets(_ epolls: [Int32]) {
    let requests = epolls.map { HelperRequest.read(path: "/proc/\(pid)/fdinfo/\($0)", limit: Budget.epollSet) }
    perform(requests, .epollSets) { reading, place, answer in
      if answer.failure != nil { reading.isComplete = false }
      if answer.isCut {
        reading.isComplete = false
        reading.cut.append(
          "epoll set \(epolls[place]) of process \(reading.pid) is longer than \(Budget.epollSet >> 20) MiB: "
            + "what else it watches is unknown")
      }
      reading.take(answer.bytes, epoll: epolls[place])
    }
  }

  private mutating func take(_ bytes: [UInt8], epoll: Int32) {
    let isWhole = Watchers.Interest.forEach(in: bytes, epoll: epoll) { interest in
      guard interests.count < Budget.interests else { return false }
      interests.append(interest)
      return true
    }
    if !isWhole {
      isComplete = false
      cut.append("the epoll sets of process \(pid) have more than \(Budget.interests) entries: the others are unknown")
    }
  }

  mutating func readThreads() {
    var threads: [Int32] = []
    do throws(KernelError) {
      let folder = try Descriptor("/proc/\(pid)/task")
      try FolderReader().forEachNumber(in: folder.number) { threads.append($0) }
    } catch {
      isComplete = false
    }
    if threads.count > Budget.threads {
      isComplete = false
      cut.append("process \(pid) has \(threads.count) threads: only \(Budget.threads) of them were read")
      threads.removeSubrange(Budget.threads...)
    }
    let paths = threads.map { "/proc/\(pid)/task/\($0)/syscall" }
    var polls: [(thread: Int32, line: [UInt8], set: PollSet)] = []
    perform(paths.map { HelperRequest.read(path: $0, limit: 256) }, .threads) { reading, place, answer in
      if let failure = answer.failure {
        if !failure.isGone { reading.isComplete = false }
      } else if let call = Watchers.BlockedThread(answer.bytes, thread: threads[place]) {
        reading.blocked.append(call)
      } else if let set = PollSet(answer.bytes) {
        polls.append((threads[place], answer.bytes, set))
      }
    }
    readPolls(polls)
  }

  /// Reads the descriptors that threads in poll or select wait for, from the memory of the process.
  private mutating func readPolls(_ polls: [(thread: Int32, line: [UInt8], set: PollSet)]) {
    var rest = Budget.polled
    for (thread, line, set) in polls {
      guard set.size <= rest else {
        isComplete = false
        cut.append(
          "the threads of process \(pid) poll more than \(Budget.polled >> 20) MiB of descriptors: what else they wait "
            + "for is unknown")
        return
      }
      rest -= set.size
      var pieces: [[UInt8]?] = []
      let requests = set.pieces.map {
        HelperRequest.read(path: "/proc/\(pid)/mem", offset: $0.address, limit: $0.count)
      }
      perform(requests, .threads) { _, _, answer in pieces.append(answer.failure == nil ? answer.bytes : nil) }
      guard let descriptors = set.descriptors(in: pieces) else {
        // A thread may have left the call meanwhile, so that its memory is gone: then nothing is missing.
        let again = Helpers.perform(
          .read(path: "/proc/\(pid)/task/\(thread)/syscall", limit: 256), of: pid, user: user)
        if again.isSilent { unanswered.insert(.threads) }
        if again.isSilent || again.bytes == line { isComplete = false }
        continue
      }
      for descriptor in descriptors {
        // Hundreds of threads may poll the same thousands of descriptors.
        let count = polling[descriptor, default: 0]
        guard count < Budget.threadsOfDescriptor else { continue }
        polling[descriptor] = count + 1
        blocked.append(Watchers.BlockedThread(thread: thread, call: set.call, descriptor: descriptor))
      }
    }
  }
}

extension Watchers.Interest {
  /// Reads the entries of an epoll instance from its fdinfo, until `body` returns false.
  /// - Returns: Whether all were read.
  static func forEach(in bytes: [UInt8], epoll: Int32, _ body: (Watchers.Interest) -> Bool) -> Bool {
    unsafe bytes.withUnsafeBytes { all in
      var start = 0
      while start < all.count {
        let rest = unsafe UnsafeRawBufferPointer(rebasing: all[start...])
        let count = unsafe memchr(rest.baseAddress!, 10, rest.count).map { unsafe rest.baseAddress!.distance(to: $0) }
        let line = unsafe UnsafeRawBufferPointer(rebasing: rest[..<(count ?? rest.count)])
        if let entry = unsafe Watchers.Interest(line, epoll: epoll), !body(entry) { return false }
        start += line.count + 1
      }
      return true
    }
  }

  /// Reads a line in which all numbers but the first are hexadecimal:
  /// `tfd:       11 events:       19 data:                b  pos:0 ino:1b2d35 sdev:9`.
  ///
  /// A set may have hundreds of thousands of lines: no memory is taken for one.
  private init?(_ line: UnsafeRawBufferPointer, epoll: Int32) {
    var text = unsafe EntryText(line)
    guard text.skip("tfd:"), let descriptor = text.number(base: 10).flatMap({ Int32(exactly: $0) }),
      text.skip("events:"), let events = text.number(base: 16).flatMap({ UInt32(exactly: $0) }),
      text.skip(to: "ino:"), let inode = text.number(base: 16).flatMap({ UInt32(exactly: $0) })
    else { return nil }
    self.init(epoll: epoll, descriptor: descriptor, events: events, inode: inode)
  }
}

/// The words of a line, from the first to the last.
@safe private struct EntryText {
  private let line: UnsafeRawBufferPointer
  private var place = 0

  init(_ line: UnsafeRawBufferPointer) { unsafe self.line = line }

  private mutating func skipSpaces() {
    while unsafe place < line.count, unsafe line[place] == 32 { place += 1 }
  }

  /// Skips a word; false if another one stands here.
  mutating func skip(_ word: StaticString) -> Bool {
    skipSpaces()
    let length = word.utf8CodeUnitCount
    guard unsafe line.count - place >= length,
      unsafe memcmp(line.baseAddress! + place, word.utf8Start, length) == 0
    else { return false }
    place += length
    return true
  }

  /// Skips words up to and with this beginning of one; false if none begins so.
  mutating func skip(to word: StaticString) -> Bool {
    while !skip(word) {
      guard unsafe place < line.count,
        let space = unsafe memchr(line.baseAddress! + place, 32, line.count - place)
      else { return false }
      place = unsafe line.baseAddress!.distance(to: space)
    }
    return true
  }

  /// Reads a number of up to 16 digits; nil if there is none, or if another character follows it than a space.
  mutating func number(base: UInt64) -> UInt64? {
    skipSpaces()
    let start = place
    var value: UInt64 = 0
    while unsafe place < line.count, unsafe line[place] != 32 {
      let byte = unsafe line[place]
      let digit: UInt64
      switch byte {
      case 48...57: digit = UInt64(byte - 48)
      case 97...102 where base == 16: digit = UInt64(byte - 87)
      default: return nil
      }
      guard place - start < 16 else { return nil }
      value = value &* base &+ digit
      place += 1
    }
    return place > start ? value : nil
  }
}

extension Watchers.BlockedThread {
  /// Reads `45 0xb 0x7f… …`: the number of the system call, then its arguments, of which the first is the descriptor.
  init?(_ bytes: [UInt8], thread: Int32) {
    let words = Array(Fields(bytes))
    guard words.count > 1, let number = Int(decimal: words[0]), let name = Self.names[number],
      words[1].begins(with: "0x"), let descriptor = UInt64(hexadecimal: words[1].dropFirst(2))
    else { return nil }
    self.init(thread: thread, call: name, descriptor: Int32(truncatingIfNeeded: descriptor))
  }

  /// System calls whose first argument is a descriptor and that may wait on it.
  private static let names: [Int: String] = {
    #if arch(x86_64)
    [
      0: "read", 1: "write", 17: "pread64", 19: "readv", 20: "writev", 42: "connect", 43: "accept", 44: "sendto",
      45: "recvfrom", 46: "sendmsg", 47: "recvmsg", 288: "accept4", 299: "recvmmsg", 307: "sendmmsg",
    ]
    #else
    [
      63: "read", 64: "write", 65: "readv", 66: "writev", 202: "accept", 203: "connect", 206: "sendto",
      207: "recvfrom", 211: "sendmsg", 212: "recvmsg", 242: "accept4", 243: "recvmmsg", 269: "sendmmsg",
    ]
    #endif
  }()
}

extension Census {
  /// Reads the epoll entries and blocked threads of these processes into ``watchers``.
  ///
  /// Only for processes that will be reported on: a busy server's epoll instance takes tens of milliseconds.
  package mutating func watch(_ pids: some Sequence<Int32>) {
    for pid in pids where watchers[pid] == nil {
      let found = Watchers.read(pid, user: programs[pid]?.user, epolls: holders.epolls(of: pid))
      for reading in found.unanswered { gaps.note(reading, of: pid) }
      gaps.cutReadings += found.cut
      watchers[pid] = found
    }
  }
}
