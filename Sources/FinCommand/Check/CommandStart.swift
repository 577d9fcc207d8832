import CFin
import FinDoctor
import FinTerminal
import Glibc

/// The start of a command that `fin check --leaks` runs: a process of `fin` that stops itself, and becomes the command
/// when it is continued, so that no part of the command runs before it is traced.
enum CommandStart {
  /// The first argument of such a process.
  static let word = "leaks-command"

  /// Stops the calling process, then turns it into the command.
  static func become(_ command: [String]) -> Never {
    // The command must not go on without the process that watches it. The kernel keeps this over an exec, except that
    // of a program with the rights of another user.
    _ = fin_set_parent_death_signal(SIGKILL)
    raise(SIGSTOP)
    var arguments = unsafe command.map { unsafe strdup($0) } + [nil]
    _ = unsafe execvp(arguments[0]!, &arguments)
    let isThere = errno != ENOENT
    let reason = unsafe strerror(errno).map { unsafe String(cString: $0) } ?? "error"
    Output.complain("\(visible(command.first ?? "")) could not be run: \(reason)")
    // The statuses of a shell.
    exit(isThere ? 126 : 127)
  }

  /// Starts a process that will become the command, and waits until it has stopped.
  /// - Parameter mask: The blocked signals that the command begins with.
  /// - Returns: The process; nil if it could not be started.
  static func spawn(_ command: [String], _ mask: sigset_t) -> pid_t? {
    var attributes = posix_spawnattr_t()
    unsafe posix_spawnattr_init(&attributes)
    defer { unsafe posix_spawnattr_destroy(&attributes) }
    var mask = mask
    unsafe posix_spawnattr_setsigmask(&attributes, &mask)
    unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
    var arguments = unsafe (["fin", word] + command).map { unsafe strdup($0) } + [nil]
    defer { unsafe arguments.forEach { unsafe free($0) } }
    var pid: pid_t = 0
    guard unsafe posix_spawn(&pid, "/proc/self/exe", nil, &attributes, &arguments, fin_environment()) == 0 else {
      return nil
    }
    var status: CInt = 0
    var stopped = unsafe waitpid(pid, &status, WUNTRACED)
    while stopped < 0, errno == EINTR { stopped = unsafe waitpid(pid, &status, WUNTRACED) }
    return stopped == pid && status & 0xff == 0x7f ? pid : nil
  }
}
