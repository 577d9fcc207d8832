import CFin
import Fin
import FinBase
import Glibc
import Synchronization

/// A program that was started for one client, in a process group of its own: its pipes, and its end.
final class RunningProgram: Sendable {
  enum Exit: Hashable, Sendable {
    case exited(Int32)
    case signalled(Int32)
  }

  let pid: pid_t
  /// The descriptor that becomes readable when the process ends.
  let process: CInt
  /// The end of its standard output that is read here.
  let output: CInt
  private let owned: Mutex<[CInt]>
  private let inputEnd: Mutex<CInt?>

  private init(pid: pid_t, process: CInt, input: CInt, output: CInt) {
    self.pid = pid
    self.process = process
    self.output = output
    owned = Mutex([process, output])
    inputEnd = Mutex(input)
  }

  deinit {
    closeInput()
    for descriptor in owned.withLock({ $0 }) { SystemClose.close(descriptor) }
  }

  /// The end of its standard input that is written here; nil once it is closed.
  var input: CInt? { inputEnd.withLock { $0 } }

  /// Closes its standard input, so that it reads the end of the file. Only the thread that writes may call it.
  func closeInput() {
    if let input = inputEnd.withLock({ $0.take() }) { SystemClose.close(input) }
  }

  /// Whether there is a program of this name on PATH, or at this path.
  static func isRunnable(_ name: String) -> Bool {
    if name.contains("/") { return unsafe access(name, X_OK) == 0 }
    guard let path = unsafe getenv("PATH") else { return false }
    return unsafe String(cString: path).split(separator: ":").contains { unsafe access("\($0)/\(name)", X_OK) == 0 }
  }

  /// Starts a program with pipes as its standard input and output.
  /// - Parameters:
  ///   - words: Its name, and its arguments.
  ///   - mask: The signals that are blocked when it begins.
  ///   - variables: Additions to its environment.
  static func start(
    _ words: [String], _ mask: sigset_t, variables: [String]
  ) throws(KernelError) -> RunningProgram {
    let input = try Pipe()
    let output = try Pipe()
    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { unsafe posix_spawn_file_actions_destroy(&actions) }
    // A duplicate is inherited; every other descriptor of this process is closed by the exec.
    unsafe posix_spawn_file_actions_adddup2(&actions, input.reading.number, STDIN_FILENO)
    unsafe posix_spawn_file_actions_adddup2(&actions, output.writing.number, STDOUT_FILENO)
    var attributes = posix_spawnattr_t()
    unsafe posix_spawnattr_init(&attributes)
    defer { unsafe posix_spawnattr_destroy(&attributes) }
    var (mask, defaults) = (mask, sigset_t())
    unsafe sigemptyset(&defaults)
    unsafe sigaddset(&defaults, SIGPIPE)
    unsafe posix_spawnattr_setsigmask(&attributes, &mask)
    unsafe posix_spawnattr_setsigdefault(&attributes, &defaults)
    unsafe posix_spawnattr_setflags(
      &attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP))
    var arguments = unsafe words.map { unsafe strdup($0) } + [nil]
    var environment = unsafe inheritedEnvironment + variables.map { unsafe strdup($0) } + [nil]
    defer {
      unsafe arguments.forEach { unsafe free($0) }
      unsafe environment.forEach { unsafe free($0) }
    }
    var pid: pid_t = 0
    let code = unsafe posix_spawnp(&pid, words[0], &actions, &attributes, &arguments, &environment)
    guard code == 0 else { throw KernelError(code: code) }
    do throws(KernelError) {
      for end in [input.writing.number, output.reading.number] {
        _ = try calling { Int(fcntl(end, F_SETFL, O_NONBLOCK)) }
      }
      let process = CInt(try calling { Int(fin_open_process(pid)) })
      return RunningProgram(
        pid: pid, process: process, input: input.writing.take(), output: output.reading.take())
    } catch {
      kill(-pid, SIGKILL)
      waitpid(pid, nil, 0)
      throw error
    }
  }

  private struct Pipe: ~Copyable {
    let reading: DescriptorOwner<SystemClose>
    let writing: DescriptorOwner<SystemClose>

    init() throws(KernelError) {
      var ends: [CInt] = [-1, -1]
      _ = try calling { unsafe Int(fin_pipe(&ends)) }
      reading = DescriptorOwner(owning: ends[0])
      writing = DescriptorOwner(owning: ends[1])
    }
  }

  /// The environment of this process, copied.
  private static var inheritedEnvironment: [UnsafeMutablePointer<CChar>?] {
    var lines = unsafe [UnsafeMutablePointer<CChar>?]()
    let environment = unsafe fin_environment()
    var place = 0
    while let line = unsafe environment[place] {
      unsafe lines.append(strdup(line))
      place += 1
    }
    return unsafe lines
  }

  /// Waits for its end, and reaps it. It is called once more only if it returned nil.
  /// - Parameter nanoseconds: The time; nil for no limit.
  /// - Returns: How it ended; nil if it still runs.
  func awaitExit(atMost nanoseconds: Int64?) -> Exit? {
    guard ByteStream.firstReady([(process, POLLIN)], atMost: nanoseconds) != nil else { return nil }
    var status: CInt = 0
    while unsafe waitpid(pid, &status, 0) < 0 {
      guard errno == EINTR else { return .exited(-1) }
    }
    return status & 0x7f == 0 ? .exited((status >> 8) & 0xff) : .signalled(status & 0x7f)
  }

  /// Ends its process group: with SIGTERM, and after a second with SIGKILL. It must not have been reaped.
  func end() -> Exit {
    let group = -pid
    kill(group, SIGTERM)
    // Not reaped yet, so that the number of the group stays its own.
    _ = ByteStream.firstReady([(process, POLLIN)], atMost: 1_000_000_000)
    kill(group, SIGKILL)
    return awaitExit(atMost: nil) ?? .signalled(SIGKILL)
  }
}
