extension LifecycleCommand {
  static let help = HelpText(
    usage: ["fin lifecycle [OPTIONS]"],
    examples: """
      fin lifecycle                      the table
      fin lifecycle --format mermaid     a diagram
      """,
    details: """
      The table is the one that the library runs on, not a description of it.
      """,
    statuses: """
      0    printed, or written
      1    --write could not write
      64   the command was not understood
      """)
}
