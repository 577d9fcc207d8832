import ArgumentParser
import CFin
import FinDoctor
import Glibc

/// Runs a command, stops it at its exit, and examines the sockets that it holds and leaves behind.
///
/// The command is traced with ptrace: the kernel then stops the process at its exit while everything is still open.
struct CommandRun {
  private let command: [String]
  private let checks: CheckCommand

  init(_ command: [String], checks: CheckCommand) {
    self.command = command
    self.checks = checks
  }

  func look() throws -> CheckCommand.Look {
    guard Self.isRunnable(command[0]) else { throw failure("there is no command \(visible(command[0]))") }
    _ = fin_adopt_orphans()
    let pid = try start()
    var complaints: [String] = []
    let options: CUnsignedLong = 0x08 | 0x40  // PTRACE_O_TRACECLONE and PTRACE_O_TRACEEXIT.
    let isTraced = fin_trace(Request.seize, pid, options) == 0
    if !isTraced { complaints.append("the command could not be traced: the sockets it held at its exit are unknown") }
    kill(pid, SIGCONT)
    let (atEnd, status) = try wait(for: pid)
    var after = try checks.takeCensus()
    let children = Self.children()
    var diagnosis = checks.diagnosisOptions
    // A process that has ended holds nothing on purpose: its declarations are ignored.
    diagnosis.heedsPurposes = false
    var findings: [Finding] = []
    if let atEnd {
      findings = Diagnosis.leftovers(of: pid, atEnd: atEnd, after: after, children: children, diagnosis)
      if findings.contains(where: { $0.id == .orphans }) {
        // Data that is merely in flight arrives soon.
        TimeSpan(milliseconds: 500).pass()
        after = try checks.takeCensus()
        findings = Diagnosis.leftovers(of: pid, atEnd: atEnd, after: after, children: children, diagnosis)
      }
      let count = Diagnosis.socketCount(of: pid, in: atEnd)
      if count > 0 { complaints.append("\(count) socket\(count == 1 ? " was" : "s were") open when the command ended") }
    } else if isTraced {
      complaints.append("the command was killed: the sockets it held at its exit are unknown")
    }
    if !children.isEmpty {
      let pids = children.sorted().map { "pid \($0)" }.joined(separator: ", ")
      complaints.append("the command left these processes running: \(pids)")
    }
    return CheckCommand.Look(findings: findings, census: after, complaints: complaints, commandStatus: status)
  }

  /// Starts the command stopped, so that no part of it runs untraced.
  private func start() throws -> pid_t {
    var pid: pid_t = 0
    let words = ["sh", "-c", "kill -STOP $$; exec \"$@\"", "sh"] + command
    var arguments = unsafe words.map { unsafe strdup($0) } + [nil]
    defer { unsafe arguments.forEach { unsafe free($0) } }
    guard unsafe posix_spawn(&pid, "/bin/sh", nil, nil, &arguments, fin_environment()) == 0 else {
      throw failure("the command could not be started")
    }
    var status: CInt = 0
    var stopped = unsafe waitpid(pid, &status, WUNTRACED)
    while stopped < 0, errno == EINTR { stopped = unsafe waitpid(pid, &status, WUNTRACED) }
    guard stopped == pid, status & 0xff == 0x7f else {
      throw failure("the command could not be started")
    }
    return pid
  }

  private enum Request {
    static let resume: CInt = 7
    static let seize: CInt = 0x4206
    static let listen: CInt = 0x4208
  }

  /// Lets the command run, and takes a census at its exit.
  private func wait(for pid: pid_t) throws -> (atEnd: Census?, status: Int32) {
    var picture: Census?
    while true {
      var status: CInt = 0
      let who = unsafe waitpid(-1, &status, 0x4000_0000)  // __WALL: threads too.
      if who < 0 {
        if errno == EINTR { continue }
        return (picture, 0)
      }
      guard status & 0xff == 0x7f else {
        // Processes that the command left behind are children of this process by now, and may end as well.
        if who != pid { continue }
        return (picture, status & 0x7f == 0 ? (status >> 8) & 0xff : 128 + status & 0x7f)
      }
      let signal = (status >> 8) & 0xff
      switch status >> 16 {
      case 6:  // PTRACE_EVENT_EXIT
        if who == pid || Self.isEnding(pid) {
          picture = try checks.takeCensus()
          // The ledger that it publishes disappears with the process.
          picture?.readLedgers(of: [pid])
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

  /// Whether the main thread has a pending `SIGKILL`: then the exit of another thread is the end of the process.
  private static func isEnding(_ pid: pid_t) -> Bool {
    guard let text = TextFile.read("/proc/\(pid)/status"),
      let line = text.split(separator: "\n").first(where: { $0.hasPrefix("SigPnd:") }),
      let pending = UInt64(line.dropFirst(7).drop { $0 == "\t" || $0 == " " }, radix: 16)
    else { return false }
    return pending & 1 << UInt64(SIGKILL - 1) != 0
  }

  /// The processes that the command left behind. They are children of this process by now.
  private static func children() -> Set<Int32> {
    var found: Set<Int32> = []
    var toVisit = [getpid()]
    while let pid = toVisit.popLast() {
      for child in (TextFile.read("/proc/\(pid)/task/\(pid)/children") ?? "").split(separator: " ") {
        // The helpers of fin itself.
        guard let number = Int32(child), number != Helpers.source, found.insert(number).inserted else { continue }
        toVisit.append(number)
      }
    }
    return found
  }

  private static func isRunnable(_ name: String) -> Bool {
    if name.contains("/") { return unsafe access(name, X_OK) == 0 }
    guard let path = unsafe getenv("PATH") else { return false }
    return unsafe String(cString: path).split(separator: ":").contains { unsafe access("\($0)/\(name)", X_OK) == 0 }
  }

  private func failure(_ sentence: String) -> ExitCode {
    ExitStatus.unavailable.because(sentence)
  }
}
