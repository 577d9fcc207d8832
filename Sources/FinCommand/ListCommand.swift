import ArgumentParser
import FinDoctor
import Glibc

/// `fin list`: every socket of the machine, with who holds it and since when.
struct ListCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list",
    abstract: "List every socket, who holds it, and how long it has been in its state.",
    discussion: """
      TCP, UDP and MPTCP sockets of every program, in every network namespace that may be entered. Also those without a \
      descriptor: connections that wait for accept, that their program has closed, that rest in TIME-WAIT. And the \
      other way round: descriptors whose socket no table of the kernel lists, because the connection was reset or \
      refused, or never made. Their state here is DETACHED; other tools do not show them.

      A connection of MPTCP is listed once for itself, as its program has it, and once as tcp for each of its paths: as \
      ss -M and ss -t do. The findings of fin check count it once.

      SINCE is how long a socket has been in its state, as far as the kernel can tell: between two bounds, \
      3.2s-41min, or one time when they are close; >3.2s is at least, <41min at most.

      The kernel forgets who closed a connection. --over looks twice, and names who held what rests in TIME-WAIT, or \
      still finishes, by the second time: was nginx[812] fd 5.

      Nothing here needs root. Without it the owners of other users' sockets are missing, and standard error says how \
      many processes could not be read.

      Examples:
        fin list --state close-wait --sort since     who does not close, the oldest first
        fin list nginx 812                           of every nginx, and of process 812
        fin list --port 443 --fields state,remote,idle,owner
        fin list --address 10.0.0.0/8 --json

      Fields:
      \(ListField.allCases.map { "  \($0.rawValue.padded(to: 17))\($0.meaning)" }.joined(separator: "\n"))

      --json prints one object, whose schema only ever grows by new keys:
        version      1; any other change gets a new number
        fin          the version of this command
        taken        when, in milliseconds since 1970
        namespaces   a list of {inode, name, own}
        hidden       what could not be seen, one sentence each
        sockets      a list, of which each has
          kind       tcp, udp, mptcp, unix-stream, unix-datagram, unix-records
          state, family (4 or 6), inode, cookie (hexadecimal, a string)
          localAddress, localPort, remoteAddress, remotePort; interface
                     if it is bound to one. Unix: name, peerInode
          receiveQueue, sendQueue; the memory of what was
                     not read, of mptcp
          timer      {name, milliseconds, count} if one runs
          since      {atLeastMilliseconds, atMostMilliseconds}; without
                     the second if nothing bounds it, absent if unknown
          idleMilliseconds, waitingForAccept, user, cgroup, namespace
          shutdown   1 receiving, 2 sending, 3 both
          memory     bytes: received, receiveLimit, sending, sendLimit,
                     reserved, queued, options, backlog; and drops
          tcp        what TCP counts; bytes unless the name says else
          mptcp      what MPTCP counts, likewise; its token, how many
                     paths, plainTCP if the other side has no MPTCP
          pathOf     of a path, the token of its connection, if both
                     kinds are listed
          holders    a list of {pid, fd, program, script, unit, container}
          formerHolder  with --over, of what nobody holds any more: the
                     same as one of holders
          published  with --fields site, phase or deadline, of a program
                     that publishes its ledger: {file, line, phase,
                     purpose, deadlineMilliseconds, openedMilliseconds}
        What the kernel does not tell is absent.

      Exit status:
        0    listed, also if nothing matched
        64   the command was not understood
        71   the kernel could not be asked
      """)

  @Argument(help: ArgumentHelp("Only sockets of these processes, by number, name or script.", valueName: "pid|name"))
  var programs: [ProgramName] = []

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp("Only in these states; also \(StateName.words).", valueName: "state"))
  var state: [StateName] = []

  @Option(help: ArgumentHelp("Only with this local or remote address, or a range: 10.0.0.0/8.", valueName: "address"))
  var address: [AddressRange] = []

  @Option(help: ArgumentHelp("Only with this local or remote port.", valueName: "port"))
  var port: [UInt16] = []

  @Flag(help: "TCP sockets. Without any of these four: TCP, UDP and MPTCP.")
  var tcp = false

  @Flag(help: "UDP sockets.")
  var udp = false

  @Flag(help: "MPTCP sockets; their paths are TCP sockets.")
  var mptcp = false

  @Flag(help: "Unix sockets.")
  var unix = false

  @Option(help: ArgumentHelp("Sort by this field: names upwards, quantities and times downwards.", valueName: "field"))
  var sort = ListField.owner

  @Flag(help: "Sort the other way.")
  var reverse = false

  @Option(help: ArgumentHelp("Show these fields, separated by commas.", valueName: "field,…"))
  var fields: FieldNames?

  @Flag(help: "Lines as long as they need to be, and nothing cut. Without it, 100 columns.")
  var wide = false

  @Flag(name: .customLong("no-header"), help: "No headings.")
  var noHeader = false

  @Option(help: ArgumentHelp("Look twice, so far apart: 10s, 500ms, 2min.", valueName: "time"))
  var over: TimeSpan?

  @OptionGroup var looking: LookOptions

  func run() throws {
    var options = looking.census
    if [tcp, udp, mptcp, unix].contains(true) {
      options.transports = Set([(tcp, Transport.tcp), (udp, .udp), (mptcp, .mptcp)].filter(\.0).map(\.1))
    }
    options.readsUnixSockets = unix
    // The kernel counts it up for each socket, so only where it is shown.
    options.readsMemory = looking.json || ([sort] + (fields?.names ?? [])).contains(where: \.needsMemory)
    let looks = try Looks.take(options, over: over)
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
      // What is the same on every line says nothing.
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

/// Fields separated by commas.
struct FieldNames: ExpressibleByArgument {
  let names: [ListField]

  init?(argument: String) {
    let words = argument.split(separator: ",")
    names = words.compactMap { ListField(rawValue: String($0)) }
    guard !names.isEmpty, names.count == words.count else { return nil }
  }
}

extension String {
  fileprivate func padded(to width: Int) -> String { Paper.pad(self, to: width) }
}
