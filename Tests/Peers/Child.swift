import CPeers
import Glibc

/// Starts a program, runs `body` with it, then kills and reaps it.
public func withChild<R: ~Copyable>(
  _ path: String, _ arguments: [String] = [], environment: [String: String]? = nil, _ body: (Child) throws -> R
) throws -> R {
  let child = try Child.spawn(path, arguments, environment: environment)
  defer { child.end() }
  return try body(child)
}

/// A program that runs beside the test. Its standard input and output are pipes; standard error is the test's.
///
/// It is started in the network namespace of the calling thread. When the last reference is released it is killed and
/// reaped. When it ends, for whatever reason, the processes that it left running are killed too.
public final class Child: Sendable {
  public enum Exit: Hashable, Sendable {
    case exited(CInt)
    case signalled(CInt)
  }

  private struct State {
    var unread: [UInt8] = []
    var exit: Exit?
    /// Whether processes of its group outlived it. They keep the group's number from being used again.
    var hasSurvivors = false
  }

  /// The process id. Once the program has ended it may belong to another process.
  public let number: CInt
  private let process: OwnedDescriptor
  // Separate from the state: a blocked write holds this lock, and `signal` must still work.
  private let input: Monitor<OwnedDescriptor?>
  private let output: OwnedDescriptor
  private let state = Monitor(State())

  private init(number: CInt, input: consuming OwnedDescriptor, output: consuming OwnedDescriptor) throws {
    self.number = number
    self.output = output
    self.input = Monitor(input)
    do {
      process = try OwnedDescriptor(peers_pidfd(number), from: "pidfd_open")
    } catch {
      kill(number, SIGKILL)
      waitpid(number, nil, 0)
      throw error
    }
    reapAtItsEnd()
  }

  deinit { end() }

  /// Starts a thread that reaps the program as soon as it ends.
  ///
  /// The testing library's thread for exit tests waits for any child, in a loop: a child that has ended and is not yet
  /// reaped would keep that thread busy.
  private func reapAtItsEnd() {
    _ = onThread { [number, state] in
      var information = unsafe siginfo_t()
      // The process id cannot be reused before `waitpid`, which happens under the lock that `signal` takes.
      while unsafe waitid(P_PID, id_t(number), &information, WEXITED | WNOWAIT) < 0, errno == EINTR {}
      state.change { state in
        var status: CInt = 0
        while unsafe waitpid(number, &status, 0) < 0, errno == EINTR {}
        state.hasSurvivors = kill(-number, 0) == 0
        state.exit = status & 0x7f == 0 ? Exit.exited((status >> 8) & 0xff) : .signalled(status & 0x7f)
      }
    }
  }

  /// The descriptors that a program inherits in addition to the pipes and standard error.
  public enum Heirloom: Sendable {
    /// Also excludes descriptors that another test briefly has open without close-on-exec: they would show up in a
    /// program whose open files a test compares.
    case nothing
    case asNumberThree(CInt)
    /// Every descriptor that is open without close-on-exec.
    case whatExecLeaves
  }

