import ArgumentParser
import FinBase
import FinDoctor
import FinTerminal
import Glibc

/// `fin record`: writes the history of the machine's sockets, and says who held a port when.
struct RecordCommand: DocumentedCommand {
  static let configuration = CommandConfiguration(
    commandName: "record",
    abstract: "Write the history of the machine's sockets, for --at of other commands; or say who held a port when.")

  @Argument(
    help: ArgumentHelp("holders and an address: who held it, one after the other.", valueName: "holders address"))
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
    help: ArgumentHelp("holders: from this time on; by default from the beginning.", valueName: "time"),
    transform: WrittenMoment.init(parsing:))
  var from: WrittenMoment?

  @Option(
    help: ArgumentHelp("holders: up to this time; by default up to now.", valueName: "time"),
    transform: WrittenMoment.init(parsing:))
  var to: WrittenMoment?

  @OptionGroup var looking: LookOptions

  private var isQuestion: Bool { !words.isEmpty }

  func validate() throws {
    if isQuestion {
      guard words[0] == "holders", words.count == 2 else {
        throw ValidationError("Write fin record to write a history, or fin record holders :PORT.")
      }
      if let from, let to, from.milliseconds > to.milliseconds {
        throw ValidationError("--from is later than --to.")
      }
      return
    }
    guard from == nil, to == nil, !looking.json else {
      throw ValidationError("--from, --to and --json are for fin record holders.")
    }
    guard every.milliseconds >= 100 else { throw ValidationError("--every can be 100ms at least.") }
    guard size.bytes >= 4 << 20 else { throw ValidationError("--size can be 4MB at least.") }
    guard (1...3650).contains(days) else { throw ValidationError("--days can be 1 to 3650.") }
  }

  func run() throws {
    if isQuestion { return try answer() }
    // Blocked before the first thread is started.
    let signals = RecordSignals()
    var limits = HistoryWriter.Limits()
    (limits.bytes, limits.days) = (size.bytes, days)
    let writer: HistoryWriter
    do throws(HistoryFault) {
      writer = try HistoryWriter(
        history.folder, limits, .thisMachine(version: CommandVersion.current, period: every.milliseconds))
    } catch {
      throw error.exit
    }
    for note in writer.settle() { Output.complain(note) }
    var recorder = Recorder(writer, looking.census, every: every, hasRing: !noRing && every.milliseconds > 1000)
    try recorder.run(until: signals)
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
    if looking.json {
      HoldersJSON.write(found, question, reader.problems)
    } else {
      Output.write(HoldersText(terminal: looking.terminal).text(found, question))
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

/// The signals that end `fin record`.
struct RecordSignals {
  private var all = sigset_t()

  /// Blocks the signals in this thread and in those that it starts from now on.
  init() {
    unsafe sigemptyset(&all)
    for signal in [SIGTERM, SIGINT, SIGHUP] { unsafe sigaddset(&all, signal) }
    unsafe pthread_sigmask(SIG_BLOCK, &all, nil)
  }

  /// Waits for one of them, at most until this moment of the monotonic clock, in milliseconds.
  /// - Returns: Whether one came.
  func wait(until moment: Int64) -> Bool {
    var all = all
    while true {
      let rest = max(0, moment - Self.now)
      var time = timespec(tv_sec: Int(rest / 1000), tv_nsec: Int(rest % 1000) * 1_000_000)
      if unsafe sigtimedwait(&all, nil, &time) > 0 { return true }
      if rest == 0 || errno == EAGAIN, Self.now >= moment { return false }
    }
  }

  static var now: Int64 {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
  }
}
