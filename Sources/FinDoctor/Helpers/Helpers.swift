internal import CFin
internal import FinBase
internal import Glibc
internal import Synchronization

/// The helpers of this process, and what they could not read.
///
/// In the command `fin`, helpers are processes. A process that the kernel does not let go can be left behind: `fin`
/// prints its report and ends, and the kernel ends the other one when it can. In any other program that uses FinDoctor,
/// helpers are threads, because a library must not fork its program: a census returns in the same time and says the
/// same, but such a thread stays, and that program cannot end before the kernel lets go of the thread.
package final class Helpers: Sendable {
  static let shared = Helpers()

  private struct State {
    /// The channel to the process that forks the helpers.
    var source: OwnChannel?
    var idle: [Helper] = []
    /// The processes that did not answer.
    var silent = Silences<Int32>()
    /// The network namespaces in which a dump with details did not answer, and when.
    var lockedNamespaces: [UInt32: UInt64] = [:]
    /// The cookies of sockets whose details did not answer.
    var lockedSockets = Silences<UInt64>()
  }

  private final class OwnChannel: Sendable {
    let descriptor: Descriptor
    let pid: Int32

    init(_ descriptor: consuming Descriptor, pid: Int32) {
      self.descriptor = descriptor
      self.pid = pid
    }
  }

  private let state = Mutex(State())

  /// The process that forks the helpers; nil without one.
  package static var source: Int32? { shared.state.withLock { $0.source?.pid } }

  /// Makes the helpers of this program processes, from now on: forks one that does nothing but fork them.
  ///
  /// Call it at the beginning of the program, while it has one thread: then the fork is a whole program. With several
  /// threads, or when the fork fails, helpers are threads. All of them end with this process; one that is stuck in the
  /// kernel ends when the kernel lets go of it. They hold no file of this process.
  package static func begin() {
    guard threadCount == 1, let ends = try? ChannelEnds() else { return }
    let pid = fin_fork()
    if pid == 0 {
      HelperSource.serve(on: ends.other.number)
      _exit(0)
    }
    guard pid > 0 else { return }
    let channel = OwnChannel(ends.takeOwn(), pid: pid)
    shared.state.withLock { $0.source = channel }
  }

  private static var threadCount: Int {
    var count = 0
    if let folder = try? Descriptor("/proc/self/task") {
      try? FolderReader().forEachNumber(in: folder.number) { _ in count += 1 }
    }
    return count
  }

  /// The two ends of a channel.
  private struct ChannelEnds: ~Copyable {
    let own: Descriptor
    let other: Descriptor

    init() throws(KernelError) {
      var ends: (CInt, CInt) = (-1, -1)
      _ = try calling {
        unsafe withUnsafeMutableBytes(of: &ends) {
          unsafe Int(fin_packet_pair($0.baseAddress!.assumingMemoryBound(to: CInt.self)))
        }
      }
      own = Descriptor(owning: ends.0)
      other = Descriptor(owning: ends.1)
    }

    /// Closes the other end and returns the own one.
    consuming func takeOwn() -> Descriptor { own }
  }

  /// Takes a helper that is idle, or makes one. The caller gives it back, or abandons it.
  func take() throws(KernelError) -> Helper {
    let (idle, source) = state.withLock { ($0.idle.popLast(), $0.source) }
    if let idle { return idle }
    let ends = try ChannelEnds()
    if let source {
      let isAsked = unsafe withUnsafeBytes(of: UInt8(0)) {
        unsafe fin_send_packet(source.descriptor.number, $0.baseAddress!, 1, nil, 0, ends.other.number, 0)
      }
      if isAsked > 0 { return try Helper(ends.takeOwn(), thread: nil) }
    }
    let number = CInt(try calling { Int(fin_fcntl_int(ends.other.number, CInt(FIN_F_DUPFD_CLOEXEC), 0)) })
    let thread = JoinableThread<Void> {
      let end = Descriptor(owning: number)
      HelperWork(on: end.number).run()
    }
    return try Helper(ends.takeOwn(), thread: thread)
  }

  /// Gives a helper back that has answered all it was asked.
  func give(_ helper: Helper) {
    let isKept = state.withLock { state in
      // A thread ends with the reading that it was made for: a library leaves no threads behind.
      guard state.source != nil else { return false }
      state.idle.append(helper)
      return true
    }
    if !isKept { helper.end() }
  }
}

/// Readings, in order.
extension Helpers {
  /// A reading of one process.
  struct Reading {
    var pid: Int32
    /// The user that the process runs as.
    var user: UInt32?
    var request: HelperRequest
  }

