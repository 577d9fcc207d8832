import ArgumentParser
import FinBase
import FinDoctor
import FinTerminal
import Glibc

/// `fin record`: writes the history of the machine's sockets, and says who held a port when, what grew, and which
/// connections were too short to be seen.
struct RecordCommand: DocumentedCommand {
  static let configuration = CommandConfiguration(
    commandName: "record",
    abstract:
      "Write the history of the machine's sockets, for --at of other commands; or say who held a port when, or what "
      + "grew.")

  @Argument(
    help: ArgumentHelp(
      "holders and an address: who held it, one after the other. growth, and a program if wanted: what grew. short: "
        + "the connections that no look saw.",
      valueName: "question"))
  var words: [String] = []

  @Option(help: ArgumentHelp("Look this often: 10s, 500ms, 1min.", valueName: "time"))
  var every = TimeSpan(milliseconds: 10_000)

  @OptionGroup var history: HistoryDirectory

  @Option(help: ArgumentHelp("Keep at most this much, the latest: 256MB, 1GB.", valueName: "size"))
  var size = ByteSize(bytes: HistoryWriter.Limits().bytes)

  @Option(help: ArgumentHelp("Keep at most this many days.", valueName: "count"))
  var days = HistoryWriter.Limits().days

  @Flag(
    name: .customLong("no-ring"),
    help: "Do not look each second, for the ten minutes before a critical finding.")
  var noRing = false

  @Option(
    help: ArgumentHelp("holders, growth, short: from this time on; by default from the beginning.", valueName: "time"),
    transform: WrittenMoment.init(parsing:))
  var from: WrittenMoment?

  @Option(
    help: ArgumentHelp("holders, growth, short: up to this time; by default up to now.", valueName: "time"),
    transform: WrittenMoment.init(parsing:))
  var to: WrittenMoment?

  @OptionGroup var looking: CensusOptions

  @OptionGroup var output: OutputOptions

  private var isQuestion: Bool { !words.isEmpty }

  func validate() throws {
    if isQuestion {
      guard
        words[0] == "holders" && words.count == 2 || words[0] == "growth" && words.count <= 2 || words == ["short"]
      else {
        throw ValidationError(
          "Write fin record to write a history, or fin record holders :PORT, fin record growth [PROGRAM] or fin record "
            + "short.")
      }
      if let from, let to, from.milliseconds > to.milliseconds {
        throw ValidationError("--from is later than --to.")
      }
      return
    }
    guard from == nil, to == nil, !output.json else {
      throw ValidationError("--from, --to and --json are for fin record holders, growth and short.")
    }
    guard every.milliseconds >= 100 else { throw ValidationError("--every can be 100ms at least.") }
    guard size.bytes >= 4 << 20 else { throw ValidationError("--size can be 4MB at least.") }
    guard (1...3650).contains(days) else { throw ValidationError("--days can be 1 to 3650.") }
  }

  func run() throws {
    switch words.first {
    case "growth": return try answerGrowth()
    case "short": return try answerShort()
    case .some: return try answer()
    case nil: break
    }
    // Blocked before the first thread is started.
    let signals = AwaitedSignals([SIGTERM, SIGINT, SIGHUP, SIGUSR1])
    var limits = HistoryWriter.Limits()
    (limits.bytes, limits.days) = (size.bytes, days)
    let writer: HistoryWriter
    do throws(HistoryFault) {
      writer = try HistoryWriter(
        history.folder, limits, .thisMachine(version: CommandVersion.current, period: every.milliseconds))
    } catch {
      throw error.exit
    }
    var progress = ProgressLine()
    let notes = writer.settle { done, all in progress.show("reading earlier files: \(done) of \(all)") }
    progress.clear()
    for note in notes { Output.complain(note) }
    var recorder = Recorder(writer, looking.census, every: every, hasRing: !noRing && every.milliseconds > 1000)
    try recorder.run(until: signals)
  }

  private func answerGrowth() throws {
    let now = LocalTime.now
    let question = GrowthQuestion(
      program: words.count > 1 ? words[1] : nil, from: from?.milliseconds, to: to?.milliseconds ?? now, now: now)
    let reader = try HistoryReader.opening(history.folder)
    var progress = ProgressLine()
    let growth = reader.growth(from: question.from ?? 0, to: question.to) { done, all in
      progress.show("comparing looks: \(done) of \(all)")
    }
    progress.clear()
    if output.json {
      GrowthJSON.write(growth, question, reader.problems)
    } else if growth.looks.count > 1 {
      Output.write(EscapedText.lines(GrowthText(terminal: output.terminal).text(growth, question)))
    }
    if !output.json { for problem in reader.problems { Output.complain(problem) } }
    guard growth.looks.count > 1 else {
      throw ExitStatus.unavailable.because(
        "the history has \(growth.looks.isEmpty ? "no look" : "one look only") in this time: growth needs two")
    }
  }

  private func answerShort() throws {
    let now = LocalTime.now
    let (begin, end) = (from?.milliseconds, to?.milliseconds ?? now)
    let reader = try HistoryReader.opening(history.folder)
    let lives = reader.passingLives(from: begin ?? 0, to: end)
    if output.json {
      PassingLivesJSON.write(lives, to: end, reader.problems)
    } else if lives.looks > 0 {
      Output.write(EscapedText.lines(PassingLivesText(terminal: output.terminal).text(lives, begin, end, now: now)))
    }
    if !output.json { for problem in reader.problems { Output.complain(problem) } }
    guard lives.looks > 0 else {
      throw ExitStatus.unavailable.because("the history has no look in this time that counted them")
    }
  }

  private func answer() throws {
    let end: WrittenEnd
    do throws(AddressRefusal) {
      end = try WrittenEnd(parsing: words[1])
    } catch {
      throw ValidationError("\(error)")
    }
    guard end.port != 0 else { throw ValidationError("holders needs a port above 0.") }
    let now = LocalTime.now
    let question = HoldersQuestion(
      end: end, from: from?.milliseconds, to: to?.milliseconds ?? now, now: now)
    let reader = try HistoryReader.opening(history.folder)
    let found = reader.holders(
      of: end.port, end.address?.address, from: question.from ?? 0, to: question.to)
    if output.json {
      HoldersJSON.write(found, question, reader.problems)
    } else {
      Output.write(HoldersText(terminal: output.terminal).text(found, question))
      for problem in reader.problems { Output.complain(problem) }
    }
    if found.isEmpty {
      if let range = reader.range() {
        throw ExitStatus.unavailable.because(
          "no look from \(LocalTime.words(max(range.first, question.from ?? 0), now: now)) to "
            + "\(LocalTime.words(min(range.last, question.to), now: now)) saw a socket with port \(end.port)")
      }
      throw ExitStatus.unavailable.because("the history has no look that can be read")
    }
  }
}
