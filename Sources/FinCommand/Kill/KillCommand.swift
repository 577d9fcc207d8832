import ArgumentParser
import Fin
import FinDoctor
import FinTerminal
import Glibc

/// `fin kill`: ends connections of other programs, after showing them and asking.
struct KillCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "kill",
    abstract: "End connections of other programs, after showing them and asking (SOCK_DESTROY).",
    discussion: """
      ADDR:PORT names every connection with this local or remote end; ADDR:PORT,ADDR:PORT the one from the first to \
      the second. IPv6 stands in brackets, with the interface of a link-local address: [fe80::1%eth0]:80.

      Lists the named connections, asks, and has the kernel end each. The request carries the socket's cookie, which \
      the kernel compares: a new connection that reuses the addresses and ports of one that has ended meanwhile is \
      not hit. Then fin takes a second snapshot, and reports the result for each connection.

      The program gets ECONNABORTED from its next call, and the peer is sent a RST, unless the state allows none \
      (SYN-SENT, LAST-ACK, CLOSING, TIME-WAIT). A TIME-WAIT entry is removed, and its port is free at once. The \
      descriptor is not closed: it stays with its program until the program closes it.

      Listeners are spared without --listeners. With --udp, UDP sockets are ended instead. fin kill needs \
      CAP_NET_ADMIN in the user namespace of the sockets' network: usually root. Sockets of other network namespaces \
      are ended from inside these namespaces.

      Examples:
        fin kill 10.0.0.7:5432 --dry-run          every connection from or to there
        fin kill 10.0.0.1:41234,10.0.0.7:5432     this one
        fin kill --yes '[::1]:8080'               without asking

      --json needs --yes or --dry-run and prints one object. Its schema only grows by new keys:
        version      1; any other change gets a new number
        fin          the version of this command
        taken        the time of the snapshot, in milliseconds since 1970
        hidden       a list of sentences about what could not be seen
        dryRun       whether --dry-run was given
        status       the exit status
        sockets      a list:
          kind, state, localAddress, localPort, remoteAddress,
          remotePort, interface, namespace (its inode), inode, cookie
          (hexadecimal, a string), since, waitingForAccept, as in fin list
          holders    a list of {pid, program, script, unit, container, fd}
          outcome    destroyed, ended (on its own), replaced (ended, and
                     another socket has its ports), not-permitted,
                     not-supported, unreachable, refused; absent with
                     --dry-run
          reason     for the last two, in words
          now        its state in the second snapshot; absent if no table
                     lists it any more
          remains    whether it continues unchanged
          stillHeldBy   a list like holders, from the second snapshot
        spared       a list like sockets, with why: listener or bound

      Exit status:
        0    all that was named has ended; with --dry-run, something is named
        1    some of it has not ended
        2    not confirmed: the answer was no, or there was no terminal and no --yes
        64   the command was not understood
        65   two ends name sockets in several networks: choose with --namespace
        69   nothing is named that may be ended
        71   the kernel could not be queried, or cannot end sockets
        77   not permitted
      """)

  @Argument(help: ArgumentHelp("One end of the connections, or both ends of one.", valueName: "addr:port[,addr:port]"))
  var sockets: [String]

  @Flag(help: "Do not ask.")
  var yes = false

  @Flag(name: .customLong("dry-run"), help: "Only list what would be ended.")
  var dryRun = false

  @Flag(help: "End listeners too; clients that wait in their queues are reset.")
  var listeners = false

  @Flag(help: "End UDP sockets instead of TCP connections.")
  var udp = false

  @Option(
    help: ArgumentHelp("Only in this network namespace, by name or inode, as fin list shows them.", valueName: "name"))
  var namespace: String?

  @OptionGroup var looking: LookOptions

  func validate() throws {
    if looking.json, !yes, !dryRun { throw ValidationError("--json cannot ask: use --yes or --dry-run with it.") }
    _ = try targets()
  }

  /// The sockets that the arguments name.
  private func targets() throws -> [SocketTarget] {
    try sockets.map { word in
      let parts = word.split(separator: ",", omittingEmptySubsequences: false)
      guard parts.count <= 2 else { throw ValidationError("\(visible(word, limit: 128)): more than two ends.") }
      let ends = try parts.map { try Self.end(String($0)) }
      return SocketTarget(ends[0], ends.count == 2 ? ends[1] : nil)
    }
  }

  private static func end(_ text: String) throws -> SocketTarget.End {
    let address: SocketAddress
    do {
      address = try SocketAddress(parsing: text)
    } catch {
      throw ValidationError("\(error)")
    }
    guard case .ip(let ip, let port) = address else {
      throw ValidationError("\(visible(text, limit: 128)): the kernel cannot end Unix sockets.")
    }
    guard port != 0 else { throw ValidationError("\(visible(text, limit: 128)): port 0 names no socket.") }
    switch ip {
    case .v4(let address):
      return .init(NetworkAddress(AddressBits(low: UInt64(address.rawValue)), isIPv6: false), port: port)
    case .v6(let address):
      return .init(
        NetworkAddress(
          AddressBits(high: address.high, low: address.low), isIPv6: true, interface: address.scope), port: port)
    }
  }

  func run() throws {
    let before = try take()
    let named = try choose(before)
    var report = KillReport(
      before: before, chosen: named.filter { isMeant(before.sockets[$0]) },
      spared: named.filter { !isMeant(before.sockets[$0]) }, isDryRun: dryRun)
    let text = KillText(paper: looking.paper)
    if !looking.json {
      Output.write(text.list(report))
      for sentence in before.gaps.sentences { complain(sentence) }
    }
    if report.chosen.isEmpty {
      report.status = 69
      if looking.json { KillJSON.write(report) }
      complain(
        report.spared.isEmpty
          ? "no \(udp ? "UDP socket" : "TCP connection") with this end is visible"
          : "every socket that is named is spared")
      throw ExitCode(69)
    }
    if !dryRun {
      if !yes { try confirm(report.chosen.count) }
      report.outcomes = before.destroy(report.chosen)
      report.after = try take()
      report.judge()
    }
    if looking.json { KillJSON.write(report) } else { Output.write(text.outcome(report)) }
    if report.status != 0 { throw ExitCode(report.status) }
  }

  private func take() throws -> Census {
    var options = looking.census
    options.transports = udp ? [.udp] : [.tcp]
    options.readsUnixSockets = false
    options.readsDetached = false
    return try CensusPair.take(options).census
  }

  private func choose(_ census: Census) throws -> [Int] {
    let targets = try targets()
    var chosen: Set<Int> = []
    for target in targets {
      let named = census.sockets.indices.filter { place in
        target.matches(census.sockets[place]) && isInNamespace(census.sockets[place], census)
      }
      if target.second != nil, named.count > 1 {
        complain("two ends name one connection, but \(named.count) match:")
        for place in named {
          let socket = census.sockets[place]
          complain("  in \(census.namespace(of: socket).name), interface \(socket.interface)")
        }
        complain("choose one with --namespace, or add the interface to the address: %eth0")
        throw ExitCode(65)
      }
      chosen.formUnion(named)
    }
    return chosen.sorted()
  }

  private func isInNamespace(_ socket: InetSocket, _ census: Census) -> Bool {
    guard let namespace else { return true }
    let place = census.namespace(of: socket)
    return place.name == namespace || "\(place.inode)" == namespace
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
      complain("nothing was ended: stdin is not a terminal; use --yes to skip the prompt or --dry-run to list")
      throw ExitCode(2)
    }
    Output.write("End \(count == 1 ? "this socket" : "these \(count) sockets")? [y/N] ")
    let answer = readLine()?.lowercased() ?? ""
    guard answer == "y" || answer == "yes" else {
      complain("nothing was ended")
      throw ExitCode(2)
    }
  }

  private func complain(_ sentence: String) { Output.complain("fin: \(sentence)\n") }
}
