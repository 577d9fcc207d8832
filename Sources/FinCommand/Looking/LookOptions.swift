import ArgumentParser
import FinDoctor

/// What every command that shows something understands.
struct OutputOptions: ParsableArguments {
  @Flag(help: "Print JSON instead of text (the schema is described above).")
  var json = false

  @Flag(name: .customLong("no-color"), help: "No colour. The same as NO_COLOR in the environment.")
  var noColor = false

  var paper: Paper { .standardOutput(noColor: noColor) }
}

/// What every command that looks at the machine's sockets understands.
struct LookOptions: ParsableArguments {
  @Flag(name: .customLong("own-namespace"), help: "Only this network namespace.")
  var ownNamespace = false

  @Flag(
    name: .customLong("no-bpf"),
    help: "Load no program into the kernel; on machines with many descriptors it takes longer and shows the same.")
  var noBPF = false

  @OptionGroup var output: OutputOptions

  var json: Bool { output.json }
  var paper: Paper { output.paper }

  /// A whole census, or of the own namespace alone.
  var census: Census.Options {
    var options = Census.Options()
    options.readsAllNamespaces = !ownNamespace
    options.loadsProgram = !noBPF
    return options
  }
}
