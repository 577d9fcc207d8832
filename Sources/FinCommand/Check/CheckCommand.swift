import ArgumentParser
import FinDoctor
import FinTerminal
import Glibc

/// `fin check`: finds sockets that do not end as they should, with their owner, their age, the cause and the change to
/// make.
struct CheckCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check",
    abstract: "Find sockets that do not end as they should: owner, age, cause, and what to change.",
    discussion: """
      Examines every socket of the machine, or of the named programs, and reports problems, the worst first. It \
      changes nothing and needs no root; without root, standard error says what could not be seen.

      A finding says how old the problem is, as far as the kernel can tell: one time, or a lower and an upper bound. A \
      cause stands before its effects, which are listed below it.

      Findings:
      \(CheckText.catalogue)

      Some findings need more than one snapshot, which --over takes: growth in three steps in a row, the time until a \
      limit is reached, and what was dropped or reset in between.

      Findings that are expected are muted in ~/.config/fin/mute or with --mute FILE, one per line:
        P2 pubsub-*   # idle by design
      A line has a finding (or *), a program or the script it runs, and the reason.

      A program that uses Fin and runs with FIN_LEDGER=1 publishes the source line that opened each of its sockets, \
      and the behaviour that it declares intentional. Its findings name these lines; intentional behaviour is left \
      out, and counted.

      As a gate, --leaks checks one process for leaks (L1 to L6); a single one is enough. With a command instead, \
      fin runs it, stops it at its exit, and reports the sockets that it had not closed, those that its children \
      still hold (L5), connections that were reset because of unread data (L7), and data that is still to be \
      delivered (H2):
        fin check --leaks --pid $PID
        fin check --leaks -- ./run-the-tests

      --json prints one object. Its schema only grows by new keys:
        version      1; any other change gets a new number
        fin          the version of this command
        taken        the time of the snapshot, in milliseconds since 1970
        status       the exit status
        hidden       a list of sentences about what could not be seen
        muted        the number of muted findings
        onPurpose    a list of what was left out because its program declared
                     it intentional: {id, name, program, pid, count, reason,
                     milliseconds}, the last for how much longer
        findings     a list, the worst first, causes before their effects:
          id, name, severity (info, warning, critical)
          chain      a number that findings share if they explain each other
          sentence, count
          who        absent for the machine: program, script, pid, user, unit,
                     container, language, descriptors, others (pids)
          since      {atLeastMilliseconds, atMostMilliseconds}; without
                     the second if nothing bounds it; absent if the finding
                     has no age
          opened     if the program publishes its ledger: a list of
                     {file, line, count}, the highest count first
          phases     likewise, a list of {phase, count}; wait {untilDeadline,
                     withoutEnd, deadlineMilliseconds}: the number of sockets
                     on which an operation waits, and the first deadline
          evidence   a list of {field, value}
          why        absent if it is not known
          fix        {code, fin}
          confidence {word: certain, likely or possible; doubt}
          percent    the used part of the limit at risk, if there is one

      Exit status:
        0    no finding, none from --threshold on, or only for information
        1    warnings
        2    at least one critical finding
        3    --leaks with a command: no finding, but the command itself failed
        64   the command was not understood
        65   a mute file has a line that is not valid
        66   a mute file cannot be read
        69   there is no such process, or the command of --leaks could not be run
        71   the kernel could not be queried
      """)

  @Argument(
    help: ArgumentHelp(
      "Check only these processes, by pid, name or script; with --leaks: the command to run.", valueName: "pid|name")
  )
  var words: [String] = []

  private var programs: [ProgramName] { leaks ? [] : words.compactMap { ProgramName(argument: $0) } }
  private var command: [String] { leaks ? words : [] }

  @Option(
    help: ArgumentHelp(
      "Report, and fail, from this severity on: info (never a failure), warning or critical.", valueName: "severity"))
  var threshold = SeverityName(severity: .warning)

  @Option(
    parsing: .upToNextOption, help: ArgumentHelp("Report only these findings, by code or name.", valueName: "finding"))
  var only: [FindingName] = []

  @Option(help: ArgumentHelp("Compare four snapshots over this time: 10s, 500ms, 2min.", valueName: "time"))
  var over: TimeSpan?

  @Flag(help: "Check for leaks (L1 to L6); a single one is enough.")
  var leaks = false

  @Option(help: ArgumentHelp("With --leaks: the process to check.", valueName: "pid"))
  var pid: Int32?

  @Option(help: ArgumentHelp("A file that mutes findings.", valueName: "file"))
  var mute: [String] = []

  @OptionGroup var looking: LookOptions

  func validate() throws {
    if leaks {
      guard (pid == nil) != words.isEmpty else {
        throw ValidationError("--leaks needs either --pid PID, or -- and a command.")
      }
      guard words.isEmpty || over == nil else { throw ValidationError("--over cannot be used with a command.") }
    } else {
      guard pid == nil else {
        throw ValidationError("--pid is for --leaks; without --leaks, name the process as an argument.")
      }
    }
  }

  func run() throws {
    let mutes = try readMutes()
    let result = command.isEmpty ? try look() : try CommandRun(command, checks: self).look()
    for name in programs { try expectProgram(name, in: result.census) }
    let chosen = result.findings.filter { isWanted($0, in: result.census) }
    let spoken = chosen.filter { !mutes.mutes($0) }
    let report = CheckReport(
      chains: Diagnosis.chains(spoken.filter { $0.severity >= threshold.severity }),
      below: spoken.count { $0.severity < threshold.severity }, muted: chosen.count - spoken.count,
      onPurpose: result.onPurpose.filter { isWanted($0.id, $0.who, in: result.census) }, census: result.census)
    if looking.json {
      CheckJSON.write(report)
    } else {
      let text = CheckText(paper: looking.paper)
      Output.write(text.report(report))
      for sentence in result.census.gaps.sentences { complain(sentence) }
    }
    for sentence in result.complaints { complain(sentence) }
    if report.status != 0 { throw ExitCode(report.status) }
    if result.commandStatus != 0 {
      complain("the command itself ended with status \(result.commandStatus)")
      throw ExitCode(3)
    }
  }

  /// The findings, the census they come from, and messages about what could not be done.
  struct Look {
    var findings: [Finding]
    var onPurpose: [DeclaredIntent] = []
    var census: Census
    var complaints: [String] = []
    /// The exit status of the command, if one was run.
    var commandStatus: Int32 = 0
  }

  private func look() throws -> Look {
    if let pid { try expectProcess(pid) }
    var options = diagnosisOptions
    var lostEnds = 0
    if let over {
      var earlier = try takeCensus()
      Diagnosis.prepare(&earlier, &options)
      options.passingBefore = Diagnosis.passing(in: earlier)
      let ended = DestroyedSockets()
      // Three steps: only growth in each of them counts as growth.
      for isLast in [false, false, true] {
        // The kernel's queue of these reports holds only some seconds' worth. Only sockets that were closed with unread
        // data are needed.
        TimeSpan(milliseconds: over.milliseconds / 3).pass(in: 250) {
          options.closed += (ended?.all() ?? []).filter { $0.receiveQueue > 1 }
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
    Diagnosis.prepare(&census, &options)
    let outcome = Diagnosis.examine(census, options)
    return Look(findings: outcome.findings, onPurpose: outcome.onPurpose, census: census)
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
    do {
      return try Census.take(options)
    } catch {
      complain("\(error)")
      throw ExitCode(71)
    }
  }

  private func isWanted(_ finding: Finding, in census: Census) -> Bool {
    isWanted(finding.id, finding.who, in: census)
  }

  private func isWanted(_ id: FindingID, _ who: Who?, in census: Census) -> Bool {
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
    if census.holders.processes.contains(where: { name.matches($0.pid, Program.read($0.pid)) }) { return }
    switch name {
    case .pid(let pid): complain("there is no process \(pid)")
    case .name(let text):
      complain(
        "no visible process is called \(visible(text)); give the name that ps shows, the file name, or the name of "
          + "the script that it runs")
    }
    throw ExitCode(69)
  }

  private func expectProcess(_ pid: Int32) throws {
    guard Program.read(pid) != nil else {
      complain("there is no process \(pid)")
      throw ExitCode(69)
    }
  }

  func complain(_ sentence: String) { Output.complain("fin: \(sentence)\n") }

  /// The path of the user's mute file.
  private static var usualMutes: String? {
    func value(_ name: String) -> String? {
      unsafe getenv(name).map { unsafe String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
    }
    return (value("XDG_CONFIG_HOME") ?? value("HOME").map { $0 + "/.config" }).map { $0 + "/fin/mute" }
  }

  private func readMutes() throws -> Mutes {
    var all = Mutes()
    var paths = mute.map { (path: $0, isAsked: true) }
    if let usual = CheckCommand.usualMutes { paths.append((usual, false)) }
    for (path, isAsked) in paths {
      guard let text = TextFile.read(path) else {
        if !isAsked { continue }
        complain("\(visible(path)) cannot be read")
        throw ExitCode(66)
      }
      do {
        all = all.adding(try Mutes(parsing: text))
      } catch {
        complain("\(visible(path)), \(error)")
        throw ExitCode(65)
      }
    }
    return all
  }
}
