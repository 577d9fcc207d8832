/// The sockets of the last ten minutes, second by second: in memory, until a critical finding begins.
///
/// Its looks read no owners and no details, so that they cost little.
package struct SecondRing: Sendable {
  /// The time that it goes back, in milliseconds.
  package static let reach: Int64 = 600_000
  /// The most intervals that it keeps, the latest.
  static let most = 100_000

  private struct Ended: Sendable {
    var span: Spans.Open
    var last: Int64
    var ending: Spans.Ending
  }

  private var spans = Spans()
  private var ended: [Ended] = []
  private var first = 0
  private var begun: Int64?
  private var latest: Int64 = 0
  private var looks: Int64 = 0
  private var lost: Int64 = 0
  /// The moment up to which the intervals that ended are in a file.
  private var written: Int64 = .min

  package init() {}

  /// The data that its looks read.
  package static func options(_ all: Census.Options) -> Census.Options {
    var options = all
    options.readsUnixSockets = false
    options.readsDetails = false
    options.readsHolders = false
    options.readsDetached = false
    options.readsLimits = false
    options.readsAllNamespaces = false
    return options
  }

  /// Takes what a look saw.
  package mutating func look(_ census: Census) {
    let now = Int64(census.when.monotonic / 1_000_000)
    let changes = spans.look(census.observed, at: now)
    for one in changes.closed { ended.append(Ended(span: one.span, last: latest, ending: one.ending)) }
    while first < ended.count, now - ended[first].last > Self.reach { first += 1 }
    if ended.count - first > Self.most {
      lost += Int64(ended.count - first - Self.most)
      first = ended.count - Self.most
    }
    if first > 4096, first > ended.count / 2 {
      ended.removeFirst(first)
      first = 0
    }
    begun = begun ?? now
    latest = now
    looks += 1
  }

  /// The number of intervals that it has.
  var count: Int { ended.count - first + spans.open.count }

  /// Writes it to a file: the intervals that ended since it was last written, and those that have not.
  mutating func write(
    look: Int64, wall: Int64, monotonic: Int64, _ rows: inout HistoryRows
  ) throws(Database.Failure) {
    guard let begun else { return }
    func time(_ moment: Int64) -> Int64 { wall - (monotonic - moment) }
    let since = max(begun, monotonic - Self.reach)
    let database = rows.database
    try database.prepare("INSERT INTO ring(look, since, until, looks, lost) VALUES(?,?,?,?,?)").run([
      .number(look), .number(time(since)), .number(time(latest)), .number(looks), .number(lost),
    ])
    let ring = database.lastRow
    let put = try database.prepare("INSERT INTO second VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?)")
    func row(_ span: Spans.Open, _ last: Int64, _ ending: Spans.Ending, _ rows: inout HistoryRows)
      throws(Database.Failure)
    {
      let socket = span.observed
      let local = try rows.text(NetworkAddress(socket.local, isIPv6: socket.isIPv6).description)
      let remote = try rows.text(NetworkAddress(socket.remote, isIPv6: socket.isIPv6).description)
      try put.run([
        .number(ring), .bits(socket.key.identity), .number(Int64(socket.kind)), .number(socket.isIPv6 ? 1 : 0),
        .number(local), .number(Int64(socket.localPort)), .number(remote), .number(Int64(socket.remotePort)),
        .number(Int64(socket.state.rawValue)), .number(time(span.seen)), .number(time(last)),
        .number(ending.rawValue), .number(Int64(socket.receiveQueue)), .number(Int64(socket.sendQueue)),
      ])
    }
    for one in ended[first...] where one.last > written { try row(one.span, one.last, one.ending, &rows) }
    for span in spans.open.values.sorted(by: { $0.row < $1.row }) { try row(span, latest, .open, &rows) }
    written = latest
  }
}
