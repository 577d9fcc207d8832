import ArgumentParser
import FinDoctor

/// `fin listeners`: who waits in each listener's queue, for how long, what was turned away, and who should accept.
struct ListenersCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "listeners",
    abstract: "See each listener's queue: who waits, since when, what was turned away, and who should accept.",
    discussion: """
      TCP listeners, and Unix ones of streams and records; the worst first. What is not as it should be is explained \
      below its line, with --details every listener is.

        QUEUE   clients that wait for accept / how many may; full when more wait than that. What limits it is what the
                program gave to listen, or the namespace's somaxconn
        OLDEST  how long the first of them has waited: one time, two bounds (3.2s-41s), >3.2s at least, <41s at most.
                Unix sockets keep no time
        GONE    how many of those that wait have already given up
        SYN     handshakes that the peers have not finished
        DROPS   attempts that were turned away since it listens; with --over, /S is how many a second now
        FDS     descriptors of the program that are open / that it may have; of the fullest, if several accept
        PROGRAM who holds it; +2 when two more processes do (workers)

      Listeners of one address with SO_REUSEPORT have a line each; the kernel does not say in whose queue a client \
      waits, so that OLDEST and GONE may be the whole group's.

      Who accepts is read from epoll sets and from the system calls that threads are in, poll and select among them.

      Examples:
        fin listeners --over 10s        with the drops of ten seconds
        fin listeners nginx --details   all there is to say about every nginx
        fin listeners --port 443
        fin listeners --top 5           the worst five

      --json prints one object, whose schema only ever grows by new keys:
        version      1; any other change gets a new number
        fin          the version of this command
        taken        when, in milliseconds since 1970
        hidden       what could not be seen, one sentence each
        matching     how many listeners there are; the list may be shorter
        listeners    a list, the worst first:
          kind       tcp, unix-stream, unix-records
          address, port; of a Unix one: name, if it has one
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
                     way: epoll, blocked, ring, nobody, unknown
          descriptors   a list of {pid, used, limit}

      Exit status:
        0    shown, also if nothing matched
        64   the command was not understood
        71   the kernel could not be asked
      """)

  @Argument(help: ArgumentHelp("Only listeners of these processes, by number, name or script.", valueName: "pid|name"))
  var programs: [ProgramName] = []

  @Option(help: ArgumentHelp("Only on this address, or range: 10.0.0.0/8.", valueName: "address"))
  var address: [AddressRange] = []

  @Option(help: ArgumentHelp("Only on this port.", valueName: "port"))
  var port: [UInt16] = []

  @Flag(help: "TCP listeners. Without any of these two: both.")
  var tcp = false

  @Flag(help: "Unix listeners.")
  var unix = false

  @Option(help: ArgumentHelp("Look twice, so far apart: 10s, 500ms, 2min.", valueName: "time"))
  var over: TimeSpan?

  @Option(help: ArgumentHelp("Show so many, the worst ones; without it all.", valueName: "number"))
  var top: UInt?

  @Flag(help: "Explain every listener.")
  var details = false

  @OptionGroup var looking: LookOptions

  func run() throws {
    var options = looking.census
    options.transports = tcp || !unix ? [.tcp, .mptcp] : []
    options.readsUnixSockets = unix || !tcp
    options.readsDetached = false
    let looks = try Looks.take(options, over: over)
    var census = looks.census
    // Who accepts is asked for those that will be shown: an epoll set may be long.
    let matching = ListenerPanel.all(in: census, since: looks.earlier).filter { isWanted($0, in: census) }
    let count = Int(clamping: top ?? .max)
    census.watch(Set(matching.prefix(count).flatMap { $0.holders.map(\.pid) }))
    let panels = ListenerPanel.all(in: census, since: looks.earlier).filter { isWanted($0, in: census) }.prefix(count)
    if looking.json {
      ListenersJSON.write(Array(panels), matching: matching.count, census)
    } else {
      let text = ListenersText(
        paper: looking.paper, census: census, isDetailed: details, isSecondLook: over != nil)
      Output.write(text.report(Array(panels), matching: matching.count))
      looks.complain()
    }
  }

  private func isWanted(_ panel: ListenerPanel, in census: Census) -> Bool {
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
