#if FIN_SEAM
internal import Synchronization
internal import SystemPackage

/// A seam at which tests script the results of system calls. Debug builds only; a release build has no trace of it.
///
/// A script applies to the code that runs inside `Seam.$script.withValue(script) { … }`, including threads that
/// `serve(threads:)` starts.
enum Seam {
  @TaskLocal static var script: Script?

  /// The scripted answer for this call, if there is one.
  static func answer(_ call: SystemCall) -> ScriptedResult? { script?.answer(call) }
}

/// The behaviour of a scripted call, instead of or around the real call.
enum ScriptedResult: Sendable {
  /// Fails with this error, without the real call.
  case fail(Errno)
  /// Makes the real call with at most this number of bytes.
  case limit(Int)
  /// Returns this value, without the real call.
  case value(Int)
  /// Runs an action (a close from another thread, a reset), then makes the real call.
  case before(@Sendable () -> Void)
  /// Makes the real call, then runs an action before the result is returned to the caller.
  case after(@Sendable () -> Void)
}

/// Scripted answers for system calls, each for one occurrence or for all.
final class Script: Sendable {
  struct Line: Sendable {
    let call: SystemCall
    /// The occurrence, counted from 1; `nil` for every one.
    let occurrence: Int?
    let answer: ScriptedResult

    static func first(_ call: SystemCall, _ answer: ScriptedResult) -> Line {
      Line(call: call, occurrence: 1, answer: answer)
    }
    static func nth(_ n: Int, _ call: SystemCall, _ answer: ScriptedResult) -> Line {
      Line(call: call, occurrence: n, answer: answer)
    }
    static func every(_ call: SystemCall, _ answer: ScriptedResult) -> Line {
      Line(call: call, occurrence: nil, answer: answer)
    }
  }

  private let lines: [Line]
  private let counts = Mutex<[SystemCall: Int]>([:])

  init(_ lines: Line...) { self.lines = lines }
  init(lines: [Line]) { self.lines = lines }

  /// The number of calls made while the script applied, including those with scripted answers.
  func count(_ call: SystemCall) -> Int { counts.withLock { $0[call] ?? 0 } }

  fileprivate func answer(_ call: SystemCall) -> ScriptedResult? {
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
  case recv, send, sendmsg, recvmsg, sendmmsg, recvmmsg, getsockopt, setsockopt, getsockname, getpeername, ioctl, fcntl
  case poll, eventfd, epollCreate, epollControl, epollWait, read, write
  case lseek, sendfile, splice, pipe
  case open, chmod, lstat, unlink, flock
  case memfdCreate, fallocate, mmap
  case getifaddrs
  /// `getsockopt(2)` of `SO_PROTOCOL`.
  case protocolOfSocket
  /// The `msg_flags` of `recvmsg(2)`.
  case flagsOfMessage
}
