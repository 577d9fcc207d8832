import ArgumentParser
import FinTerminal

/// A page of help: usage and examples first, then the options; the long page has the details too.
struct HelpPage {
  let isLong: Bool
  let terminal: Terminal

  /// The page of one command.
  /// - Parameter root: The command that has it as a subcommand.
  func text<Root: ParsableCommand>(of command: any DocumentedCommand.Type, in root: Root.Type) -> String {
    let help = command.help
    let name = command.configuration.commandName ?? ""
    var lines = Terminal.wrap(command.configuration.abstract, to: terminal.width) + [""]
    for (place, usage) in help.usage.enumerated() { lines.append((place == 0 ? "Usage: " : "       ") + usage) }
    lines += ["", heading("Examples:")] + Self.indented(help.examples) + [""]
    lines += options(root.helpMessage(for: command, columns: 4000))
    if isLong {
      lines +=
        paragraphs(help.details) + ["", heading("Exit status:")]
        + Self.indented(help.statuses + "\n" + Self.sharedStatuses)
      if command.schema != nil { lines += ["", "The schema of --json: fin help json \(name)"] }
    } else {
      let json = command.schema == nil ? "" : "; the schema of --json: fin help json \(name)"
      lines.append("More: fin \(name) --help\(json)")
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// The exit statuses of every command.
  static let sharedStatuses = "74   the output could not be written"

  func heading(_ text: String) -> String { terminal.ink(.heading, text) }

  private static func indented(_ text: String) -> [String] {
    text.split(separator: "\n", omittingEmptySubsequences: false).map { $0.isEmpty ? "" : "  " + $0 }
  }

  /// Wraps paragraphs. A line with a margin, or after such a line, keeps its form.
  func paragraphs(_ text: String) -> [String] {
    text.split(separator: "\n", omittingEmptySubsequences: false).flatMap { line in
      line.hasPrefix(" ") || line.isEmpty ? [String(line)] : Terminal.wrap(String(line), to: terminal.width)
    }
  }

  /// The lists of arguments and options, each entry with its first sentence, or with all of them.
  /// - Parameter message: The help that ArgumentParser prints, with one line for each entry.
  private func options(_ message: String) -> [String] {
    Self.entries(of: message).flatMap { entry in
      switch entry {
      case .heading(let text): ["", heading(text + ":")]
      case .option(let label, let text): self.entry("  " + label, text)
      case .other(let text): [text]
      }
    }.dropFirst() + [""]
  }

  /// A line of the lists of arguments and options.
  enum Entry {
    case heading(String)
    case option(String, String)
    /// An entry without text.
    case other(String)
  }

  /// The entries of the lists of arguments and options.
  /// - Parameter message: The help that ArgumentParser prints, with one line for each entry.
  static func entries(of message: String) -> [Entry] {
    var entries: [Entry] = []
    var isList = false
    for line in message.split(separator: "\n") {
      if line == "ARGUMENTS:" || line == "OPTIONS:" {
        isList = true
        entries.append(.heading(line == "OPTIONS:" ? "Options" : "Arguments"))
      } else if !isList || line.hasPrefix("  --version") {
        continue
      } else if line.hasPrefix("   "), case .other(let label)? = entries.last {
        // ArgumentParser puts the text of a long name on a line of its own.
        entries[entries.count - 1] = .option(label, String(line.drop { $0 == " " }))
      } else if line.hasPrefix("  -h, --help") {
        entries.append(.option("-h, --help", "Print the short help, or the whole."))
      } else if line.hasPrefix("  "), let gap = line.dropFirst(2).firstRange(of: "  ") {
        entries.append(
          .option(String(line.dropFirst(2)[..<gap.lowerBound]), String(line[gap.upperBound...].drop { $0 == " " })))
      } else {
        entries.append(.other(String(line.drop { $0 == " " })))
      }
    }
    return entries
  }

  private static let labelWidth = 24

  private func entry(_ label: String, _ text: String) -> [String] {
    let wanted = isLong ? text : Self.firstSentence(text)
    let wrapped = Terminal.wrap(wanted, to: min(terminal.width, 100) - Self.labelWidth)
    let margin = String(repeating: " ", count: Self.labelWidth)
    if label.count + 2 > Self.labelWidth { return [label] + wrapped.map { margin + $0 } }
    return [Terminal.pad(label, to: Self.labelWidth) + wrapped[0]] + wrapped.dropFirst().map { margin + $0 }
  }

  /// `Report from this severity on. (default: warning)` without the sentences between.
  static func firstSentence(_ text: String) -> String {
    guard let end = text.firstRange(of: ". ") else { return text }
    let value = text.firstRange(of: "(default: ").map { " " + text[$0.lowerBound...] } ?? ""
    return text[..<end.lowerBound] + "." + value
  }
}
