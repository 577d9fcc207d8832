import ArgumentParser
import FinDoctor
import FinTerminal
import Glibc

/// `fin report`: writes one page of HTML about the machine's sockets, which needs nothing beside itself.
struct ReportCommand: DocumentedCommand {
  static let configuration = CommandConfiguration(
    commandName: "report",
    abstract: "Write a page of HTML about the machine's sockets: findings, drawings, tables and the data, in one file.")

  @Option(
    name: [.customShort("o"), .customLong("output")],
    help: ArgumentHelp(
      "The file to write; - is standard output. By default, a name with the host and the time, in this folder.",
      valueName: "file"),
    completion: .file())
  var output: String?

  @Option(
    name: .customLong("for"),
    help: ArgumentHelp(
      "Look several times, for 60s or 5min, and add rates, lifetimes, and what grew.", valueName: "time"),
    transform: ReportCommand.period)
  var time: TimeSpan?

  @Flag(help: "Replace names, addresses, users, arguments and paths, the same by the same.")
  var redact = false

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "Compare two pages: print what appeared, ended and grew, and write no page.", valueName: "page"),
    completion: .file())
  var diff: [String] = []

  @OptionGroup var muting: MuteOption

  @OptionGroup var namespace: NamespaceOption

  @OptionGroup var source: SourceOption

  @OptionGroup var looking: CensusOptions

  func validate() throws {
    if output == "" { throw ValidationError("The name after -o is empty.") }
    guard time == nil || !source.isUsed else {
      throw ValidationError("--for needs the running machine: --from and --at are about one moment.")
    }
    guard !diff.isEmpty else { return }
    guard diff.count == 2 else { throw ValidationError("--diff needs two pages: the earlier one and the later one.") }
    guard output == nil, time == nil, !redact, !source.isUsed, namespace.namespace == nil, muting.mute.isEmpty else {
      throw ValidationError("--diff reads two pages and nothing else: no other option goes with it.")
    }
  }

  func run() throws {
    if diff.count == 2 {
      let pages = try diff.map { try ReportReading.page($0) }
      Output.write(EscapedText.lines(try ReportDiff(pages[0], pages[1]).text()))
      return
    }
    let mutes = try muting.read()
    if let time { return try report(during: time, mutes) }
    var (record, origin) = try taken()
    if let places = try namespace.places(in: record.census) { record.census.keep(namespaces: places) }
    let subject = try judged(record, mutes, origin)
    try deliver(ReportPage(subject).document, about: subject)
    for sentence in subject.hidden { Output.complain(sentence) }
  }

  /// Parses the time of --for.
  private static func period(_ text: String) throws -> TimeSpan {
    guard let time = TimeSpan(argument: text), (1000...ReportPeriod.longest).contains(time.milliseconds) else {
      throw ValidationError(
        "'\(visible(text, limit: 64))' is no time to look for. Write 60s or 5min, from 1s to 1h; fin record looks for "
          + "longer.")
    }
    return time
  }

  /// Looks for a time, and writes the page about it. A signal ends the time, and not the command.
  private func report(during time: TimeSpan, _ mutes: Mutes) throws {
    // Blocked before the first thread is started.
    let signals = AwaitedSignals()
    let looks = ReportLooks(
      time: time.milliseconds, options: looking.census, namespace: namespace, mutes: mutes)
    let result = try looks.run(until: signals)
    let subject = try judged(result.record, mutes, .thisMachine(), result.facts, result.period)
    if let stopped = ReportPeriodPanel(subject: subject, period: result.period).stopped { Output.complain(stopped) }
    try deliver(ReportPage(subject).document, about: subject)
    for sentence in subject.hidden { Output.complain(sentence) }
  }

  private func judged(
    _ record: CensusRecord, _ mutes: Mutes, _ origin: ReportOrigin, _ facts: Diagnosis.Options? = nil,
    _ period: ReportPeriod? = nil
  ) throws -> ReportSubject {
    do {
      var subject = try ReportSubject(record, mutes, isRedacted: redact, origin, facts)
      subject.period = period
      return subject
    } catch {
      throw ExitStatus.badData.because("the census could not be redacted: \(error)")
    }
  }

  /// The record of the file, or of this machine, and how it was taken.
  private func taken() throws -> (CensusRecord, ReportOrigin) {
    if let record = try source.read(looking.census) {
      return (record, ReportOrigin(file: source.file.map { visible($0) }, isPast: source.at != nil))
    }
    do {
      return (try CensusRecord.take(looking.census, without: getpid()), .thisMachine())
    } catch {
      throw ExitStatus.kernelFailure.because("\(error)")
    }
  }

  /// Writes the page to the file, readable for its owner alone: it has the arguments of programs.
  private func deliver(_ page: [UInt8], about subject: ReportSubject) throws {
    if output == "-" { return Output.write(page) }
    let path = output ?? Self.fileName(subject)
    do throws(ReplacedFile.Refusal) {
      try ReplacedFile.write(page, to: path, mode: 0o600)
    } catch {
      throw ExitStatus.outputFailed.because("\(visible(path)): \(error.reason)")
    }
    Output.write("\(visible(path)): \(subject.verdict)\n")
  }

  /// `fin-web-3-20261130-051209.html`, without the host if it is redacted or unknown.
  static func fileName(_ subject: ReportSubject) -> String {
    let host = (subject.origin.host ?? "report").utf8.map { byte in
      let isPlain = UnicodeScalar(byte).properties.isAlphabetic && byte < 0x80 || (48...57).contains(byte)
      return isPlain || byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".") ? byte : UInt8(ascii: "_")
    }
    let name = String(decoding: host.prefix(64), as: UTF8.self)
    return "fin-\(name)-\(ReportTime.compact(subject.census.when.wall)).html"
  }
}
