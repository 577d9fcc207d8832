import ArgumentParser
import FinDoctor
import Glibc

/// `fin check`: who does not end their sockets, since when, why, and what to change.
struct CheckCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check",
    abstract: "Find sockets that do not end as they should: whose, since when, why, and what to change.",
    discussion: """
      Looks at every socket of the machine, or of the programs named, and says what is not as it should be, the \
      worst first. It changes nothing and needs no root; without it, what could not be seen is said on standard error.

      A finding says since when, as far as the kernel can tell: one time, or two bounds between which the truth lies. \
      What explains something else stands before it, and what it leads to below it.

      Findings:
      \(CheckText.catalogue)

      Some need more than one look, which --over takes: what grows three times in a row, when a limit will be reached, \
      what was dropped or reset in between.

      A file mutes what is as it should be, ~/.config/fin/mute or --mute FILE, one line each:
        P2 pubsub-*   # idle by design
      is a finding (or *), a program or the script it runs, and why.

      A program that uses Fin and runs with FIN_LEDGER=1 publishes which line opened each of its sockets, and what it \
      declared to be on purpose: its findings name the lines, and what is meant is left out, and counted.

      As a gate, --leaks looks at one process (L1 to L6, one is enough). Or it runs a command, stops it for a moment \
      at its end, and says what it had not closed, what its children still hold (L5), what was reset because it was \
      not read (L7) and what is still to be delivered (H2):
        fin check --leaks --pid $PID
        fin check --leaks -- ./run-the-tests

      --json prints one object, whose schema only ever grows by new keys:
        version      1; any other change gets a new number
        fin          the version of this command
        taken        when, in milliseconds since 1970
        status       the exit status
        hidden       what could not be seen, one sentence each
        muted        how many findings were muted
        onPurpose    a list of what was left out because its program says
                     that it means it: {id, name, program, pid, count,
                     reason, milliseconds}, the last for how much longer
        findings     a list, the worst first, causes before what they
                     lead to:
          id, name, severity (info, warning, critical)
          chain      a number that is the same for findings that
                     explain each other
          sentence, count
          who        absent for the machine: program, script, pid, user, unit,
                     container, language, descriptors, others (pids)
          since      {atLeastMilliseconds, atMostMilliseconds}; without
                     the second if nothing bounds it; absent if no time
                     belongs to it
          opened     where the program publishes its ledger: a list of
                     {file, line, count}, the most first
          phases     and of {phase, count}; wait {untilDeadline,
                     withoutEnd, deadlineMilliseconds}: on how many of
                     them somebody waits, and the first deadline
          evidence   a list of {field, value}
          why        absent if it is not known
          fix        {code, fin}
          confidence {word: certain, likely or possible; doubt}
          percent    of the limit that will break, if there is one

      Exit status:
        0    nothing, nothing from --threshold on, or only for information
        1    warnings
        2    at least one critical finding
        3    --leaks with a command: nothing was found, but the command itself failed
        64   the command was not understood
        65   a line of a file with mutes makes no sense
        66   such a file cannot be read
        69   there is no such process, or with --leaks the command could not be run
        71   the kernel could not be asked
      """)

  @Argument(
    help: ArgumentHelp(
      "Only about these processes, by number, name or script; with --leaks: the command to run.", valueName: "pid|name")
  )
  var words: [String] = []

  private var programs: [ProgramName] { leaks ? [] : words.compactMap { ProgramName(argument: $0) } }
  private var command: [String] { leaks ? words : [] }

  @Option(
    help: ArgumentHelp(
      "Print, and fail, from this severity on: info, which is no failure, warning or critical.", valueName: "severity"))
  var threshold = SeverityName(severity: .warning)

  @Option(parsing: .upToNextOption, help: ArgumentHelp("Only these findings, by code or name.", valueName: "finding"))
  var only: [FindingName] = []

  @Option(help: ArgumentHelp("Look again after so long, and twice in between: 10s, 500ms, 2min.", valueName: "time"))
  var over: TimeSpan?

  @Flag(help: "A gate: what was not given back (L1 to L6), and one is enough.")
  var leaks = false

  @Option(help: ArgumentHelp("With --leaks: the process.", valueName: "pid"))
  var pid: Int32?

  @Option(help: ArgumentHelp("A file that mutes findings.", valueName: "file"))
  var mute: [String] = []

  @OptionGroup var looking: LookOptions

  func validate() throws {
    if leaks {
      guard (pid == nil) != words.isEmpty else {
        throw ValidationError("--leaks needs either --pid PID, or -- and a command.")
      }
      guard words.isEmpty || over == nil else { throw ValidationError("--over and a command do not go together.") }
    } else {
      guard pid == nil else { throw ValidationError("--pid belongs to --leaks; without it, just name the process.") }
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
      for sentence in result.census.blindness.sentences { complain(sentence) }
    }
    for sentence in result.complaints { complain(sentence) }
    if report.status != 0 { throw ExitCode(report.status) }
    if result.commandStatus != 0 {
      complain("the command itself ended with status \(result.commandStatus)")
      throw ExitCode(3)
    }
  }

  /// What was found, the picture it was found in, and what could not be done.
  struct Look {
    var findings: [FinDoctor.Finding]
    var onPurpose: [OnPurpose] = []
    var census: Census
    var complaints: [String] = []
    /// With a command: how it ended.
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
      let ended = EndedSockets()
      // Three steps: what grows in each of them grows.
      for isLast in [false, false, true] {
        // The kernel keeps what is not heard for some seconds only, and only what was closed unread is asked for.
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
      // Nearly always there are none; else they are looked at twice, so that none was just being closed. A program may not get
      // to its next step for a while on a machine that is busy.
      if !passing.isEmpty {
        options.passingBefore = passing
        TimeSpan(milliseconds: 250).pass()
        census = try takeCensus()
      }
    }
    census.blindness.lostEnds = lostEnds
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
    // A program is between socket and connect for a moment. One that stands at its exit is not.
    options.secondLook = command.isEmpty ? .seconds(1) : .milliseconds(100)
    do {
      return try Census.take(options)
    } catch {
      complain("\(error)")
      throw ExitCode(71)
    }
  }

  private func isWanted(_ finding: FinDoctor.Finding, in census: Census) -> Bool {
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

  /// A name with a slip in it is not one of a program without findings.
  private func expectProgram(_ name: ProgramName, in census: Census) throws {
    if census.programs.contains(where: { name.matches($0.key, $0.value) }) { return }
    // The census knows the programs that have sockets.
    if census.holders.processes.contains(where: { name.matches($0.pid, Program.read($0.pid)) }) { return }
    switch name {
    case .pid(let pid): complain("there is no process \(pid)")
    case .name(let text):
      complain(
        "no process that can be seen is called \(visible(text)); a program is named as ps names it, by its "
          + "file, or by the script that it runs")
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

  /// Where a person keeps their mutes.
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
