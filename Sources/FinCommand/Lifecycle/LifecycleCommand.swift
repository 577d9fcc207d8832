import ArgumentParser
import FinTerminal

/// `fin lifecycle`: prints the life of a socket, from the library's table.
struct LifecycleCommand: DocumentedCommand {
  enum Format: String, CaseIterable, ExpressibleByArgument { case text, mermaid, svg }

  static let configuration = CommandConfiguration(
    commandName: "lifecycle",
    abstract: "Print the table of a socket's life: what happens in each phase on each event.")

  @Option(help: "The format: text, mermaid or svg.")
  var format = Format.text

  @Flag(help: "Update the drawings in the documentation. Run it in the package's root folder.")
  var write = false

  func run() throws {
    if write {
      for path in try LifecycleDocuments.write() { Output.write("wrote \(path)\n") }
      return
    }
    switch format {
    case .text: Output.write(LifecycleText.table())
    case .mermaid: Output.write(LifecycleText.mermaid())
    case .svg: Output.write(LifecycleDrawing().svg())
    }
  }
}
