import ArgumentParser
import FinDoctor
import FinTerminal
import Glibc

/// `fin list`: every socket of the machine, with its owner and how long it has been in its state.
struct ListCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list",
    abstract: "List every socket with its owner and how long it has been in its state.",
    discussion: """
      Lists the TCP, UDP and MPTCP sockets of every program, in every network namespace that may be entered. Sockets \
      without a descriptor are included: connections that wait for accept, connections that their program has \
      closed, and TIME-WAIT entries. So are descriptors whose socket is in no table of the kernel, because the \
      connection was reset or refused, or never made. Their state is shown as DETACHED; other tools do not show \
      them.

      An MPTCP connection is listed once as mptcp, as its program sees it, and once as tcp for each of its subflows, \
      as ss -M and ss -t do. The findings of fin check count it once.

      SINCE is how long a socket has been in its state, as far as the kernel can tell: two bounds (3.2s-41min), or one \
      time when they are close; >3.2s is at least, <41min at most.

      The kernel does not record which process closed a connection. With --over, fin takes two snapshots and shows \
      which process held each closing or TIME-WAIT socket in the first: was nginx[812] fd 5.

      This needs no root. Without root, the owners of other users' sockets are missing, and standard error says how \
      many processes could not be read.

      Examples:
        fin list --state close-wait --sort since     not closed, the oldest first
        fin list nginx 812                           of all nginx, and process 812
        fin list --port 443 --fields state,remote,idle,owner
        fin list --address 10.0.0.0/8 --json

      Fields:
      \(ListField.allCases.map { "  \($0.rawValue.padded(to: 17))\($0.meaning)" }.joined(separator: "\n"))

      --json prints one object. Its schema only grows by new keys:
        version      1; any other change gets a new number
        fin          the version of this command
        taken        the time of the snapshot, in milliseconds since 1970
        namespaces   a list of {inode, name, own}
        hidden       a list of sentences about what could not be seen
        sockets      a list of:
          kind       tcp, udp, mptcp, unix-stream, unix-datagram, unix-records
          state, family (4 or 6), inode, cookie (hexadecimal, a string)
          localAddress, localPort, remoteAddress, remotePort; interface
                     if it is bound to one. Unix: name, peerInode
          receiveQueue, sendQueue; for mptcp, receiveQueue is the memory of
                     the unread data
          timer      {name, milliseconds, count} if one runs
          since      {atLeastMilliseconds, atMostMilliseconds}; without
                     the second if nothing bounds it, absent if unknown
          idleMilliseconds, waitingForAccept, user, cgroup, namespace
          shutdown   1 receiving, 2 sending, 3 both
          memory     bytes: received, receiveLimit, sending, sendLimit,
                     reserved, queued, options, backlog; and drops
          tcp        TCP's counters; bytes unless the name says otherwise
          mptcp      MPTCP's counters, likewise; its token, paths (the number
                     of subflows), plainTCP if the peer has no MPTCP
          pathOf     for a subflow, the token of its connection, if both
                     kinds are listed
          holders    a list of {pid, fd, program, script, unit, container}
          formerHolder  with --over, for a socket without a holder: the
                     same fields as one of holders
          published  with --fields site, phase or deadline, if the program
                     publishes its ledger: {file, line, phase,
                     intent, deadlineMilliseconds, openedMilliseconds}
        A value that the kernel does not report is absent.

      Exit status:
        0    listed, also if nothing matched
        64   the command was not understood
        71   the kernel could not be queried
      """)

  @Argument(help: ArgumentHelp("Only sockets of these processes, by pid, name or script.", valueName: "pid|name"))
  var programs: [ProgramName] = []

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp("Only sockets in these states; also \(StateName.words).", valueName: "state"))
  var state: [StateName] = []

  @Option(help: ArgumentHelp("Only sockets with this address, or in this range: 10.0.0.0/8.", valueName: "address"))
  var address: [AddressRange] = []

  @Option(help: ArgumentHelp("Only sockets with this local or remote port.", valueName: "port"))
  var port: [UInt16] = []

  @Flag(help: "TCP sockets. Without --tcp, --udp, --mptcp and --unix: TCP, UDP and MPTCP.")
  var tcp = false

  @Flag(help: "UDP sockets.")
  var udp = false

  @Flag(help: "MPTCP sockets; their subflows are TCP sockets.")
  var mptcp = false

  @Flag(help: "Unix sockets.")
  var unix = false

  @Option(
    help: ArgumentHelp("Sort by this field: names ascending, quantities and times descending.", valueName: "field"))
  var sort = ListField.owner

  @Flag(help: "Reverse the order.")
  var reverse = false

  @Option(help: ArgumentHelp("Show these fields, separated by commas.", valueName: "field,…"))
  var fields: FieldNames?

  @Flag(help: "Do not shorten lines to 100 columns.")
  var wide = false

  @Flag(name: .customLong("no-header"), help: "Print no headings.")
  var noHeader = false

  @Option(help: ArgumentHelp("Take two snapshots this far apart: 10s, 500ms, 2min.", valueName: "time"))
  var over: TimeSpan?

  @OptionGroup var looking: LookOptions

  func run() throws {
    var options = looking.census
    if [tcp, udp, mptcp, unix].contains(true) {
      options.transports = Set([(tcp, Transport.tcp), (udp, .udp), (mptcp, .mptcp)].filter(\.0).map(\.1))
    }
    options.readsUnixSockets = unix
    // The kernel computes it for each socket, so it is requested only where it is shown.
    options.readsMemory = looking.json || ([sort] + (fields?.names ?? [])).contains(where: \.needsMemory)
    let looks = try CensusPair.take(options, over: over)
    var census = looks.census
    if let earlier = looks.earlier { census.recall(from: earlier) }
    if ([sort] + (fields?.names ?? [])).contains(where: \.isPublished) {
      census.readLedgers(of: census.holders.ledgers.map(\.pid))
    }
    let listing = Listing(census)
    var rows = chosen(listing)
    ListOrder.sort(&rows, by: sort, reversed: reverse, of: listing)
    if looking.json {
      ListJSON.write(rows, of: listing, to: Output.write)
    } else {
      print(rows, of: listing)
      looks.complain()
    }
  }

  private func chosen(_ listing: Listing) -> [ListedSocket] {
    let census = listing.census
    let filter = ListFilter(states: state, programs: programs, addresses: address, ports: port)
    var rows: [ListedSocket] = []
    rows.reserveCapacity(census.sockets.count + census.unixSockets.count + census.detached.count)
    rows += census.sockets.indices.lazy.map { .inet($0) }
    rows += census.unixSockets.indices.lazy.map { .unix($0) }
    rows += census.detached.indices.lazy.map { .detached($0) }
    if filter.isEmpty { return rows }
    return rows.filter { filter.allows($0, in: listing) }
  }

  private func print(_ rows: [ListedSocket], of listing: Listing) {
    var columns = ListField.usual
    if let fields {
      columns = fields.names
    } else {
      // A column with the same value on every line is left out.
      let first = rows.lazy.compactMap(listing.namespace).first
      if rows.contains(where: { row in listing.namespace(row).map { $0 != first } ?? false }) {
        columns.insert(.namespace, at: 0)
      }
      if [tcp, udp, mptcp, unix].count(where: { $0 }) != 1 { columns.insert(.kind, at: 0) }
    }
    var table = ListTable(columns, headings: !noHeader)
    table.append(rows, of: listing)
    table.write(page: wide ? nil : 100, to: Output.write)
  }

}

/// A list of fields, separated by commas.
struct FieldNames: ExpressibleByArgument {
  let names: [ListField]

  init?(argument: String) {
    let words = argument.split(separator: ",")
    names = words.compactMap { ListField(rawValue: String($0)) }
    guard !names.isEmpty, names.count == words.count else { return nil }
  }
}

extension String {
  fileprivate func padded(to width: Int) -> String { Terminal.pad(self, to: width) }
}
