import ArgumentParser
import FinTerminal

/// The help of a command. Its options come from their declarations.
struct HelpText {
  var usage: [String]
  /// Lines of a command and its effect.
  var examples: String
  /// Paragraphs, for the long help. Lines with a margin keep their form.
  var details: String
  /// The exit statuses, each with its meaning.
  var statuses: String
}

/// A command with a help of two lengths, and with a schema if it can print JSON.
protocol DocumentedCommand: ParsableCommand {
  static var help: HelpText { get }
  static var schema: JSONSchema? { get }
  /// The option behind which every word belongs to another command; nil if it has none.
  static var commandOption: String? { get }
}

extension DocumentedCommand {
  static var schema: JSONSchema? { nil }
  static var commandOption: String? { nil }
}
