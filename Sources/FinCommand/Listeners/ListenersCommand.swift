import ArgumentParser
import FinDoctor
import FinTerminal

/// `fin listeners`: shows each listener's accept queue: the waiting clients, their wait, the drops, and who accepts.
struct ListenersCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "listeners",
    abstract: "Show each listener's accept queue: waiting clients, their wait, drops, and the programs that accept.",
    discussion: """
      TCP listeners, and Unix listeners of streams and records; the worst first. A problem is explained below its \
      line; --details explains every listener.

        QUEUE   clients that wait for accept / their limit; full when more wait.
                The limit comes from the program's call of listen, or from the
                namespace's somaxconn
        OLDEST  how long the first of them has waited: one time, two bounds
                (3.2s-41s), >3.2s at least, <41s at most. Unix sockets keep no
                time
        GONE    the number of waiting clients that have already given up
        SYN     handshakes that the peers have not finished
        DROPS   attempts dropped since listen; with --over, /S is the current
                rate per second
        FDS     open descriptors of the program / its limit; of the fullest
                program, if several accept
        PROGRAM the holder; +2 if two more processes hold it (workers)

      Listeners of one address with SO_REUSEPORT have a line each. The kernel does not say in which of their queues a \
      client waits, so OLDEST and GONE may be those of the whole group.

      The programs that accept are found in epoll sets and in the system calls that threads are in, poll and select \
      among them.

      Examples:
        fin listeners --over 10s        with the drops of ten seconds
        fin listeners nginx --details   everything about every nginx
        fin listeners --port 443
        fin listeners --top 5           the worst five

      --json prints one object. Its schema only grows by new keys:
        version      1; any other change gets a new number
        fin          the version of this command
        taken        the time of the snapshot, in milliseconds since 1970
        hidden       a list of sentences about what could not be seen
        matching     the number of listeners that match; the list may be shorter
        listeners    a list, the worst first:
          kind       tcp, unix-stream, unix-records
          address, port; for a Unix listener: name, if it has one
          namespace  its inode
          inode, cookie (hexadecimal, a string)
          severity   critical, warning, info; absent if all is well
          waiting, limit, full, limitedBy (backlog, somaxconn, unknown)
          oldest     {atLeastMilliseconds, atMostMilliseconds}
          gone, ofGroup (oldest and gone are the whole group's), group
          unfinished, unfinishedAgain (answered more than once)
          drops, recentDrops, dropsPerSecond   the last two with --over
          holders    a list of {pid, program, script, unit, container, fd}
          acceptors  a list of {pid, way, epoll, events, thread, call};
                     way: epoll, blocked, ring, unattended, unknown
          descriptors   a list of {pid, used, limit}

      Exit status:
        0    shown, also if nothing matched
        64   the command was not understood
        71   the kernel could not be queried
      """)

  @Argument(help: ArgumentHelp("Only listeners of these processes, by pid, name or script.", valueName: "pid|name"))
  var programs: [ProgramName] = []

  @Option(help: ArgumentHelp("Only listeners on this address, or in this range: 10.0.0.0/8.", valueName: "address"))
  var address: [AddressRange] = []

  @Option(help: ArgumentHelp("Only listeners on this port.", valueName: "port"))
  var port: [UInt16] = []

  @Flag(help: "TCP listeners. Without --tcp and --unix: both.")
  var tcp = false

  @Flag(help: "Unix listeners.")
  var unix = false

  @Option(help: ArgumentHelp("Take two snapshots this far apart: 10s, 500ms, 2min.", valueName: "time"))
  var over: TimeSpan?

  @Option(help: ArgumentHelp("Show this many, the worst; by default, all.", valueName: "number"))
  var top: UInt?

  @Flag(help: "Explain every listener.")
  var details = false

  @OptionGroup var looking: LookOptions

  func run() throws {
    var options = looking.census
    options.transports = tcp || !unix ? [.tcp, .mptcp] : []
    options.readsUnixSockets = unix || !tcp
    options.readsDetached = false
    let looks = try CensusPair.take(options, over: over)
    var census = looks.census
    // The processes that accept are examined only for the listeners to show: an epoll set may be long.
    let matching = ListenerOverview.all(in: census, since: looks.earlier).filter { isWanted($0, in: census) }
    let count = Int(clamping: top ?? .max)
    census.watch(Set(matching.prefix(count).flatMap { $0.holders.map(\.pid) }))
    let panels = ListenerOverview.all(in: census, since: looks.earlier).filter { isWanted($0, in: census) }.prefix(
      count)
    if looking.json {
      ListenersJSON.write(Array(panels), matching: matching.count, census)
    } else {
      let text = ListenersText(
        paper: looking.paper, census: census, isDetailed: details, isSecondLook: over != nil)
      Output.write(text.report(Array(panels), matching: matching.count))
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
    return address.isEmpty || address.contains { $0.contains(census.sockets[place].localAddress) }
  }
}
