import ArgumentParser
import FinBase
import FinDoctor
import FinTerminal
import Glibc

/// `fin check`: finds sockets that do not end as they should, with their owner, their age, the cause and the change
/// to make.
struct CheckCommand: DocumentedCommand {
  static let configuration = CommandConfiguration(
    commandName: "check",
    abstract: "Find sockets that do not end as they should: owner, age, cause, and what to change.")

  @Argument(
    help: ArgumentHelp(
      "Check only these processes, by pid, name or script; with --leaks: the command to run.", valueName: "pid|name"),
    completion: Completions.programs)
  var words: [String] = []

  private var programs: [ProgramName] { leaks ? [] : words.compactMap { ProgramName(argument: $0) } }
  private var command: [String] { leaks ? words : [] }

  @Option(
    help: ArgumentHelp(
      "Report, and fail, from this severity on: info (never a failure), warning or critical.", valueName: "severity"))
  var threshold = SeverityName(severity: .warning)

  @Option(
    parsing: .upToNextOption, help: ArgumentHelp("Report only these findings, by code or name.", valueName: "finding"),
    completion: Completions.findings, transform: FindingName.init(parsing:))
  var only: [FindingName] = []

  @Option(help: ArgumentHelp("Compare four snapshots over this time: 10s, 500ms, 2min.", valueName: "time"))
  var over: TimeSpan?

  @Flag(help: "Check for leaks (L1 to L6); a single one is enough.")
  var leaks = false

  @Option(help: ArgumentHelp("With --leaks: the process to check.", valueName: "pid"))
  var pid: Int32?

  @Flag(help: "Show each finding, also where many are alike. Without it, they are grouped; --json has each.")
  var all = false

  @Option(help: ArgumentHelp("Show at most this many findings, the worst, each with its effects.", valueName: "count"))
  var limit: UInt?

  @OptionGroup var muting: MuteOption

  @Option(
    help: ArgumentHelp(
      "Write the metrics of the machine to this file, for node_exporter, and print no report. The name ends in .prom.",
      valueName: "file"))
  var textfile: String?

  @OptionGroup var namespace: NamespaceOption

  @OptionGroup var source: SourceOption

