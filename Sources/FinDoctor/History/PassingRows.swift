/// The rows of what has no interval: connections in TIME-WAIT, counted by destination, and those between two looks.
extension HistoryRows {
  /// Writes the counts of connections in TIME-WAIT.
  mutating func write(
    _ counts: [(place: RestingPlaces.Place, count: Int)], look: Int64, _ census: Census
  ) throws(Database.Failure) {
    guard !counts.isEmpty else { return }
    let put = try database.prepare("INSERT INTO rest VALUES(?,?,?,?,?,?,?,?,?)")
    for (number, (place, count)) in counts.enumerated() {
      try put.run([
        .number(look), .number(Int64(number)), .number(try namespace(place.namespace, in: census)),
        .number(try text(place.local.description)), .number(Int64(place.localPort)),
        place.remotePort == 0 ? .null : .number(try text(place.remote.description)),
        .number(Int64(place.remotePort)), .optional(try known(place.owner, in: census)), .number(Int64(count)),
      ])
    }
  }

  /// Writes the counts of connections that no look saw.
  /// - Parameter hasMore: Whether the kernel did not report all of them.
  mutating func write(
    _ lives: ShortLives, hasMore: Bool, look: Int64, _ census: Census
  ) throws(Database.Failure) {
    guard lives.total.all > 0 || hasMore else { return }
    try database.prepare("INSERT INTO ended VALUES(?,?,?,?)").run([
      .number(look), .number(Int64(lives.total.all)), .number(Int64(lives.total.resting)), .number(hasMore ? 1 : 0),
    ])
    let put = try database.prepare("INSERT INTO short VALUES(?,?,?,?,?,?,?,?)")
    for (number, (place, count)) in lives.places.enumerated() {
      let remote = try place.remote.map { (remote) throws(Database.Failure) in try text(remote.description) }
      try put.run([
        .number(look), .number(Int64(number)), .number(Int64(place.localPort)), .optional(remote),
        .number(Int64(place.remotePort)), .optional(try known(place.owner, in: census)), .number(Int64(count.all)),
        .number(Int64(count.resting)),
      ])
    }
  }

  /// The number of a process that may have ended; nil where neither the look nor the file knows it.
  private mutating func known(_ owner: Observed.Owner?, in census: Census) throws(Database.Failure) -> Int64? {
    guard let owner else { return nil }
    if census.programs[owner.pid]?.started == owner.started { return try program(owner, in: census) }
    return try number(of: owner)
  }
}
