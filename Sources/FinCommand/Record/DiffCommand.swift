import ArgumentParser
import FinDoctor
import FinTerminal

/// `fin diff`: the changes from one moment of the history to another.
struct DiffCommand: DocumentedCommand {
  static let configuration = CommandConfiguration(
    commandName: "diff",
    abstract: "Show what changed from one moment to another: findings, sockets, queues, ports and descriptors.")

  @Argument(
    help: ArgumentHelp("The earlier time.", valueName: "earlier"), transform: WrittenMoment.init(parsing:))
  var earlier: WrittenMoment

  @Argument(
    help: ArgumentHelp("The later time; by default, the last look.", valueName: "later"),
    transform: WrittenMoment.init(parsing:))
  var later: WrittenMoment?

  @OptionGroup var history: HistoryDirectory

  @OptionGroup var muting: MuteOption

  @OptionGroup var namespace: NamespaceOption

  func run() throws {
    let mutes = try muting.read()
    let reader = try HistoryReader.opening(history.folder)
    let end = later ?? WrittenMoment(milliseconds: reader.range()?.last ?? LocalTime.now)
    guard earlier.milliseconds <= end.milliseconds else {
      throw ValidationError("The first time is later than the second.")
    }
    var notes: [String] = []
    let pages = try [earlier, end].map { moment in
      var record = try reader.record(at: moment)
      if let places = try namespace.places(in: record.census) { record.census.keep(namespaces: places) }
      notes += record.hidden.filter { !notes.contains($0) }
      // The comparison of two pages knows what stays the same of a socket as long as it lives.
      let subject = try ReportSubject(record, mutes, ReportOrigin(isPast: true))
      return try ReportReading(ReportPage(subject).document)
    }
    Output.write(EscapedText.lines(try ReportDiff(pages[0], pages[1]).text()))
    for note in notes { Output.complain(note) }
  }

  static let help = HelpText(
    usage: ["fin diff EARLIER [LATER] [OPTIONS]"],
    examples: """
      fin diff 01:00 02:00           the changes in that hour
      fin diff "3 h ago"             since then, up to the last look
      fin diff "yesterday 14:00" "yesterday 14:30" --directory ./history
      """,
    details: """
      Compares two moments of the history that fin record writes: the findings that appeared, ended and grew, the \
      sockets that appeared, ended and changed their state, and what changed of queues, drops, ports and descriptors. \
      What happened and was over again in between is not shown; fin record holders shows each owner of a port.

      Standard error says between which looks each of the moments lies. fin report --diff compares two pages in the \
      same way.
      """,
    statuses: """
      0    compared
      64   the command was not understood
      66   there is no history, or a mute file cannot be read
      69   the history has no look at one of the times
      """)
}
