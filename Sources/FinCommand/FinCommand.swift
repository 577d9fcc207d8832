import ArgumentParser
import FinTerminal

struct FinCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fin",
    abstract: "Sockets that end well: see how connections end on this machine.",
    version: CommandVersion.current,
    subcommands: documented + [LabExperiment.self])

  /// The commands that read what other programs may make wait.
  static let readsOtherPrograms: Set<String> = [
    "check", "explain", "export", "list", "ports", "listeners", "kill", "watch", "census", "report", "record",
    "rights", "---completion",
  ]

  /// The commands for a person.
  static let documented: [any DocumentedCommand.Type] = [
    CheckCommand.self, ExplainCommand.self, ListCommand.self, PortsCommand.self, ListenersCommand.self,
    WatchCommand.self, KillCommand.self, CensusCommand.self, ReportCommand.self, RecordCommand.self, DiffCommand.self,
    ExportCommand.self, RightsCommand.self, ConnectCommand.self, ServeCommand.self, RelayCommand.self, Lab.self,
    LifecycleCommand.self,
  ]
}
