#if FIN_SEAM
internal import Synchronization
internal import SystemPackage

/// Where tests script what a system call answers. Debug builds only; a release build has no trace of it.
///
/// A script is in force for the code that runs inside `Seam.$script.withValue(script) { … }`, threads that
/// `serve(threads:)` starts included.
enum Seam {
  @TaskLocal static var script: Script?

  /// The answer scripted for this call, if there is one.
  static func answer(_ call: SystemCall) -> Answer? { script?.answer(call) }
}

/// What a scripted call does instead of, or around, the real one.
enum Answer: Sendable {
  /// The real call is not made; it failed with this.
  case fail(Errno)
  /// The real call is made with at most so many bytes.
  case limit(Int)
  /// The real call is not made; it returned this.
  case value(Int)
  /// Something happens first (a close from another thread, a reset), then the real call is made.
  case before(@Sendable () -> Void)
  /// The real call is made, then something happens before the caller hears of it.
  case after(@Sendable () -> Void)
}

/// Answers for system calls, each for one occurrence or for all.
final class Script: Sendable {
  struct Line: Sendable {
    let call: SystemCall
    /// Counted from 1; `nil` is every time.
    let occurrence: Int?
    let answer: Answer

    static func first(_ call: SystemCall, _ answer: Answer) -> Line { Line(call: call, occurrence: 1, answer: answer) }
    static func nth(_ n: Int, _ call: SystemCall, _ answer: Answer) -> Line {
      Line(call: call, occurrence: n, answer: answer)
    }
    static func every(_ call: SystemCall, _ answer: Answer) -> Line {
      Line(call: call, occurrence: nil, answer: answer)
    }
  }

  private let lines: [Line]
  private let counts = Mutex<[SystemCall: Int]>([:])

  init(_ lines: Line...) { self.lines = lines }
  init(lines: [Line]) { self.lines = lines }

  /// How often a call was made while the script was in force, the scripted answers included.
  func count(_ call: SystemCall) -> Int { counts.withLock { $0[call] ?? 0 } }

  fileprivate func answer(_ call: SystemCall) -> Answer? {
    let n = counts.withLock { counts in
      counts[call, default: 0] += 1
      return counts[call]!
    }
    return lines.first { $0.call == call && ($0.occurrence == nil || $0.occurrence == n) }?.answer
  }
}
#endif

/// The system calls that Fin makes.
enum SystemCall: Hashable, Sendable, CaseIterable {
  case socket, socketpair, bind, listen, connect, accept, shutdown, close
  case recv, send, sendmsg, recvmsg, getsockopt, setsockopt, getsockname, getpeername, ioctl, fcntl
  case poll, eventfd, epollCreate, epollControl, epollWait, read, write
  case open, chmod, lstat, unlink, flock
  case memfdCreate, fallocate, mmap
  /// `getsockopt(2)` of `SO_PROTOCOL`.
  case protocolOfSocket
}
