import ArgumentParser
import FinDoctor
import FinTerminal
import Glibc

/// `fin list`: every socket of the machine, with its owner and how long it has been in its state.
struct ListCommand: DocumentedCommand {
  static let configuration = CommandConfiguration(
    commandName: "list",
    abstract: "List every socket with its owner and how long it has been in its state.")

  @Argument(
    help: ArgumentHelp("Only sockets of these processes, by pid, name or script.", valueName: "pid|name"),
    completion: Completions.programs)
  var programs: [ProgramName] = []

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp("Only sockets in these states; also \(StateName.words).", valueName: "state"),
    completion: .list(StateName.all), transform: StateName.init(parsing:))
  var state: [StateName] = []

  @Option(help: ArgumentHelp("Only sockets with this address, or in this range: 10.0.0.0/8.", valueName: "address"))
  var address: [AddressRange] = []

  @Option(
    help: ArgumentHelp("Only sockets with this local or remote port.", valueName: "port"),
    completion: Completions.ports)
  var port: [UInt16] = []

  @Flag(help: "TCP sockets. Without --tcp, --udp, --mptcp and --unix: TCP, UDP and MPTCP.")
  var tcp = false

  @Flag(help: "UDP sockets.")
  var udp = false

  @Flag(help: "MPTCP sockets; their subflows are TCP sockets.")
  var mptcp = false

  @Flag(help: "Unix sockets.")
  var unix = false

  @Flag(help: "Also sockets of other kinds: raw, packet, netlink and more, with their owners.")
  var others = false

  @Option(
    help: ArgumentHelp("Sort by this field: names ascending, quantities and times descending.", valueName: "field"))
  var sort = ListField.owner

  @Flag(help: "Reverse the order.")
  var reverse = false

  @Option(
    help: ArgumentHelp("Show these fields, separated by commas.", valueName: "field,…"),
    transform: FieldNames.init(parsing:))
  var fields: FieldNames?

  @Option(help: ArgumentHelp("Show at most this many sockets, the first in the order.", valueName: "count"))
  var limit: UInt?

  @Flag(help: "Do not shorten lines to the width of the terminal.")
  var wide = false

  @Flag(name: .customLong("no-header"), help: "Print no headings.")
  var noHeader = false

  @Option(help: ArgumentHelp("Take two snapshots this far apart: 10s, 500ms, 2min.", valueName: "time"))
  var over: TimeSpan?

  @OptionGroup var namespace: NamespaceOption

  @OptionGroup var source: SourceOption

  @OptionGroup var looking: CensusOptions

  @OptionGroup var output: OutputOptions

  func run() throws {
    var options = looking.census
    if [tcp, udp, mptcp, unix].contains(true) {
      options.transports = Set([(tcp, Transport.tcp), (udp, .udp), (mptcp, .mptcp)].filter(\.0).map(\.1))
    }
    options.readsUnixSockets = unix
    options.interfaceNames = Set(address.compactMap(\.interfaceName))
    // The kernel computes it for each socket, so it is requested only where it is shown.
    options.readsMemory = output.json || ([sort] + (fields?.names ?? [])).contains(where: \.needsMemory)
    var looks = try CensusPair.take(options, over: over, from: source)
    if let earlier = looks.earlier { looks.census.recall(from: earlier) }
    if looks.record == nil, ([sort] + (fields?.names ?? [])).contains(where: \.isPublished) {
      looks.census.readLedgers(of: looks.census.holders.ledgers.map(\.pid))
    }
    let census = looks.census
    let listing = Listing(census)
    let places = try namespace.places(in: census)
    try census.require(interfaces: options.interfaceNames, in: places)
    var rows = chosen(listing, in: places)
    ListOrder.sort(&rows, by: sort, reversed: reverse, of: listing)
    let matching = rows.count
    if let limit, limit < rows.count { rows.removeSubrange(Int(limit)...) }
    if output.json {
      ListJSON.write(rows, matching: matching, of: listing, to: Output.write)
    } else {
      print(rows, of: listing)
      if rows.count < matching {
        let left = Phrase.number(matching - rows.count)
        Output.complain("\(Phrase.noun(matching, "socket")), \(left) not shown: omit --limit to show them")
      }
      looks.complain()
      if let sentence = unlisted(in: census) { Output.complain(sentence) }
    }
  }

  private func chosen(_ listing: Listing, in places: Set<Int>?) -> [ListedSocket] {
    let census = listing.census
    let filter = ListFilter(
      states: state, programs: programs, addresses: address, ports: port, namespaces: places)
    var rows: [ListedSocket] = []
    rows.reserveCapacity(census.sockets.count + census.unixSockets.count + census.detached.count)
    rows += census.sockets.indices.lazy.map { .inet($0) }
    rows += census.unixSockets.indices.lazy.map { .unix($0) }
    rows += census.detached.indices.lazy.map { .detached($0) }
    if others { rows += census.otherSockets.indices.lazy.map { .other($0) } }
    if filter.isEmpty { return rows }
    return rows.filter { filter.allows($0, in: listing) }
  }

  /// The sentence about sockets that are left out: `8 sockets of other kinds: NETLINK, RAW`. Shown where all sockets
  /// are asked for; on most machines a few of these exist, and a list of selected sockets is not expected to have them.
  private func unlisted(in census: Census) -> String? {
    let isSelection = !(programs.isEmpty && state.isEmpty && address.isEmpty && port.isEmpty)
    if others || isSelection || [tcp, udp, mptcp, unix].contains(true) || census.otherSockets.isEmpty { return nil }
    let count = census.otherSockets.count
    let kinds = Set(census.otherSockets.map(\.kind)).sorted().joined(separator: ", ")
    return "\(count) \(count == 1 ? "socket" : "sockets") of other kinds: \(kinds); --others lists them"
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
    table.write(page: wide ? nil : output.terminal.page, to: Output.write)
  }

}

/// A list of fields, separated by commas.
struct FieldNames {
  let names: [ListField]

  /// - Throws: `ValidationError` with the nearest field and all of them.
  init(parsing text: String) throws {
    names = try text.split(separator: ",", omittingEmptySubsequences: false).map { word in
      guard let field = ListField(rawValue: String(word)) else {
        throw unknownWord(String(word), among: ListField.allCases.map(\.rawValue), "field")
      }
      return field
    }
  }
}
