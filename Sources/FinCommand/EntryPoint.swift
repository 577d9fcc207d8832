import ArgumentParser
import FinDoctor
import FinTerminal
import Glibc

/// The entry of the command: answers requests for help and mistyped commands, and leaves the rest to ArgumentParser.
@main
enum EntryPoint {
  static func main() {
    Output.holdPlaces()
    let words = Array(CommandLine.arguments.dropFirst())
    if words.first == CommandStart.word, words.count > 1 { CommandStart.become(Array(words.dropFirst())) }
    let arguments = renamed(words)
    var status = ExitStatus.success.rawValue
    switch CommandRequest(arguments) {
    case .page(let text): Output.write(text)
    case .unknown(let word, let words, let what):
      Output.complain(
        "there is no \(what) '\(word)'; did you mean \(NearestWords.nearest(to: word, among: words)[0])?")
      Output.complain("there are: \(words.joined(separator: ", "))")
      status = ExitStatus.usage.rawValue
    case .command:
      // Before any thread: helper processes are forked from this one.
      if FinCommand.readsOtherPrograms.contains(arguments.first ?? "") { Helpers.begin() }
      status = run(arguments)
    }
    Output.finish()
    exit(status)
  }

  /// Runs the command that the arguments name, and returns the exit status. Does what `FinCommand.main(_:)` does, but
  /// checks that its output is written, and escapes the arguments that an error quotes.
  private static func run(_ arguments: [String]) -> Int32 {
    do {
      var command = try FinCommand.parseAsRoot(arguments)
      try command.run()
      return ExitStatus.success.rawValue
    } catch {
      let status = FinCommand.exitCode(for: error).rawValue
      let message = FinCommand.fullMessage(for: error)
      if message.isEmpty { return status }
      if status == ExitStatus.success.rawValue {
        Output.write(message + "\n")
      } else {
        Output.complain(plainly: EscapedText.lines(message))
      }
      return status
    }
  }

  /// Replaces former names of options by their present ones.
  static func renamed(_ arguments: [String]) -> [String] {
    let former: [String: [String: String]] = [
      "ports": ["--top": "--limit", "--to": "--address"], "listeners": ["--top": "--limit"],
    ]
    guard let verb = arguments.first, let names = former[verb] else { return arguments }
    return arguments.map { word in
      let parts = word.split(separator: "=", maxSplits: 1).map(String.init)
      guard let first = parts.first, let name = names[first] else { return word }
      return ([name] + parts.dropFirst()).joined(separator: "=")
    }
  }
}

/// The request that the arguments make, apart from the options of a command.
enum CommandRequest {
  /// A page of help.
  case page(String)
  /// A word that is none of these words.
  case unknown(String, among: [String], what: String)
  case command

  init(_ arguments: [String]) {
    let words = arguments.prefix { $0 != "--" }
    guard let first = words.first else {
      self = .page(RootHelp.text(isLong: false))
      return
    }
    if first == "help" {
      self.init(help: Array(words.dropFirst()))
    } else if first == "-h" || first == "--help" {
      self = .page(RootHelp.text(isLong: first == "--help"))
    } else if let command = Self.command(first) {
      let own = words.prefix { $0 != command.commandOption }
      let wanted = own.first { $0 == "-h" || $0 == "--help" }
      self = wanted.map { .page(Self.page(of: command, isLong: $0 == "--help")) } ?? .command
    } else if first.hasPrefix("-") || first == LabExperiment.configuration.commandName {
      self = .command
    } else {
      self = .unknown(Self.shown(first), among: Self.names, what: "command")
    }
  }

  /// `fin help`, `fin help check`, `fin help json`, `fin help json check`, `fin help manual check`, `fin help metrics`.
  private init(help words: [String]) {
    guard let first = words.first, first != "-h", first != "--help" else {
      self = .page(RootHelp.text(isLong: true))
      return
    }
    if first == "json" {
      let commands = FinCommand.documented.filter { $0.schema != nil }
      guard words.count > 1 else {
        self = .page(commands.map(Self.schema).joined(separator: "\n"))
        return
      }
      let found = commands.first { $0.configuration.commandName == words[1] }
      self =
        found.map { .page(Self.schema(of: $0)) }
        ?? .unknown(
          Self.shown(words[1]), among: commands.compactMap { $0.configuration.commandName }, what: "schema of")
    } else if first == "manual" {
      guard words.count > 1 else {
        self = .page(ManualPage.root())
        return
      }
      self =
        Self.command(words[1]).map { .page(ManualPage.page(of: $0)) }
        ?? .unknown(Self.shown(words[1]), among: Self.names, what: "manual page of")
    } else if first == "metrics" {
      self = .page(MetricsPage.text(on: .standardOutput(noColor: false)))
    } else if let command = Self.command(first) {
      self = .page(Self.page(of: command, isLong: true))
    } else {
      self = .unknown(Self.shown(first), among: Self.names + ["json", "manual", "metrics"], what: "help on")
    }
  }

  private static var names: [String] { FinCommand.documented.compactMap { $0.configuration.commandName } }

  private static func command(_ name: String) -> (any DocumentedCommand.Type)? {
    FinCommand.documented.first { $0.configuration.commandName == name }
  }

  private static func page(of command: any DocumentedCommand.Type, isLong: Bool) -> String {
    HelpPage(isLong: isLong, terminal: .standardOutput(noColor: false)).text(of: command, in: FinCommand.self)
  }

  private static func schema(of command: any DocumentedCommand.Type) -> String {
    let terminal = Terminal.standardOutput(noColor: false)
    let amount = command.schema?.isLines == true ? "one object a line" : "one object"
    let name = command.configuration.commandName ?? ""
    return "\(command.schema?.place ?? "fin \(name) --json prints") \(amount):\n\n"
      + (command.schema?.text(on: terminal) ?? "")
  }

  /// A word of the user without characters that a terminal would act on.
  private static func shown(_ word: String) -> String { visible(word, limit: 64) }
}
