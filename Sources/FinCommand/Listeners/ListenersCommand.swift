import ArgumentParser
import FinDoctor
import FinTerminal

/// `fin listeners`: shows each listener's accept queue: the waiting clients, their wait, the drops, and who accepts.
struct ListenersCommand: DocumentedCommand {
  static let configuration = CommandConfiguration(
    commandName: "listeners",
    abstract: "Show each listener's accept queue: waiting clients, their wait, drops, and the programs that accept.")

  @Argument(
    help: ArgumentHelp("Only listeners of these processes, by pid, name or script.", valueName: "pid|name"),
    completion: Completions.programs)
  var programs: [ProgramName] = []

  @Option(help: ArgumentHelp("Only listeners on this address, or in this range: 10.0.0.0/8.", valueName: "address"))
  var address: [AddressRange] = []

  @Option(help: ArgumentHelp("Only listeners on this port.", valueName: "port"), completion: Completions.ports)
  var port: [UInt16] = []

  @Flag(help: "TCP listeners. Without --tcp and --unix: both.")
  var tcp = false

  @Flag(help: "Unix listeners.")
  var unix = false

  @Option(help: ArgumentHelp("Take two snapshots this far apart: 10s, 500ms, 2min.", valueName: "time"))
  var over: TimeSpan?

  @Option(help: ArgumentHelp("Show at most this many, the worst; by default, all.", valueName: "count"))
  var limit: UInt?

  @Flag(help: "Explain every listener.")
  var details = false

  @OptionGroup var namespace: NamespaceOption

  @OptionGroup var source: SourceOption

  @OptionGroup var looking: CensusOptions

  @OptionGroup var output: OutputOptions

  func run() throws {
    var options = looking.census
    options.transports = tcp || !unix ? [.tcp, .mptcp] : []
    options.readsUnixSockets = unix || !tcp
    options.readsDetached = false
    options.interfaceNames = Set(address.compactMap(\.interfaceName))
    let looks = try CensusPair.take(options, over: over, from: source)
    var census = looks.census
    let places = try namespace.places(in: census)
    try census.require(interfaces: options.interfaceNames, in: places)
    func panels(in census: Census) -> [ListenerOverview] {
      ListenerOverview.all(in: census, since: looks.earlier).filter {
        isWanted($0, in: census) && places?.contains(Int($0.namespace)) != false
      }
    }
    // The processes that accept are examined only for the listeners to show: an epoll set may be long.
    let matching = panels(in: census)
    let count = Int(clamping: limit ?? .max)
    if looks.record == nil { census.watch(Set(matching.prefix(count).flatMap { $0.holders.map(\.pid) })) }
    let shown = Array(panels(in: census).prefix(count))
    if output.json {
      ListenersJSON.write(shown, matching: matching.count, census)
    } else {
      let text = ListenersText(
        terminal: output.terminal, census: census, isDetailed: details, isSecondLook: over != nil)
      Output.write(text.report(shown, matching: matching.count))
      looks.complain()
    }
  }

  private func isWanted(_ panel: ListenerOverview, in census: Census) -> Bool {
    if !programs.isEmpty {
      let isNamed = panel.holders.contains { holder in
        programs.contains { $0.matches(holder.pid, census.programs[holder.pid]) }
      }
      if !isNamed { return false }
    }
    if address.isEmpty, port.isEmpty { return true }
    guard case .inet(let place) = panel.place else { return false }
    if !port.isEmpty, !port.contains(census.sockets[place].localPort) { return false }
    let socket = census.sockets[place]
    return address.isEmpty
      || address.contains { $0.contains(socket.localAddress, in: census.namespace(of: socket)) }
  }
}
