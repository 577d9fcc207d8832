import FinBase
import FinDoctor
import FinTerminal
import Glibc

/// Prints the changes of findings, a line for each, for a file or another program.
struct WatchLines {
  private let options: Census.Options
  private let namespace: String?
  private let choice: WatchChoice
  private let isJSON: Bool
  private var pace: WatchPace

  init(_ options: Census.Options, namespace: String?, _ choice: WatchChoice, every: Duration, isJSON: Bool) {
    self.options = options
    self.namespace = namespace
    self.choice = choice
    self.isJSON = isJSON
    pace = WatchPace(every: every)
  }

  /// Looks and prints until the process is ended, or its output cannot be written.
  /// - Throws: The status, if the first look fails.
  mutating func run() throws -> Never {
    var options = options
    options.secondLook = .milliseconds(20)
    var looks = RepeatedLooks(options, waits: false)
    var taking = WatchTaking(choice)
    var hidden: [String]?
    var begins = SystemClock.monotonic
    while true {
      let started = SystemClock.monotonic
      var isThere = true
      do throws(Census.Failure) {
        let found = try looks.next { census in
          guard let namespace else { return }
          let places = WatchLooker.places(of: namespace, in: census)
          isThere = !places.isEmpty
          census.keep(namespaces: places)
        }
        let look = taking.look(at: found.census, found.outcome.findings, budgets: found.outcome.budgets)
        if !isJSON, look.hidden != hidden { for sentence in look.hidden { Output.complain(sentence) } }
        print(look, isFirst: hidden == nil)
        hidden = look.hidden
        pace.note(.nanoseconds(SystemClock.monotonic - started))
      } catch {
        if hidden == nil { throw ExitStatus.kernelFailure.because(error.description) }
        Output.complain("the look failed: \(error)")
      }
      guard isThere else {
        throw ExitStatus.unavailable.because("the network namespace \(visible(namespace ?? "")) is gone")
      }
      begins += Int64(clamping: Int(pace.interval / .nanoseconds(1)))
      let now = SystemClock.monotonic
      try pause(max(0, begins - now))
      begins = max(begins, now)
    }
  }

  /// Waits, but not for a reader that is gone: without an event, no write would notice.
  private func pause(_ nanoseconds: Int64) throws {
    guard ByteStream.firstReady([(STDOUT_FILENO, 0)], atMost: nanoseconds) != nil else { return }
    // As a write would end it, unless the signal is ignored.
    raise(SIGPIPE)
    throw ExitStatus.outputFailed.because("the reader of the output is gone")
  }

  private func print(_ look: WatchLook, isFirst: Bool) {
    if isJSON, isFirst { Output.write(Self.json(look, nil)) }
    for event in look.events { Output.write(isJSON ? Self.json(look, event) : Self.text(look, event)) }
  }

  /// `2026-11-30 12:04:31 UTC  began     critical  L1 close-wait-known  api (pid 812) keeps 160 connections …`
  static func text(_ look: WatchLook, _ event: WatchEvent) -> [UInt8] {
    let kind = Terminal.pad(event.kind.rawValue, to: 8)
    let severity = Terminal.pad("\(event.finding.severity)", to: 8)
    let time = ReportTime.words(look.when.wall)
    return Array("\(time)  \(kind)  \(severity)  \(event.finding.id)  \(event.finding.sentence)\n".utf8)
  }

  /// An event as an object in a line; without one, the object that says that the watch has begun.
  static func json(_ look: WatchLook, _ event: WatchEvent?) -> [UInt8] {
    var json = JSONWriter()
    json.object { json in
      json.write("version", number: UInt64(1))
      json.write("fin", string: CommandVersion.current)
      json.write("taken", number: UInt64(max(0, look.when.wall)) / 1_000_000)
      json.array("hidden") { json in for sentence in look.hidden { json.write(string: sentence) } }
      json.write("unseenHolders", number: UInt64(look.unseenHolders))
      json.write("event", string: event?.kind.rawValue ?? "watches")
      if let event {
        json.array("findings") { json in CheckJSON.write(event.finding, event.chain, to: &json) }
      } else {
        json.array("findings") { _ in }
      }
    }
    json.text.write("\n")
    return json.text.bytes
  }
}