  /// Starts a program as the leader of its own process group.
  ///
  /// - Parameters:
  ///   - path: The program's file; `Programs.find` returns it.
  ///   - arguments: The arguments after the program's name.
  ///   - environment: The whole environment. nil means that of this process with Swift's backtraces off, because a
  ///     crash reporter would hold the pipes open.
  ///   - heirloom: The descriptors that it inherits.
  ///   - errors: The descriptor that becomes its standard error; nil for the test's own.
  ///   - file: A file that the child opens for reading before its exec, and closes again.
  public static func spawn(
    _ path: String, _ arguments: [String] = [], environment: [String: String]? = nil, heirloom: Heirloom = .nothing,
    errorsTo errors: CInt? = nil, firstOpening file: String? = nil
  ) throws -> Child {
    let input = try Pipe()
    let output = try Pipe()
    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { unsafe posix_spawn_file_actions_destroy(&actions) }
    if let file { unsafe posix_spawn_file_actions_addopen(&actions, 0, file, O_RDONLY, 0) }
    // dup2 clears close-on-exec.
    unsafe posix_spawn_file_actions_adddup2(&actions, input.reading.number, 0)
    unsafe posix_spawn_file_actions_adddup2(&actions, output.writing.number, 1)
    if let errors { unsafe posix_spawn_file_actions_adddup2(&actions, errors, 2) }
    switch heirloom {
    case .nothing: unsafe peers_spawn_close_from(&actions, 2 + 1)
    case .asNumberThree(let number):
      unsafe posix_spawn_file_actions_adddup2(&actions, number, 3)
      unsafe peers_spawn_close_from(&actions, 3 + 1)
    case .whatExecLeaves: break
    }
    var attributes = posix_spawnattr_t()
    unsafe posix_spawnattr_init(&attributes)
    defer { unsafe posix_spawnattr_destroy(&attributes) }
    // A test's thread may have signals blocked; the program starts with none blocked. It leads its own process group,
    // so that `reap` can kill the processes it started.
    var none = sigset_t()
    unsafe sigemptyset(&none)
    unsafe posix_spawnattr_setsigmask(&attributes, &none)
    unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP))
    let lines =
      environment?.map { "\($0)=\($1)" }
      ?? environmentLines().filter { !$0.hasPrefix("SWIFT_BACKTRACE=") } + ["SWIFT_BACKTRACE=enable=no"]
    var number: pid_t = 0
    let code = unsafe withCStrings([path] + arguments) { argv in
      unsafe withCStrings(lines) { envp in
        unsafe posix_spawn(&number, path, &actions, &attributes, argv, envp)
      }
    }
    guard code == 0 else { throw RigError("posix_spawn \(path)", code: code) }
    return try Child(number: number, input: input.keepWriting(), output: output.keepReading())
  }

  /// Sends a signal; does nothing if the program has ended.
  public func signal(_ signal: CInt) {
    state.change { if $0.exit == nil { kill(number, signal) } }
  }

  public func stop() { signal(SIGSTOP) }
  public func resume() { signal(SIGCONT) }

  /// Waits for the program to end, then kills the processes that it left running.
  public func wait(within limit: Duration = .seconds(60)) throws(TimedOut) -> Exit {
    if waitReadable([process.number], until: .after(limit)) != [true] {
      throw TimedOut("the end of process \(number)", after: limit)
    }
    return reap()
  }

  /// Kills the program and waits until it is reaped. If it has ended already, returns how it ended.
  @discardableResult
  public func end() -> Exit {
    signal(SIGKILL)
    closeInput()
    return reap()
  }

  /// Waits until the program is reaped, then kills the processes that it left running.
  private func reap() -> Exit {
    let deadline = Deadline.after(.seconds(60))
    guard let exit = state.wait(until: deadline, for: { $0.exit }) else {
      fatalError("process \(number) was killed and did not end within 60 s")
    }
    state.change {
      if $0.hasSurvivors { kill(-number, SIGKILL) }
      $0.hasSurvivors = false
    }
    return exit
  }
}

/// Input and output of the program.
extension Child {
  /// Writes to its standard input; waits while the pipe is full.
  ///
  /// - Throws: `RigError` with `EPIPE` when it has closed its input.
  public func write(_ text: String) throws(RigError) {
    try input.change { input throws(RigError) in
      guard input != nil else { throw RigError("the child's input is closed") }
      try withoutSIGPIPE { () throws(RigError) in try input!.write(Array(text.utf8)) }
    }
  }

  /// Closes the pipe to its standard input, so that it reads EOF.
  public func closeInput() { input.change { $0 = nil } }

  /// The next line of its output, without the line end; nil at EOF.
  public func readLine(within limit: Duration = .seconds(60)) throws -> String? {
    let deadline = Deadline.after(limit)
    while true {
      let line = state.change { state -> String? in
        guard let end = state.unread.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
        defer { state.unread.removeFirst(end + 1) }
        return String(decoding: state.unread[..<end], as: UTF8.self)
      }
      if let line { return line }
      if try !readMore(until: deadline, limit) {
        let rest = state.change { state in
          defer { state.unread = [] }
          return state.unread
        }
        return rest.isEmpty ? nil : String(decoding: rest, as: UTF8.self)
      }
    }
  }

  /// The rest of its output, until it closes it.
  public func readToEnd(within limit: Duration = .seconds(60)) throws -> String {
    let deadline = Deadline.after(limit)
    while try readMore(until: deadline, limit) {}
    return state.change { state in
      defer { state.unread = [] }
      return String(decoding: state.unread, as: UTF8.self)
    }
  }

  var outputNumber: CInt { output.number }

  /// Reads what its output holds; waits until there is something.
  ///
  /// - Returns: `false` at EOF.
  func readOutput(appendingTo text: inout [UInt8]) throws(RigError) -> Bool {
    let more = try output.read(upTo: 65_536) ?? []
    text += more
    return !more.isEmpty
  }

  private func readMore(until deadline: Deadline, _ limit: Duration) throws -> Bool {
    guard waitReadable([output.number], until: deadline) == [true] else {
      throw TimedOut("output of process \(number)", after: limit)
    }
    var more: [UInt8] = []
    let isOpen = try readOutput(appendingTo: &more)
    state.change { [more] in $0.unread += more }
    return isOpen
  }
}
