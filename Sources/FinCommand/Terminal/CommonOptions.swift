import ArgumentParser
import FinDoctor
import FinTerminal

/// The options of every command that prints something.
struct OutputOptions: ParsableArguments {
  @Flag(help: "Print JSON instead of text.")
  var json = false

  @Flag(name: .customLong("no-color"), help: "Print no colour, as with NO_COLOR in the environment.")
  var noColor = false

  var terminal: Terminal { .standardOutput(noColor: noColor) }
}

/// The options of a census.
struct CensusOptions: ParsableArguments {
  @Flag(name: .customLong("own-namespace"), help: "Look only at the network namespace that fin runs in.")
  var ownNamespace = false

  @Flag(
    name: .customLong("no-bpf"),
    help: "Load no BPF program into the kernel. With many descriptors, fin is then slower, with the same result.")
  var noBPF = false

  /// The options of the census that these options ask for.
  var census: Census.Options {
    var options = Census.Options()
    options.readsAllNamespaces = !ownNamespace
    options.loadsProgram = !noBPF
    return options
  }
}
