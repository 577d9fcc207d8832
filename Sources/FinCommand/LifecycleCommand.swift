import ArgumentParser

/// `fin lifecycle`: the life of a socket, as the library's table tells it.
struct LifecycleCommand: ParsableCommand {
  enum Format: String, CaseIterable, ExpressibleByArgument { case text, mermaid, svg }

  static let configuration = CommandConfiguration(
    commandName: "lifecycle",
    abstract: "Print the table of a socket's life: in which phase, on what event, what happens.",
    discussion: """
      The table is the one that the library runs on, not a description of it.

      Exit status:
        0    printed, or written
        1    --write could not write
        64   the command was not understood
      """)

  @Option(help: "How to print it: text, mermaid or svg.")
  var format = Format.text

  @Flag(help: "Bring the drawings in the documentation up to date. Run it in the package's root folder.")
  var write = false

  func run() throws {
    if write {
      for path in try LifecycleDocuments.write() { print("wrote \(path)") }
      return
    }
    switch format {
    case .text: Output.write(LifecycleText.table())
    case .mermaid: Output.write(LifecycleText.mermaid())
    case .svg: Output.write(LifecycleDrawing().svg())
    }
  }
}
