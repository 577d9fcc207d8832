/// A count of connections in TIME-WAIT as a file has it.
struct StoredRest {
  var count: RestingCount
  /// The inode of the network namespace, and its name.
  var namespace: UInt32
  var namespaceName: String
}

/// The connections of a time that began and ended between two looks, which have no interval.
package struct PassingLives: Sendable {
  /// The port of a server, or a destination.
  package struct Place: Hashable, Sendable {
    /// The program that listened at the port; nil for a destination, or where none could be seen.
    package var program: Program?
    /// The local port, of connections that were accepted; 0 for a destination.
    package var localPort: UInt16
    package var remote: NetworkAddress?
    package var remotePort: UInt16
  }

  package struct Count: Hashable, Sendable {
    package var all = 0
    /// Those of them that were in TIME-WAIT at the next look: this side closed first. A look that comes later than the
    /// minute of TIME-WAIT finds none.
    package var resting = 0
  }

  /// The number of looks of the time.
  package var looks = 0
  package var total = Count()
  /// The places that the file names: of each look, those with the most connections.
  package var places: [Place: Count] = [:]
  /// The number of looks before which the kernel reported more than could be counted.
  package var incompleteLooks = 0

  /// The places, those with the most connections first.
  package var sorted: [(place: Place, count: Count)] {
    places.sorted { left, right in
      left.value.all == right.value.all ? left.key.order < right.key.order : left.value.all > right.value.all
    }.map { ($0.key, $0.value) }
  }
}

extension PassingLives.Place {
  fileprivate var order: String {
    "\(localPort) \(remote.map { "\($0)" } ?? "") \(remotePort) \(program?.pid ?? 0)"
  }
}

extension PassingLives.Count {
  fileprivate mutating func add(_ all: Int64, _ resting: Int64) {
    self.all += Int(clamping: all)
    self.resting += Int(clamping: resting)
  }
}

extension HistoryReader {
  /// The most destinations and ports of one look whose connections a file names.
  package static let mostPlaces = RestingPlaces.most

  /// The connections that no look saw, from one moment to another, in milliseconds since 1970.
  package func passingLives(from: Int64, to: Int64) -> PassingLives {
    var lives = PassingLives()
    for file in files(from: from, to: to) {
      let found = reading(file) { (open) throws(Database.Failure) -> PassingLives? in
        var found = lives
        try open.add(to: &found, from, to)
        return found
      }
      if let found { lives = found }
    }
    return lives
  }
}

extension HistoryReader.OpenFile {
  /// The counts of connections in TIME-WAIT at a look; none where the file has no such table.
  func rests(at look: Int64) throws(Database.Failure) -> [StoredRest] {
    guard try has("rest") else { return [] }
    var all: [StoredRest] = []
    try database.prepare(
      """
      SELECT n.inode, n.name, la.s, r.lp, ra.s, r.rp, r.count, p.pid FROM rest r
      LEFT JOIN namespace n ON n.id = r.netns LEFT JOIN text la ON la.id = r.la LEFT JOIN text ra ON ra.id = r.ra
      LEFT JOIN program p ON p.id = r.holder WHERE r.look = ? ORDER BY r.place LIMIT 1000
      """
    ).run([.number(look)]) { row in
      func address(_ column: Int32) -> NetworkAddress? { try? WrittenAddress(parsing: row.text(column)).address }
      var count = RestingCount(from: address(2) ?? NetworkAddress(AddressBits(), isIPv6: false))
      count.localPort = row.clamped(3)
      if let remote = address(4) { (count.remote, count.remotePort) = (remote, row.clamped(5)) }
      count.count = Int(clamping: row.bounded(6))
      count.pid = row.pid(7)
      // A destination has a port, and so has a server.
      guard count.count > 0, count.localPort != 0 || count.remotePort != 0 else { return }
      all.append(StoredRest(count: count, namespace: row.clamped(0), namespaceName: row.text(1)))
    }
    return all
  }

  /// The number of connections that began and ended before a look and after the one before, and whether there were
  /// more.
  func ended(before look: Int64) throws(Database.Failure) -> (count: Int, hasMore: Bool) {
    var found = (count: 0, hasMore: false)
    guard try has("ended") else { return found }
    try database.prepare("SELECT short, lost FROM ended WHERE look = ?").run([.number(look)]) { row in
      found = (Int(clamping: row.bounded(0)), row.number(1) != 0)
    }
    return found
  }

  /// Adds the connections that ended before the looks of a time.
  fileprivate func add(to lives: inout PassingLives, _ from: Int64, _ to: Int64) throws(Database.Failure) {
    guard try has("ended"), try has("short") else { return }
    let time: [Database.Value] = [.number(from), .number(to)]
    lives.looks += Int(
      clamping: try HistorySchema.number(database, "SELECT count(*) FROM look WHERE at BETWEEN ? AND ?", time))
    var (total, incomplete) = (lives.total, 0)
    try database.prepare(
      "SELECT e.short, e.resting, e.lost FROM ended e JOIN look l ON l.id = e.look WHERE l.at BETWEEN ? AND ?"
    ).run(time) { row in
      total.add(row.bounded(0), row.bounded(1))
      if row.number(2) != 0 { incomplete += 1 }
    }
    lives.total = total
    lives.incompleteLooks += incomplete
    var rows: [(PassingLives.Place, Observed.Owner?, Int64, Int64)] = []
    try database.prepare(
      """
      SELECT s.lp, ra.s, s.rp, p.pid, p.start, sum(s.count), sum(s.resting) FROM short s
      JOIN look l ON l.id = s.look LEFT JOIN text ra ON ra.id = s.ra LEFT JOIN program p ON p.id = s.holder
      WHERE l.at BETWEEN ? AND ? GROUP BY s.lp, s.ra, s.rp, s.holder
      """
    ).run(time) { row in
      let remote = row.isNull(1) ? nil : try? WrittenAddress(parsing: row.text(1)).address
      let place = PassingLives.Place(localPort: row.clamped(0), remote: remote, remotePort: row.clamped(2))
      let owner =
        row.isNull(3)
        ? nil : Observed.Owner(pid: row.pid(3), started: UInt64(bitPattern: row.number(4)), descriptor: 0)
      rows.append((place, owner, row.bounded(5), row.bounded(6)))
    }
    for (place, owner, all, resting) in rows {
      var place = place
      if let owner { place.program = try program(owner) }
      lives.places[place, default: .init()].add(all, resting)
    }
  }
}
