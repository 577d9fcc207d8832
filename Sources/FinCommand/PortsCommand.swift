import ArgumentParser
import FinDoctor

/// `fin ports`: how many local ports are left for each destination, what took the others, and for how long they last.
struct PortsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ports",
    abstract: "See how many local ports are left for each destination, what took the others, and how long they last.",
    discussion: """
      A connection needs a local port, which connect chooses from ip_local_port_range less the reserved ones. One port \
      serves one connection for each destination, so that every destination has a budget of its own, and connect fails \
      with EADDRNOTAVAIL when it is used up. The fullest comes first.

        #  connected: from SYN-SENT on
        =  TIME-WAIT: closed by this side first, and resting for 60 s
        +  bound: taken by bind, for a listener, before a connect, or for nothing yet
        .  free

      What is bound is missing for every destination: bind takes a port from everybody, unless the program sets \
      IP_BIND_ADDRESS_NO_PORT before. The kernel does not keep who chose the port of a connection; which ones bind \
      chose is told from which ports they are, and said to be probable. TIME-WAIT entries that connect may take all the \
      same (tcp_tw_reuse) are counted as taken, and named.

      --over looks twice. What is there at the second look and was not at the first was opened in between: the rate is \
      that at least, and at most what the kernel counts of all connects less what went elsewhere. How long the ports \
      last is told for that rate, with the ports that come back from TIME-WAIT meanwhile.

      Examples:
        fin ports                              the ten fullest
        fin ports --over 10s api               of one program, with rates
        fin ports --to 10.0.0.0/8 --port 5432  the way to these databases

      --json prints one object, whose schema only ever grows by new keys:
        version      1; any other change gets a new number
        fin          the version of this command
        taken        when, in milliseconds since 1970
        overMilliseconds  how far two looks were apart; absent after one
        hidden       what could not be seen, one sentence each
        namespaces   a list of {inode, name, own, firstPort, lastPort,
                     reservedPorts, capacity, timeWaitReuse}
        matching     how many budgets there are; the list may be shorter
        budgets      a list, the fullest first:
          namespace  its inode
          source, destination, port   absent for all destinations that
                     have no connection yet
          capacity, connected, timeWait, timeWaitReusable, bound,
          boundOnSource, boundProbably, free, percent (taken)
          users, boundBy   lists of {pid, program, script, unit,
                     container, ports}; without pid: not known
          closedPerSecond      out of TIME-WAIT, over the last minute
          sustainedPerSecond   what could go on for ever
          pace       {openedPerSecondAtLeast, openedPerSecondAtMost,
                     growth, exhaustion {atLeastMilliseconds,
                     atMostMilliseconds}}; after two looks. Without
                     exhaustion, the ports last
          remedies   a list of {id, name, code, fin}, as of fin check

      Exit status:
        0    shown, also if nothing matched
        64   the command was not understood
        71   the kernel could not be asked
      """)

  @Argument(
    help: ArgumentHelp("Only routes that these processes use, by number, name or script.", valueName: "pid|name"))
  var programs: [ProgramName] = []

  @Option(help: ArgumentHelp("Only to this address, or range: 10.0.0.0/8.", valueName: "address"))
  var to: [AddressRange] = []

  @Option(help: ArgumentHelp("Only to this port.", valueName: "port"))
  var port: [UInt16] = []

  @Option(help: ArgumentHelp("Look twice, so far apart: 10s, 500ms, 2min.", valueName: "time"))
  var over: TimeSpan?

  @Option(help: ArgumentHelp("Show so many.", valueName: "number"))
  var top: UInt = 10

  @Flag(help: "Show all.")
  var all = false

  @OptionGroup var looking: LookOptions

  func run() throws {
    var options = looking.census
    options.transports = [.tcp]
    options.readsUnixSockets = false
    options.readsDetached = false
    let looks = try Looks.take(options, over: over)
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

/// What `fin ports` has to say.
struct PortsReport {
  var looks: Looks
  var budgets: [PortBudget]
  var matching: Int
  var over: TimeSpan?

  var census: Census { looks.census }
}
