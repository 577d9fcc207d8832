import ArgumentParser
import FinTerminal

/// A manual page (man(7)) of `fin` or of one of its commands, from the same declarations as the help.
struct ManualPage {
  /// The page of the command as a whole: fin(1).
  static func root() -> String {
    var page = Roff(title: "fin", description: FinCommand.configuration.abstract)
    page.section("Synopsis")
    page.line(".B fin")
    page.text("COMMAND [OPTIONS]")
    page.section("Description")
    page.blocks(RootHelp.details)
    page.section("Commands")
    for (name, effect) in RootHelp.commands {
      page.line(".TP")
      page.line(".BR fin-\(name) (1)")
      page.text(effect)
    }
    page.section("Examples")
    page.display(RootHelp.examples)
    page.section("Exit status")
    page.entries(RootHelp.statuses + "\n" + HelpPage.sharedStatuses)
    page.related(RootHelp.commands.map { "fin-" + $0.name })
    return page.source
  }

  /// The page of a command: fin-check(1).
  static func page(of command: any DocumentedCommand.Type) -> String {
    let name = command.configuration.commandName ?? ""
    let help = command.help
    var page = Roff(title: "fin-\(name)", description: command.configuration.abstract)
    page.section("Synopsis")
    for (place, usage) in help.usage.enumerated() {
      if place > 0 { page.line(".br") }
      page.text(usage)
    }
    page.section("Description")
    page.blocks(help.details)
    for entry in HelpPage.entries(of: FinCommand.helpMessage(for: command, columns: 4000)) {
      switch entry {
      case .heading(let text): page.section(text)
      case .option(let label, let text): page.entry(label, text)
      case .other(let text): page.text(text)
      }
    }
    page.section("Examples")
    page.display(help.examples)
    page.section("Exit status")
    page.entries(help.statuses + "\n" + HelpPage.sharedStatuses)
    if command.schema != nil {
      page.section("JSON")
      page.text("The schema of --json is printed by fin help json \(name).")
    }
    let others = RootHelp.commands.map(\.name).filter { $0 != name }.map { "fin-" + $0 }
    page.related(["fin"] + others)
    return page.source
  }
}
