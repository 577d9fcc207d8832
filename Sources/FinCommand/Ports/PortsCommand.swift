import ArgumentParser
import FinDoctor
import FinTerminal

/// `fin ports`: shows the local ports left for each destination, the users of the others, and how long they last.
struct PortsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ports",
    abstract: "Show the local ports left for each destination, the users of the others, and how long they last.",
    discussion: """
      A connection needs a local port, which connect chooses from ip_local_port_range without the reserved ports. A \
      port serves one connection for each destination, so every destination has a budget of its own; when it is used \
      up, connect fails with EADDRNOTAVAIL. The fullest budget comes first.

        #  connected: from SYN-SENT on
        =  TIME-WAIT: closed by this side first, kept for 60 s
        +  bound: taken by bind, for a listener, before a connect, or still unused
        .  free

      A bound port is missing for every destination: bind takes it from all programs, unless the program sets \
      IP_BIND_ADDRESS_NO_PORT before. The kernel does not record whether connect or bind chose the port of a \
      connection; fin infers the ports that bind chose from their numbers, and calls them probable. TIME-WAIT \
      entries that connect may reuse (tcp_tw_reuse) count as taken, and are listed separately.

      --over takes two snapshots. A connection that is only in the second was opened in between, so the rate is at \
      least that of these connections, and at most that of all connects that the kernel counts, minus those to other \
      destinations. fin computes from this rate, and from the ports that return from TIME-WAIT meanwhile, how long \
      the ports last.

      Examples:
        fin ports                              the ten fullest
        fin ports --over 10s api               of one program, with rates
        fin ports --to 10.0.0.0/8 --port 5432  connections to these databases

      --json prints one object. Its schema only grows by new keys:
        version      1; any other change gets a new number
        fin          the version of this command
        taken        the time of the snapshot, in milliseconds since 1970
        overMilliseconds  the time between two snapshots; absent after one
        hidden       a list of sentences about what could not be seen
        namespaces   a list of {inode, name, own, firstPort, lastPort,
                     reservedPorts, capacity, timeWaitReuse}
        matching     the number of budgets that match; the list may be shorter
        budgets      a list, the fullest first:
          namespace  its inode
          source, destination, port   absent for all destinations that
                     have no connection yet
          capacity, connected, timeWait, timeWaitReusable, bound,
          boundOnSource, boundProbably, free, percent (taken)
          users, boundBy   lists of {pid, program, script, unit,
                     container, ports}; without pid: unknown
          closedPerSecond      out of TIME-WAIT, over the last minute
          sustainedPerSecond   the rate that the ports can sustain
          pace       {openedPerSecondAtLeast, openedPerSecondAtMost,
                     growth, exhaustion {atLeastMilliseconds,
                     atMostMilliseconds}}; after two snapshots. Without
                     exhaustion, the ports last
          remedies   a list of {id, name, code, fin}, as in fin check

      Exit status:
        0    shown, also if nothing matched
        64   the command was not understood
        71   the kernel could not be queried
      """)

  @Argument(
    help: ArgumentHelp("Only routes that these processes use, by pid, name or script.", valueName: "pid|name"))
  var programs: [ProgramName] = []

  @Option(
    help: ArgumentHelp("Only destinations with this address, or in this range: 10.0.0.0/8.", valueName: "address"))
  var to: [AddressRange] = []

  @Option(help: ArgumentHelp("Only destinations with this port.", valueName: "port"))
  var port: [UInt16] = []

  @Option(help: ArgumentHelp("Take two snapshots this far apart: 10s, 500ms, 2min.", valueName: "time"))
  var over: TimeSpan?

  @Option(help: ArgumentHelp("Show this many budgets.", valueName: "number"))
  var top: UInt = 10

  @Flag(help: "Show all budgets.")
  var all = false

  @OptionGroup var looking: LookOptions

  func run() throws {
    var options = looking.census
    options.transports = [.tcp]
    options.readsUnixSockets = false
    options.readsDetached = false
    let looks = try CensusPair.take(options, over: over)
    let matching = PortBudget.all(in: looks.census, since: looks.earlier).filter { isWanted($0, in: looks.census) }
    let shown = all ? matching : Array(matching.prefix(Int(clamping: top)))
    let report = PortsReport(looks: looks, budgets: shown, matching: matching.count, over: over)
    if looking.json {
      PortsJSON.write(report)
    } else {
      Output.write(PortsText(paper: looking.paper).report(report))
      looks.complain()
    }
  }

  private func isWanted(_ budget: PortBudget, in census: Census) -> Bool {
    if budget.route.isAnyOther, !to.isEmpty || !port.isEmpty { return false }
    if !to.isEmpty, !to.contains(where: { $0.contains(budget.route.destination) }) { return false }
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
