import ArgumentParser
import FinDoctor
import FinTerminal

/// `fin ports`: shows the local ports left for each destination, the users of the others, and how long they last.
struct PortsCommand: DocumentedCommand {
  static let configuration = CommandConfiguration(
    commandName: "ports",
    abstract: "Show the local ports left for each destination, the users of the others, and how long they last.")

  @Argument(
    help: ArgumentHelp("Only routes that these processes use, by pid, name or script.", valueName: "pid|name"),
    completion: Completions.programs)
  var programs: [ProgramName] = []

  @Option(
    help: ArgumentHelp("Only destinations with this address, or in this range: 10.0.0.0/8.", valueName: "address"))
  var address: [AddressRange] = []

  @Option(help: ArgumentHelp("Only destinations with this port.", valueName: "port"), completion: Completions.ports)
  var port: [UInt16] = []

  @Option(help: ArgumentHelp("Take two snapshots this far apart: 10s, 500ms, 2min.", valueName: "time"))
  var over: TimeSpan?

  @Option(help: ArgumentHelp("Show at most this many budgets.", valueName: "count"))
  var limit: UInt = 10

  @Flag(help: "Show all budgets.")
  var all = false

  @OptionGroup var namespace: NamespaceOption

  @OptionGroup var source: SourceOption

  @OptionGroup var looking: CensusOptions

  @OptionGroup var output: OutputOptions

  func run() throws {
    var options = looking.census
    options.transports = [.tcp]
    options.readsUnixSockets = false
    options.readsDetached = false
    options.interfaceNames = Set(address.compactMap(\.interfaceName))
    let looks = try CensusPair.take(options, over: over, from: source)
    let places = try namespace.places(in: looks.census)
    try looks.census.require(interfaces: options.interfaceNames, in: places)
    let matching = PortBudget.all(in: looks.census, since: looks.earlier).filter {
      isWanted($0, in: looks.census) && places?.contains(Int($0.route.namespace)) != false
    }
    let shown = all ? matching : Array(matching.prefix(Int(clamping: limit)))
    let report = PortsReport(looks: looks, budgets: shown, matching: matching.count, over: over)
    if output.json {
      PortsJSON.write(report)
    } else {
      Output.write(PortsText(terminal: output.terminal).report(report))
      looks.complain()
    }
  }

  private func isWanted(_ budget: PortBudget, in census: Census) -> Bool {
    if budget.route.isAnyOther, !address.isEmpty || !port.isEmpty { return false }
    let namespace = census.namespaces[Int(budget.route.namespace)]
    if !address.isEmpty, !address.contains(where: { $0.contains(budget.route.destination, in: namespace) }) {
      return false
    }
    if !port.isEmpty, !port.contains(budget.route.port) { return false }
    if programs.isEmpty { return true }
    return (budget.route.isAnyOther ? budget.binders : budget.users).contains { user in
      programs.contains { $0.matches(user.pid, census.programs[user.pid]) }
    }
  }
}

/// The report of `fin ports`.
struct PortsReport {
  var looks: CensusPair
  var budgets: [PortBudget]
  var matching: Int
  var over: TimeSpan?

  var census: Census { looks.census }
}