  /// Makes these readings, and calls `body` with the answer of each, in order.
  ///
  /// A reading that does not answer costs its deadline once: its answer is ``KernelError/silent``, and so is every
  /// other one of the same process, without being tried. A user with several silent processes has no others read.
  static func perform(_ readings: [Reading], _ body: (Int, HelperAnswer) -> Void) {
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 16)
    defer { unsafe room.deallocate() }
    var helper: Helper?
    var next = 0
    var asked = 0
    /// The readings that were not tried.
    var left: Set<Int> = []
    while next < readings.count {
      do throws(KernelError) {
        let current: Helper
        if let helper { current = helper } else { current = try shared.take() }
        helper = current
        while asked < readings.count, asked - next < 16 {
          if shared.leavesOut(readings[asked]) {
            left.insert(asked)
          } else if try !current.ask(readings[asked].request) {
            break
          }
          asked += 1
        }
        if left.remove(next) != nil {
          body(next, HelperAnswer(failure: .silent))
        } else {
          body(next, unsafe try answer(of: current, room))
        }
        next += 1
      } catch {
        if error == .silent { shared.remember(readings[next]) }
        body(next, HelperAnswer(failure: error))
        helper?.abandon()
        helper = nil
        next += 1
        asked = next
        left = []
      }
    }
    if let helper { shared.give(helper) }
  }

  /// Makes one reading.
  static func perform(_ request: HelperRequest, of pid: Int32, user: UInt32? = nil) -> HelperAnswer {
    var result = HelperAnswer()
    perform([Reading(pid: pid, user: user, request: request)]) { result = $1 }
    return result
  }

  private static func answer(
    of helper: Helper, _ room: UnsafeMutableRawBufferPointer
  ) throws(KernelError) -> HelperAnswer {
    var result = HelperAnswer()
    let start = HelperWork.Mark.headLength
    while true {
      switch unsafe try helper.next(into: room) {
      case .more(let count):
        unsafe result.bytes.append(contentsOf: UnsafeRawBufferPointer(rebasing: room[start..<start + count]))
      case .cut:
        result.isCut = true
        return result
      case .end(let code, let descriptor):
        if code != 0 { result.failure = KernelError(code: code) }
        // The answer came, and this process has no room for its descriptor.
        if descriptor == HelperWork.Mark.droppedDescriptor { result.failure = KernelError(code: EMFILE) }
        result.descriptor = max(-1, descriptor)
        return result
      }
    }
  }

  private func leavesOut(_ reading: Reading) -> Bool {
    let now = UInt64(SystemClock.monotonic)
    return state.withLock { $0.silent.leavesOut(reading.pid, of: reading.user, at: now) }
  }

  /// Whether this process did not answer a short time ago.
  func hasBeenSilent(_ pid: Int32) -> Bool { state.withLock { $0.silent.contains(pid) } }

  private func remember(_ reading: Reading) {
    let now = UInt64(SystemClock.monotonic)
    state.withLock { $0.silent.insert(reading.pid, of: reading.user, at: now) }
  }
}

/// Sockets that a program keeps locked. The kernel waits for the lock when it is asked for `tcp_info`.
extension Helpers {
  /// Whether a dump with details did not answer in this namespace a short time ago.
  func hasLockedSockets(inNamespace inode: UInt32) -> Bool {
    let now = UInt64(SystemClock.monotonic)
    return state.withLock { state in
      guard let when = state.lockedNamespaces[inode] else { return false }
      if now - when < Budget.memory.inNanoseconds { return true }
      state.lockedNamespaces[inode] = nil
      return false
    }
  }

  /// Remembers that a dump with details did not answer in this namespace.
  func rememberLock(inNamespace inode: UInt32) {
    let now = UInt64(SystemClock.monotonic)
    state.withLock { $0.lockedNamespaces[inode] = now }
  }

  /// Whether this socket did not answer, or is left out because others of the same user did not.
  func leavesOut(_ socket: InetSocket) -> (isLocked: Bool, isLeftOut: Bool) {
    let now = UInt64(SystemClock.monotonic)
    return state.withLock { state in
      let isLeftOut = state.lockedSockets.leavesOut(socket.cookie, of: socket.user, at: now)
      return (state.lockedSockets.contains(socket.cookie), isLeftOut)
    }
  }

  /// Remembers that this socket did not answer.
  func rememberLock(of socket: InetSocket) {
    let now = UInt64(SystemClock.monotonic)
    state.withLock { $0.lockedSockets.insert(socket.cookie, of: socket.user, at: now) }
  }
}

extension CensusGaps {
  /// Notes a reading of a process that is missing.
  mutating func note(_ reading: Unanswered, of pid: Int32) {
    unanswered[pid, default: []].insert(reading)
    if reading != .sockets, !Helpers.shared.hasBeenSilent(pid) { unasked.insert(pid) }
  }
}
