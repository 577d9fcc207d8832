import ArgumentParser
import FinDoctor
import FinTerminal

/// `fin rights`: shows how much of the machine this user may see, and which capability would add the rest.
struct RightsCommand: DocumentedCommand {
  static let configuration = CommandConfiguration(
    commandName: "rights",
    abstract: "Show how much of the machine this user may see, and which capability would add the rest.")

  @OptionGroup var output: OutputOptions

  func run() throws {
    let census: Census
    do { census = try Census.take(Census.Options()) } catch { throw ExitStatus.kernelFailure.because("\(error)") }
    let sight = Sight(of: census)
    if output.json {
      RightsJSON.write(sight, census)
    } else {
      Output.write(RightsText(terminal: output.terminal).report(sight))
    }
    if sight.views.contains(where: { !$0.isWhole && $0.kind.isSight }) { throw ExitStatus.problem.exit }
  }
}

extension Sight.Kind {
  /// Whether it is about what a census sees, and not about what the command may do or how fast it is.
  var isSight: Bool {
    switch self {
    case .processes, .owners, .namespaces: true
    case .kill, .pass: false
    }
  }
}
