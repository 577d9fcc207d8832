import ArgumentParser
import FinBase
import FinDoctor
import FinTerminal
import Glibc

/// `fin watch`: shows the machine's sockets, findings and rates live on a terminal, or prints the changes in lines.
struct WatchCommand: DocumentedCommand {
  static let configuration = CommandConfiguration(
    commandName: "watch",
    abstract: "Watch the machine's sockets live on a terminal, or print what begins and ends in lines.")

  @Argument(
    help: ArgumentHelp("Watch only these processes, by pid, name or script.", valueName: "pid|name"),
    completion: Completions.programs)
  var programs: [ProgramName] = []

  @Option(help: ArgumentHelp("Look this often: 1s, 500ms, 1min. At most every 100 ms.", valueName: "time"))
  var every = TimeSpan(milliseconds: 1000)

  @Flag(help: "Print the changes of findings, one a line, instead of a picture.")
  var lines = false

  @Option(help: ArgumentHelp("Show findings from this severity on: info, warning or critical.", valueName: "severity"))
  var threshold = SeverityName(severity: .warning)

  @Option(
    parsing: .upToNextOption, help: ArgumentHelp("Show only these findings, by code or name.", valueName: "finding"),
    completion: Completions.findings, transform: FindingName.init(parsing:))
  var only: [FindingName] = []

  @Option(
    help: ArgumentHelp(
      "Show the machine as fin record saw it then: 02:13, \"yesterday 02:13\", \"3 h ago\", ISO 8601.",
      valueName: "time"),
    transform: WrittenMoment.init(parsing:))
  var at: WrittenMoment?

  @OptionGroup var history: HistoryDirectory

  @OptionGroup var muting: MuteOption

  @OptionGroup var namespace: NamespaceOption

  @OptionGroup var looking: CensusOptions

  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard every.milliseconds >= 100 else { throw ValidationError("--every can be 100ms or longer.") }
    guard !lines || !output.json else { throw ValidationError("--lines and --json exclude each other.") }
    guard at == nil || !(lines || output.json) else {
      throw ValidationError("--at is for the picture: a program asks fin check --at TIME --json.")
    }
    guard history.directory == nil || at != nil else { throw ValidationError("--directory needs --at.") }
  }

  func run() throws {
    let choice = WatchChoice(
      programs: programs, only: Set(only.map(\.id)), threshold: threshold.severity, mutes: try muting.read())
    if lines || output.json {
      try expectNamespace()
      var lines = WatchLines(
        looking.census, namespace: namespace.namespace, choice, every: every.duration, isJSON: output.json)
      try lines.run()
    }
    guard isatty(STDIN_FILENO) == 1, isatty(STDOUT_FILENO) == 1 else {
      throw ExitStatus.usage.because(
        "fin watch needs a terminal for its picture and its keys; without one: fin watch --lines, or --json")
    }
    switch try watch(choice) {
    case .quit: return
    case .failure(let sentence, let status): throw status.because(sentence)
    case .gone: throw ExitStatus.outputFailed.because("the terminal is gone")
    case .signal(let number):
      // As the shell expects it: a program that a signal has ended.
      signal(number, SIG_DFL)
      raise(number)
      throw ExitCode(128 + number)
    }
  }

  private func watch(_ choice: WatchChoice) throws -> WatchLoop.Ending {
    do throws(KernelError) {
      let bell = try Bell()
      let past = WatchPastLooks(
        history.folder, isNamed: history.directory != nil, looking.census, namespace: namespace.namespace, choice)
      let looker = try WatchLooker(
        looking.census, namespace: namespace.namespace, choice, past, ringing: bell)
      let terminal = try FullScreen(wokenBy: bell)
      guard looker.start() else { return .failure("no thread could be started", .kernelFailure) }
      var loop = WatchLoop(
        terminal, looker, every: every.duration, at: at?.milliseconds, hasColour: output.terminal.hasColour)
      return loop.run()
    } catch {
      throw ExitStatus.kernelFailure.because("the terminal cannot be taken over: \(error)")
    }
  }

  private func expectNamespace() throws {
    guard namespace.namespace != nil else { return }
    var options = looking.census
    options.readsHolders = false
    options.readsUnixSockets = false
    options.readsDetails = false
    _ = try namespace.places(in: try Census.taking(options))
  }
}
