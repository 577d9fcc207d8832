import ArgumentParser
import FinDoctor
import FinTerminal
import Glibc

/// `fin kill`: ends connections of other programs, after showing them and asking.
struct KillCommand: DocumentedCommand {
  static let configuration = CommandConfiguration(
    commandName: "kill",
    abstract: "End connections of other programs, after showing them and asking (SOCK_DESTROY).")

  @Argument(help: ArgumentHelp("One end of the connections, or both ends of one.", valueName: "addr:port[,…]"))
  var sockets: [String]

  @Flag(help: "Do not ask.")
  var yes = false

  @Flag(name: .customLong("dry-run"), help: "Only list what would be ended.")
  var dryRun = false

  @Flag(help: "End listeners too; clients that wait in their queues are reset.")
  var listeners = false

  @Flag(help: "End UDP sockets instead of TCP connections.")
  var udp = false

  @OptionGroup var namespace: NamespaceOption

  @OptionGroup var looking: CensusOptions

  @OptionGroup var output: OutputOptions

  func validate() throws {
    if output.json, !yes, !dryRun { throw ValidationError("--json cannot ask: use --yes or --dry-run with it.") }
    _ = try targets()
  }

  /// The sockets that the arguments name.
  private func targets() throws -> [SocketTarget] {
    try sockets.map { word in
      let parts = word.split(separator: ",", omittingEmptySubsequences: false)
      guard parts.count <= 2 else { throw ValidationError("\(visible(word, limit: 128)): more than two ends.") }
      guard !word.hasPrefix("/"), !word.hasPrefix("@") else {
        throw ValidationError("\(visible(word, limit: 128)): the kernel cannot end Unix sockets.")
      }
      let ends = try parts.map { try EndArgument(String($0)).target() }
      return SocketTarget(ends[0], ends.count == 2 ? ends[1] : nil)
    }
  }

  /// The interfaces that the addresses name.
  private func interfaceNames() throws -> Set<String> {
    Set(try targets().flatMap { [$0.first, $0.second].compactMap { $0?.address.interfaceName } })
  }

  func run() throws {
    let before = try take()
    let named = try choose(before)
    var report = KillReport(
      before: before, chosen: named.filter { isMeant(before.sockets[$0]) },
      spared: named.filter { !isMeant(before.sockets[$0]) }, isDryRun: dryRun)
    let text = KillText(terminal: output.terminal)
    if !output.json {
      Output.write(text.list(report))
      for sentence in before.gaps.sentences { Output.complain(sentence) }
    }
    if report.chosen.isEmpty {
      report.status = .unavailable
      if output.json { KillJSON.write(report) }
      throw report.status.because(
        report.spared.isEmpty
          ? "no \(udp ? "UDP socket" : "TCP connection") with this end is visible\(try elsewhere(before))"
          : "every socket that is named is spared")
    }
    if !dryRun {
      if !yes { try confirm(report.chosen.count) }
      report.outcomes = before.destroy(report.chosen)
      report.after = try take()
      report.judge()
    }
    if output.json { KillJSON.write(report) } else { Output.write(text.outcome(report)) }
    if report.status != .success { throw report.status.exit }
  }

  private func take() throws -> Census {
    var options = looking.census
    options.transports = udp ? [.udp] : [.tcp]
    options.readsUnixSockets = false
    options.readsDetached = false
    options.interfaceNames = try interfaceNames()
    return try CensusPair.take(options).census
  }

  private func choose(_ census: Census) throws -> [Int] {
    let targets = try targets()
    // Another network namespace may use the same addresses for its own connections.
    let places =
      try namespace.places(in: census) ?? Set(census.namespaces.indices.filter { census.namespaces[$0].isOwn })
    try census.require(interfaces: interfaceNames(), in: places)
    var chosen: Set<Int> = []
    for target in targets {
      let named = census.sockets.indices.filter { place in
        target.matches(census.sockets[place], in: census.namespace(of: census.sockets[place]))
          && places.contains(Int(census.sockets[place].namespace))
      }
      if target.second != nil, named.count > 1 {
        Output.complain("two ends name one connection, but \(named.count) match:")
        for place in named {
          let socket = census.sockets[place]
          Output.complain("  in \(census.namespace(of: socket).name), interface \(socket.interface)")
        }
        throw ExitStatus.badData.because("add the interface to the address: %eth0")
      }
      chosen.formUnion(named)
    }
    return chosen.sorted()
  }

  /// The namespaces that have a socket with this name, when none was named and the own one has none.
  private func elsewhere(_ census: Census) throws -> String {
    guard namespace.namespace == nil else { return "" }
    let targets = try targets()
    let others = Set(census.sockets.filter { socket in targets.contains { $0.matches(socket) } }.map(\.namespace))
    if others.isEmpty { return "" }
    let names = others.sorted().prefix(4).map { census.namespaces[Int($0)].name }.joined(separator: ", ")
    return " in this network namespace; choose another with --namespace: \(names)\(others.count > 4 ? ", …" : "")"
  }

  private func isMeant(_ socket: InetSocket) -> Bool {
    switch socket.sparing {
    case nil: true
    case .listener: listeners
    case .bound: false
    }
  }

  private func confirm(_ count: Int) throws {
    guard isatty(STDIN_FILENO) == 1 else {
      throw ExitStatus.grave.because(
        "nothing was ended: stdin is not a terminal; use --yes to skip the prompt or --dry-run to list")
    }
    Output.write("End \(count == 1 ? "this socket" : "these \(count) sockets")? [y/N] ")
    let answer = readLine()?.lowercased() ?? ""
    guard answer == "y" || answer == "yes" else {
      throw ExitStatus.grave.because("nothing was ended")
    }
  }
}
