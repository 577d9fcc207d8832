/// A listener as the metrics name it: its program and its address.
struct ListenerLabel: Hashable, Comparable, Sendable {
  var program: ProgramLabel
  var listener: String

  static let other = ListenerLabel(program: .other, listener: ProgramLabel.other.program)

  var labels: [String] { program.labels + [listener] }

  static func < (left: ListenerLabel, right: ListenerLabel) -> Bool {
    left.program != right.program ? left.program < right.program : left.listener < right.listener
  }
}

/// The sums of all listeners of one program and address.
struct ListenerTally {
  var queue = 0
  var limit = 0
  var wait: UInt64?
  var abandoned = 0
  var handshakes = 0
  /// The drops of each TCP listener; none of a Unix listener, which drops no client.
  var drops: [(cookie: UInt64, count: UInt32)] = []

  mutating func add(_ other: ListenerTally) {
    queue += other.queue
    limit += other.limit
    if let wait = other.wait { self.wait = max(self.wait ?? 0, wait) }
    abandoned += other.abandoned
    handshakes += other.handshakes
    drops += other.drops
  }

  /// The weight by which listeners are ranked: waiting clients first, then those who wait longest.
  var weight: Double {
    Double(queue + handshakes) * 1e6 + Double(wait ?? 0) + Double(drops.reduce(0) { $0 + UInt64($1.count) })
  }

  func samples(_ label: ListenerLabel, dropped: UInt64?) -> [MetricSample] {
    var all = [
      MetricSample(.listenerQueue, label.labels, .count(queue)),
      MetricSample(.listenerLimit, label.labels, .count(limit)),
    ]
    if let wait { all.append(MetricSample(.listenerWait, label.labels, .number(Double(wait) / 1000))) }
    if abandoned > 0 { all.append(MetricSample(.listenerAbandoned, label.labels, .count(abandoned))) }
    if handshakes > 0 { all.append(MetricSample(.listenerHandshakes, label.labels, .count(handshakes))) }
    if !drops.isEmpty, let dropped {
      all.append(MetricSample(.listenerDropped, label.labels, .count(Int(clamping: dropped))))
    }
    return all
  }

  /// The listeners of a census. A Unix listener is one of them only while clients wait: many have generated names.
  static func all(_ index: CensusIndex, _ tallies: inout ProgramTallies) -> [ListenerLabel: ListenerTally] {
    let census = index.census
    var all: [ListenerLabel: ListenerTally] = [:]
    for panel in ListenerOverview.counts(in: index) {
      let name: String
      var tally = ListenerTally()
      switch panel.place {
      case .inet(let row):
        name = census.sockets[row].localAddress.with(port: census.sockets[row].localPort)
        if let count = census.sockets[row].memory.drops { tally.drops = [(census.sockets[row].cookie, count)] }
      case .unix(let row):
        guard panel.waiting > 0 else { continue }
        name = census.name(of: census.unixSockets[row]) ?? UnitName.none
      }
      tally.queue = panel.waiting
      tally.limit = panel.limit
      tally.wait = panel.waiting > 0 ? panel.oldest?.lower : nil
      tally.abandoned = panel.gone
      tally.handshakes = panel.unfinished
      let program =
        panel.holders.first.map { tallies.label(ofProcess: $0.pid) }
        ?? ProgramLabel(program: ProgramLabel.unknown, unit: UnitName.none)
      all[ListenerLabel(program: program, listener: name), default: ListenerTally()].add(tally)
    }
    return all
  }
}
