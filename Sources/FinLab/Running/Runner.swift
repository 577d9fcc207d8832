import CFin
import Glibc

/// Runs experiments, each in a process of its own with a time limit, several at a time.
package struct Runner {
  let jobs: Int
  /// The time after which an experiment is killed, and has failed.
  let timeLimit: Duration
  /// The world in which Fin's halves run.
  var world = World.threads

  package init(jobs: Int, timeLimit: Duration, world: World = .threads) {
    self.jobs = jobs
    self.timeLimit = timeLimit
    self.world = world
  }

  /// Runs all experiments and returns their results, in the order given.
  /// - Parameter each: Called in that order too, as soon as a result and all before it are complete.
  package func run(_ experiments: [Experiment], each: (Finding) -> Void) -> [Finding] {
    var findings: [Finding?] = Array(repeating: nil, count: experiments.count)
    var running: [(place: Int, child: Child)] = []
    var next = 0
    var told = 0
    while told < experiments.count {
      while running.count < jobs && next < experiments.count {
        running.append((next, Child(of: experiments[next], in: world, timeLimit: timeLimit)))
        next += 1
      }
      Child.waitForNews(from: running.map(\.child), atMost: .milliseconds(50))
      running.removeAll { place, child in
        guard let finding = child.finding() else { return false }
        findings[place] = finding
        return true
      }
      while told < findings.count, let finding = findings[told] {
        each(finding)
        told += 1
      }
    }
    return findings.compactMap(\.self)
  }
}

/// The process that runs one experiment.
private final class Child {
  private let experiment: Experiment
  private let world: World
  private let timeLimit: Duration
  private let clock = ContinuousClock()
  private let begun: ContinuousClock.Instant
  private var process: pid_t = 0
  private var output: Pipe
  private var complaints: Pipe
  private var trials: [Trial] = []
  private var skipped: String?
  private var mishap: String?
  private var isDone = false
  private var spawnFailure: String?
  private var unread: [UInt8] = []

  init(of experiment: Experiment, in world: World, timeLimit: Duration) {
    self.experiment = experiment
    self.world = world
    self.timeLimit = timeLimit
    begun = clock.now
    output = Pipe()
    complaints = Pipe()
    spawn()
    output.closeWritingEnd()
    complaints.closeWritingEnd()
  }

  private func spawn() {
    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { unsafe posix_spawn_file_actions_destroy(&actions) }
    unsafe posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
    unsafe posix_spawn_file_actions_adddup2(&actions, output.writing, STDOUT_FILENO)
    unsafe posix_spawn_file_actions_adddup2(&actions, complaints.writing, STDERR_FILENO)
    let words = ["fin", "lab-experiment", experiment.id] + (world == .tasks ? ["--async"] : [])
    var arguments = unsafe words.map { unsafe strdup($0) } + [nil]
    defer { unsafe arguments.forEach { unsafe free($0) } }
    // A crash must end the process, not start a debugger in it.
    unsafe setenv("SWIFT_BACKTRACE", "enable=no", 1)
    let failure = unsafe posix_spawn(&process, "/proc/self/exe", &actions, nil, &arguments, fin_environment())
    if failure != 0 { spawnFailure = "posix_spawn: \(Answer(value: -1, code: failure))" }
  }

  static func waitForNews(from children: [Child], atMost limit: Duration) {
    var descriptors = children.flatMap { child in
      [child.output, child.complaints].filter { !$0.hasEnded }.map {
        pollfd(fd: $0.reading, events: Int16(POLLIN), revents: 0)
      }
    }
    _ = unsafe poll(&descriptors, nfds_t(descriptors.count), Int32(limit.inMilliseconds))
  }

  /// Returns the result if the process has ended, or kills it if its time is over; otherwise returns nil.
  func finding() -> Finding? {
    if let spawnFailure { return finding(.crashed(spawnFailure)) }
    output.read()
    complaints.read()
    takeMessages()
    var status: Int32 = 0
    let isGone = unsafe waitpid(process, &status, WNOHANG) == process
    if isGone {
      output.read()
      complaints.read()
      takeMessages()
      if let mishap { return finding(.failed(mishap)) }
      if isDone { return finding(skipped.map { .skipped($0) } ?? .finished) }
      return finding(.crashed(Self.describe(status) + complaint))
    }
    guard clock.now - begun > timeLimit else { return nil }
    kill(process, SIGKILL)
    _ = unsafe waitpid(process, &status, 0)
    return finding(.timedOut(timeLimit))
  }

  private func finding(_ ending: Finding.Ending) -> Finding {
    Finding(
      of: experiment, in: world, trials: trials, ending: ending, seconds: (clock.now - begun).inSeconds)
  }

  private func takeMessages() {
    unread += output.take()
    while let end = unread.firstIndex(of: 0x0A) {
      switch Message(line: unread[..<end]) {
      case .trial(let trial): trials.append(trial)
      case .skip(let reason): skipped = reason
      case .mishap(let reason): mishap = reason
      case .done: isDone = true
      case nil: break
      }
      unread.removeSubrange(...end)
    }
  }

  /// The last line that the process wrote to standard error, where a Swift trap reports its cause.
  private var complaint: String {
    let lines = String(decoding: complaints.contents, as: UTF8.self).split(separator: "\n")
    return lines.last.map { ": " + $0.prefix(300) } ?? ""
  }

  private static func describe(_ status: Int32) -> String {
    let signal = status & 0x7F
    return signal == 0 ? "ended with status \((status >> 8) & 0xFF)" : "killed by signal \(signal)"
  }
}

/// A pipe whose reading end this process keeps.
private struct Pipe {
  let reading: Int32
  private(set) var writing: Int32
  private(set) var hasEnded = false
  private(set) var contents: [UInt8] = []

  init() {
    var ends: [Int32] = [-1, -1]
    _ = unsafe fin_pipe(&ends)
    (reading, writing) = (ends[0], ends[1])
    _ = fin_fcntl_int(reading, F_SETFL, O_NONBLOCK)
  }

  mutating func closeWritingEnd() {
    Glibc.close(writing)
    writing = -1
  }

  /// Reads the available bytes, without waiting.
  mutating func read() {
    var buffer = [UInt8](repeating: 0, count: 65536)
    while !hasEnded {
      let count = unsafe Glibc.read(reading, &buffer, buffer.count)
      if count > 0 { contents += buffer[..<count] }
      if count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR) {
        hasEnded = true
        Glibc.close(reading)
      }
      if count <= 0 { return }
    }
  }

  /// Removes and returns the bytes read.
  mutating func take() -> [UInt8] {
    defer { contents = [] }
    return contents
  }
}
