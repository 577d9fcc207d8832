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
    guard !diff.isEmpty else { return }
    guard diff.count == 2 else { throw ValidationError("--diff needs two pages: the earlier one and the later one.") }
    guard output == nil, !redact, !source.isUsed, namespace.namespace == nil, muting.mute.isEmpty else {
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
    var (record, origin) = try taken()
    if let places = try namespace.places(in: record.census) { record.census.keep(namespaces: places) }
    let subject: ReportSubject
    do {
      subject = try ReportSubject(record, mutes, isRedacted: redact, origin)
    } catch {
      throw ExitStatus.badData.because("the census could not be redacted: \(error)")
    }
    try deliver(ReportPage(subject).document, about: subject)
    for sentence in subject.hidden { Output.complain(sentence) }
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
