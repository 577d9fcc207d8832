import CFin
import Glibc

/// A running command: it is traced so that it stops at its end, and gets the signals that `fin` gets.
///
/// Its open files can be seen only in an event that stops it before the kernel closes them. Tried on Linux 6.18:
/// - `waitid` with `WNOWAIT`, a pidfd that becomes readable, and state `Z` in `/proc` all come when the files are
///   closed: `/proc/PID/fd` is empty then.
/// - Between two looks at a running process, any number of its sockets are closed and opened, so that the last look
///   before its end says nothing certain about the end.
/// - `PTRACE_EVENT_EXIT` stops each thread before it drops the files, also after SIGKILL. It needs the right to trace.
///
/// Where tracing is denied, there is therefore no picture of the end, and the check must say so.
struct CommandTrace {
  let pid: pid_t
  /// Whether the kernel stops the command at its end.
  let isTraced: Bool
  private let before: sigset_t
  private let awaited: sigset_t
  /// Threads of the command that are at their end.
  private var ending: Set<pid_t> = []

  /// The signals that are handed on to the command.
  private static let handedOn = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2]

  /// Starts the command; nil if it could not be started.
  init?(_ command: [String]) {
    // An ignored SIGCHLD would have the kernel reap the command.
    signal(SIGCHLD, SIG_DFL)
    // Orphaned descendants become children of this process, so that they can be found.
    _ = fin_adopt_orphans()
    var signals = sigset_t()
    var before = sigset_t()
    unsafe sigemptyset(&signals)
    for signal in Self.handedOn + [SIGCHLD] { unsafe sigaddset(&signals, signal) }
    // Blocked, so that one wait takes them one by one, together with the news of the command.
    unsafe pthread_sigmask(SIG_BLOCK, &signals, &before)
    (self.before, awaited) = (before, signals)
    guard let pid = CommandStart.spawn(command, before) else { return nil }
    self.pid = pid
    isTraced = fin_trace(Request.seize, pid, Request.options) == 0
    kill(pid, SIGCONT)
  }

  private enum Request {
    static let resume: CInt = 7
    static let seize: CInt = 0x4206
    static let listen: CInt = 0x4208
    /// PTRACE_O_TRACECLONE, TRACEEXEC, TRACEEXIT and EXITKILL.
    static let options: CUnsignedLong = 0x08 | 0x10 | 0x40 | 0x10_0000
  }

  /// Lets the command run to its end.
  /// - Parameter atEnd: Called once, if the command is traced: it has called exit or was killed, its files are still
  ///   open, and none of its threads runs.
  /// - Returns: The exit status, as a shell reports it.
  mutating func awaitEnd(_ atEnd: () throws -> Void) rethrows -> Int32 {
    defer {
      var before = before
      unsafe pthread_sigmask(SIG_SETMASK, &before, nil)
    }
    var wasSeen = false
    while true {
      var status: CInt = 0
      let who = unsafe waitpid(-1, &status, WNOHANG | 0x4000_0000)  // __WALL: threads too.
      if who == 0 {
        awaitSignal()
        continue
      }
      if who < 0 {
        if errno == EINTR { continue }
        return 0
      }
      guard status & 0xff == 0x7f else {
        // Its number may be given to a new thread from now on.
        ending.remove(who)
        // Processes that the command left behind are children of this process by now, and may end as well.
        if who != pid { continue }
        return status & 0x7f == 0 ? (status >> 8) & 0xff : 128 + status & 0x7f
      }
      let signal = (status >> 8) & 0xff
      switch status >> 16 {
      case 4:  // PTRACE_EVENT_EXEC: the other threads are gone, and this one has the number of the first.
        ending = []
        _ = fin_trace(Request.resume, who, 0)
      case 6:  // PTRACE_EVENT_EXIT
        ending.insert(who)
        if !wasSeen, isLastThread(who) {
          wasSeen = true
          try atEnd()
        }
        _ = fin_trace(Request.resume, who, 0)
      case 128:  // PTRACE_EVENT_STOP
        let isJobControl = [SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU].contains(signal)
        _ = fin_trace(isJobControl ? Request.listen : Request.resume, who, 0)
      case 0: _ = fin_trace(Request.resume, who, CUnsignedLong(signal))
      default: _ = fin_trace(Request.resume, who, 0)
      }
    }
  }

  /// Waits for news of a child, or for a signal, which is handed on to the command.
  private func awaitSignal() {
    var signals = awaited
    var info = unsafe siginfo_t()
    let signal = unsafe sigwaitinfo(&signals, &info)
    // A signal of the terminal (SI_KERNEL) goes to all processes of the foreground, and so to the command itself.
    if signal > 0, signal != SIGCHLD, unsafe info.si_code <= 0 { kill(pid, signal) }
  }

  /// Whether the end of this thread is the end of the command: no other thread of it goes on.
  ///
  /// A first thread may end while others continue (`pthread_exit` in `main`). When a process exits or is killed, the
  /// kernel marks all other threads with SIGKILL before the first of them stops here.
  private func isLastThread(_ thread: pid_t) -> Bool {
    let threads = Self.names(in: "/proc/\(pid)/task").compactMap { pid_t($0) }
    guard threads.contains(thread) else { return false }
    return !threads.contains { $0 != thread && !ending.contains($0) && goesOn($0) }
  }

  private func goesOn(_ thread: pid_t) -> Bool {
    guard let text = TextFile.read("/proc/\(pid)/task/\(thread)/status") else { return false }
    func value(_ key: String) -> Substring? {
      text.split(separator: "\n").first { $0.hasPrefix(key) }?.dropFirst(key.count).drop { $0 == "\t" || $0 == " " }
    }
    if let state = value("State:")?.first, state == "Z" || state == "X" { return false }
    let pending = value("SigPnd:").flatMap { UInt64($0, radix: 16) } ?? 0
    return pending & 1 << UInt64(SIGKILL - 1) == 0
  }

  private static func names(in folder: String) -> [String] {
    guard let stream = unsafe opendir(folder) else { return [] }
    defer { unsafe closedir(stream) }
    var names: [String] = []
    while let entry = unsafe readdir(stream) {
      names.append(
        unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
          unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        })
    }
    return names
  }
}
