import ArgumentParser

@main
struct FinCommand: ParsableCommand {
  static let version = "0.1.0"

  static let configuration = CommandConfiguration(
    commandName: "fin",
    abstract: "Sockets that end well: see how connections end on this machine.",
    discussion: """
      A program that closes a socket hears nothing about the bytes that were still on their way. \
      `fin` shows what really becomes of them.

      Begin with:
        fin check         sockets that do not end as they should: whose, since when, why
        fin explain       the life of one socket, or what stands in the way of a bind
        fin list          every socket, who holds it and since when
        fin ports         how many local ports are left for each destination
        fin listeners     who waits in each listener's queue, and who accepts
        fin kill          end connections of other programs
        fin lab flush     one experiment: a reply that is lost by the usual close
        fin lab           all of them, with a table at the end
        fin help lab      what the laboratory can do

      Exit status:
        0    everything was as it should be
        1    at least one verdict failed
        64   the command was not understood: an unknown option or experiment
      """,
    version: version,
    subcommands: [
      CheckCommand.self, ExplainCommand.self, ListCommand.self, PortsCommand.self, ListenersCommand.self,
      KillCommand.self, Lab.self, LabExperiment.self, LifecycleCommand.self,
    ])
}