  @OptionGroup var looking: CensusOptions

  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard over == nil || !source.isUsed else {
      throw ValidationError("--over needs the running machine: --from and --at are about one moment.")
    }
    if leaks {
      guard (pid == nil) != words.isEmpty else {
        throw ValidationError("--leaks needs either --pid PID, or -- and a command.")
      }
      guard words.isEmpty || over == nil else { throw ValidationError("--over cannot be used with a command.") }
      guard words.isEmpty || !source.isUsed else {
        throw ValidationError("--from and --at cannot be used with a command.")
      }
    } else {
      guard pid == nil else {
        throw ValidationError("--pid is for --leaks; without --leaks, name the process as an argument.")
      }
    }
    if let textfile {
      guard textfile.hasSuffix(".prom") else {
        throw ValidationError("The name after --textfile must end in .prom: node_exporter reads no other file.")
      }
      guard
        words.isEmpty, !leaks, only.isEmpty, over == nil, limit == nil, !source.isUsed, !output.json,
        namespace.namespace == nil
      else {
        throw ValidationError(
          "--textfile is about the whole machine: only --mute, --own-namespace and --no-bpf go with it.")
      }
    }
  }

  func run() throws {
    let mutes = try muting.read()
    if let textfile { return try MetricsFile.write(looking.census, mutes, to: textfile) }
    let result = command.isEmpty ? try look() : try CommandRun(command, checks: self).look()
    for name in programs { try expectProgram(name, in: result.census) }
    let chosen = result.findings.filter { isWanted($0, in: result.census) }
    let spoken = chosen.filter { !mutes.mutes($0) }
    let unseen = result.hidden + unreadable(in: result.census)
    let hidden = (result.record?.hidden ?? result.census.gaps.sentences) + unseen
    let report = CheckReport(
      chains: Diagnosis.chains(spoken.filter { $0.severity >= threshold.severity }),
      below: spoken.count { $0.severity < threshold.severity }, muted: chosen.count - spoken.count,
      onPurpose: result.onPurpose.filter { isWanted($0.id, $0.who, in: result.census) }, census: result.census,
      limit: limit.map { Int(clamping: $0) }, hidden: hidden, couldNotLook: !unseen.isEmpty,
      commandStatus: result.commandStatus)
    if output.json {
      CheckJSON.write(report)
    } else {
      let text = CheckText(terminal: output.terminal)
      Output.write(text.report(report, showsEach: all, hasEnded: !command.isEmpty || source.isUsed))
      for sentence in hidden { Output.complain(sentence) }
    }
    for sentence in result.complaints { Output.complain(sentence) }
    switch report.status {
    case .success: break
    case .couldNotLook:
      throw report.status.because("this check says nothing about \(leaks ? "leaks" : "what could not be seen")")
    case .commandFailed:
      throw report.status.because("the command itself ended with status \(result.commandStatus)")
    default: throw report.status.exit
    }
  }

  /// The findings, the census they come from, and messages about what could not be done.
  struct Look {
    var findings: [Finding]
    var onPurpose: [DeclaredIntent] = []
    var census: Census
    /// The file that the census comes from, if any.
    var record: CensusRecord?
    /// The parts of the subject that could not be seen, one sentence each. Without findings, the check is not passed.
    var hidden: [String] = []
    var complaints: [String] = []
    /// The exit status of the command, if one was run.
    var commandStatus: Int32 = 0
  }

  private func look() throws -> Look {
    if let record = try source.read(looking.census) { return try look(at: record) }
    if let pid { try expectProcess(pid) }
    var options = diagnosisOptions
    var lostEnds = 0
    if let over {
      var earlier = try takeCensus()
      Diagnosis.prepare(&earlier, &options)
      options.passingBefore = Diagnosis.passing(in: earlier)
      let ended = DestroyedSockets()
      var progress = ProgressLine()
      let begun = SystemClock.monotonic
      // Three steps: only growth in each of them counts as growth.
      for isLast in [false, false, true] {
        // The kernel's queue of these reports holds only some seconds' worth. Only sockets that were closed with unread
        // data are needed.
        TimeSpan(milliseconds: over.milliseconds / 3).pass(in: 250) {
          ended?.forEach { options.closed.add($0) }
          let (passed, all) = ((SystemClock.monotonic - begun) / 1_000_000_000, over.milliseconds / 1000)
          progress.show("watching what grows: \(min(passed, all)) of \(all) s")
        }
        if !isLast { options.add(between: try takeCensus()) }
      }
      lostEnds = ended?.lossCount ?? 0
      options.earlier = earlier
    }
    var census = try takeCensus()
    if over == nil {
      let passing = Diagnosis.passing(in: census)
      // Usually there are none. Otherwise a second census shows which of them were only being closed at the moment of
      // the first. On a busy machine a program may take a while to get to its next step.
      if !passing.isEmpty {
        options.passingBefore = passing
        TimeSpan(milliseconds: 250).pass()
        census = try takeCensus()
      }
    }
    census.gaps.lostEnds = lostEnds
    census.gaps.uncountedEnds = options.closed.uncounted
    Diagnosis.prepare(&census, &options)
    let outcome = Diagnosis.examine(census, options)
    return Look(findings: outcome.findings, onPurpose: outcome.onPurpose, census: census)
  }

  /// Examines a file, and reads nothing of this machine.
  private func look(at record: CensusRecord) throws -> Look {
    var census = record.census
    if let pid, census.holders.process(pid) == nil, census.programs[pid] == nil {
      throw Self.missing(pid)
    }
    if let places = try namespace.places(in: census) { census.keep(namespaces: places) }
    var options = record.options
    options.thresholds = diagnosisOptions.thresholds
    let outcome = Diagnosis.examine(census, options)
    return Look(findings: outcome.findings, onPurpose: outcome.onPurpose, census: census, record: record)
  }

  var diagnosisOptions: Diagnosis.Options {
    var options = Diagnosis.Options()
    if leaks { options.thresholds = .leaks }
    return options
  }

  func takeCensus() throws -> Census {
    var options = looking.census
    // A running program may be between socket() and connect() for a moment. A program that is stopped at its exit is
    // not.
    options.secondLook = command.isEmpty ? .seconds(1) : .milliseconds(100)
    var census = try Census.taking(options)
    // This process is no subject of its own report.
    census.leaveOut(getpid())
    if let places = try namespace.places(in: census) { census.keep(namespaces: places) }
    return census
  }

  private func isWanted(_ finding: Finding, in census: Census) -> Bool {
    isWanted(finding.id, finding.who, in: census)
  }

  private func isWanted(_ id: FindingID, _ who: ProcessOwner?, in census: Census) -> Bool {
    if !only.isEmpty, !only.contains(where: { $0.id == id }) { return false }
    if leaks, !command.isEmpty { return true }
    if leaks, !FindingID.leaks.contains(id) { return false }
    let wanted = programs + (pid.map { [.pid($0)] } ?? [])
    if wanted.isEmpty { return true }
    guard let who else { return false }
    return wanted.contains { name in
      switch name {
      case .pid(let number): who.pid == number || who.others.contains(number)
      case .name(let text):
        who.program == text || who.pid.map { name.matches($0, census.programs[$0]) } == true
          || who.others.contains { name.matches($0, census.programs[$0]) }
      }
    }
  }

  /// Fails if no process has this name, so that a misspelt name does not pass for a program without findings.
  private func expectProgram(_ name: ProgramName, in census: Census) throws {
    if census.programs.contains(where: { name.matches($0.key, $0.value) }) { return }
    // The census has only the programs that have sockets.
    let isLive = !source.isUsed
    if census.holders.processes.contains(where: { name.matches($0.pid, isLive ? Program.read($0.pid) : nil) }) {
      return
    }
    switch name {
    case .pid(let pid): if !isLive || !Self.isUnlisted(pid) { throw Self.missing(pid) }
    case .name(let text):
      throw ExitStatus.unavailable.because(
        "no visible process is called \(visible(text)); give the name that ps shows, the file name, or the name of "
          + "the script that it runs")
    }
  }

  /// The reason why a named process could not be checked, in a sentence; the absence of findings says nothing then.
  private func unreadable(in census: Census) -> [String] {
    let wanted = programs + (pid.map { [.pid($0)] } ?? [])
    if wanted.isEmpty { return [] }
    let isLive = !source.isUsed
    let unread = census.holders.processes.filter { process in
      guard !process.isReadable else { return false }
      let program = census.programs[process.pid] ?? (isLive ? Program.read(process.pid) : nil)
      return wanted.contains { $0.matches(process.pid, program) }
    }
    for case .pid(let pid) in wanted where isLive && Self.isUnlisted(pid) {
      return [
        "process \(pid) is not listed in /proc, as with its mount option hidepid: run as the user of the process or "
          + "as root"
      ]
    }
    guard let first = unread.first else { return [] }
    let others = unread.count > 1 ? " and of \(unread.count - 1) more" : ""
    return [
      "the descriptors of process \(first.pid)\(others) may not be read: run as its user or as root, with "
        + "CAP_SYS_PTRACE"
    ]
  }

  private func expectProcess(_ pid: Int32) throws {
    guard Program.read(pid) != nil || Self.isUnlisted(pid) else { throw Self.missing(pid) }
  }

  private static func missing(_ pid: Int32) -> any Error {
    ExitStatus.unavailable.because("there is no process \(pid)")
  }

  /// Whether a process exists that `/proc` does not list: with `hidepid`, those of other users.
  private static func isUnlisted(_ pid: Int32) -> Bool {
    guard pid > 0, Program.read(pid) == nil else { return false }
    // The kernel answers for every process of this PID namespace, and refuses the signal of another user.
    do throws(KernelError) { _ = try calling { Int(kill(pid, 0)) } } catch { return error.code == EPERM }
    return false
  }
}
