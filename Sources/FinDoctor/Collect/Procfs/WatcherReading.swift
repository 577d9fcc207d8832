internal import FinBase

extension Watchers {
  /// Reads the epoll entries and blocked threads of a process.
  /// - Parameters:
  ///   - pid: The process.
  ///   - epolls: The descriptors of its epoll instances, see ``Holders/epolls(of:)``.
  package static func read(_ pid: Int32, epolls: [Int32]) -> Watchers {
    var interests: [Interest] = []
    var isComplete = true
    for epoll in epolls {
      // 100,000 entries are eight million bytes.
      guard let bytes = try? Files.read("/proc/\(pid)/fdinfo/\(epoll)", limit: 64 << 20) else {
        isComplete = false
        continue
      }
      for line in bytes.split(separator: 10) {
        if let interest = Interest(line, epoll: epoll) { interests.append(interest) }
      }
    }
    var threads: [Int32] = []
    do throws(KernelError) {
      let folder = try Descriptor("/proc/\(pid)/task")
      try FolderReader().forEachNumber(in: folder.number) { threads.append($0) }
    } catch {
      isComplete = false
    }
    var blocked: [BlockedThread] = []
    for thread in threads {
      do throws(KernelError) {
        let bytes = try Files.read("/proc/\(pid)/task/\(thread)/syscall", limit: 256)
        if let call = BlockedThread(bytes, thread: thread) {
          blocked.append(call)
        } else if let set = PollSet.read(pid, bytes) {
          guard let descriptors = set.descriptors else {
            // A thread may have left the call meanwhile, so that its memory is gone: then nothing is missing.
            if (try? Files.read("/proc/\(pid)/task/\(thread)/syscall", limit: 256)) == bytes { isComplete = false }
            continue
          }
          blocked += descriptors.map { BlockedThread(thread: thread, call: set.call, descriptor: $0) }
        }
      } catch {
        if !error.isGone { isComplete = false }
      }
    }
    return Watchers(interests: interests, blocked: blocked, isComplete: isComplete, state: .read(pid))
  }
}

extension Watchers.Interest {
  /// Reads a line of an epoll instance's fdinfo, in which all numbers but the first are hexadecimal:
  /// `tfd:       11 events:       19 data:                b  pos:0 ino:1b2d35 sdev:9`.
  init?(_ line: ArraySlice<UInt8>, epoll: Int32) {
    let words = Array(Fields(line))
    guard words.count >= 4, words[0].elementsEqual("tfd:".utf8), words[2].elementsEqual("events:".utf8),
      let descriptor = Int32(decimal: words[1]), let events = UInt32(hexadecimal: words[3]),
      let inode = words.first(where: { $0.begins(with: "ino:") }).flatMap({ UInt32(hexadecimal: $0.dropFirst(4)) })
    else { return nil }
    self.init(epoll: epoll, descriptor: descriptor, events: events, inode: inode)
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
      watchers[pid] = Watchers.read(pid, epolls: holders.epolls(of: pid))
    }
  }
}
