import ArgumentParser
import FinTerminal

@main
struct FinCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fin",
    abstract: "Sockets that end well: see how connections end on this machine.",
    discussion: """
      A program that closes a socket learns nothing about the bytes that are still in flight. `fin` shows what happens \
      to them.

      Begin with:
        fin check         find sockets that do not end as they should, and the cause
        fin explain       the life of one socket, or what stands in the way of a bind
        fin list          every socket, its owner, and how long it is in its state
        fin ports         the local ports left for each destination
        fin listeners     the clients in each listener's queue, and who accepts
        fin kill          end connections of other programs
        fin lab flush     one experiment: a reply lost by the usual close
        fin lab           all experiments, with a table at the end
        fin help lab      the options of the laboratory

      Exit status (the help of each command lists its own):
        0    success
        1    fin lab: at least one verdict failed; fin check: warnings
        64   the command was not understood: an unknown option or experiment
      """,
    version: CommandVersion.current,
    subcommands: [
      CheckCommand.self, ExplainCommand.self, ListCommand.self, PortsCommand.self, ListenersCommand.self,
      KillCommand.self, Lab.self, LabExperiment.self, LifecycleCommand.self,
    ])
}
