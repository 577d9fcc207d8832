/// The growth in a time of the history: of the sockets of programs by state, and of the connections with each peer.
package struct HistoryGrowth: Sendable {
  /// A thing that is counted at each look.
  package enum Subject: Hashable, Sendable {
    /// The sockets of all processes of a program, in a state; `UDP` and `Unix` are no states of TCP.
    case program(String, state: String)
    /// The connections with a peer.
    case peer(String)
  }

  /// The counts at the looks.
  package struct Course: Sendable {
    package var values: [Int]
    package var first: Int { values.first ?? 0 }
    package var last: Int { values.last ?? 0 }
    package var growth: Int { last - first }
    package var neverFell: Bool { zip(values, values.dropFirst()).allSatisfy { $0 <= $1 } }
  }

  /// The looks that are compared, in milliseconds since 1970.
  package var looks: [Int64] = []
  package var courses: [Subject: Course] = [:]

  /// The courses that are higher at the last look than at the first: those that never fell, then the larger growth.
  package var grown: [(subject: Subject, course: Course)] {
    courses.filter { $0.value.growth > 0 }.map { ($0.key, $0.value) }.sorted { left, right in
      let (l, r) = (left.1, right.1)
      if l.neverFell != r.neverFell { return l.neverFell }
      return l.growth == r.growth ? "\(left.0)" < "\(right.0)" : l.growth > r.growth
    }
  }

  fileprivate mutating func add(_ counts: [Subject: Int], at look: Int64) {
    for subject in counts.keys where courses[subject] == nil {
      courses[subject] = Course(values: Array(repeating: 0, count: looks.count))
    }
    for subject in courses.keys { courses[subject]?.values.append(counts[subject] ?? 0) }
    looks.append(look)
  }
}

extension HistoryReader {
  /// The looks that one question compares, at most.
  package static let mostCompared = 13

  /// Compares looks of a time: its first one, its last one, and some in between.
  /// - Parameters:
  ///   - from: The beginning, in milliseconds since 1970.
  ///   - to: The end.
  ///   - each: Called before each look with its number and the number of all.
  package func growth(from: Int64, to: Int64, _ each: (Int, Int) -> Void = { _, _ in }) -> HistoryGrowth {
    var growth = HistoryGrowth()
    guard let range = range() else { return growth }
    let (begin, end) = (max(from, range.first), min(to, range.last))
    guard begin <= end else { return growth }
    var seen: Set<HistoryPosition> = []
    for step in 0..<Self.mostCompared {
      each(step, Self.mostCompared)
      let moment = begin + (end - begin) * Int64(step) / Int64(Self.mostCompared - 1)
      guard let place = try? place(of: moment), place.look.at >= from || step == 0,
        seen.insert(HistoryPosition(file: place.file.file.number, look: place.look.number)).inserted
      else { continue }
      let counts = reading(place.file.file) { (file) throws(Database.Failure) in try file.counts(at: place.look) }
      if let counts { growth.add(counts, at: place.look.at) }
    }
    return growth
  }
}

extension HistoryReader.OpenFile {
  fileprivate func counts(at look: HistoryReader.Look) throws(Database.Failure) -> [HistoryGrowth.Subject: Int] {
    var counts: [HistoryGrowth.Subject: Int] = [:]
    var names: [Observed.Owner: String] = [:]
    for span in try spans(at: look) {
      let socket = span.socket
      let transport = Transport(rawValue: socket.kind)
      let state = socket.key.isUnix ? "Unix" : transport == .udp ? "UDP" : "\(socket.state)"
      if !socket.key.isUnix, socket.remotePort != 0 {
        counts[.peer(NetworkAddress(socket.remote, isIPv6: socket.isIPv6).description), default: 0] += 1
      }
      guard var owner = socket.owners.first else { continue }
      owner.descriptor = 0
      if names[owner] == nil {
        let program = try program(owner)
        names[owner] = program?.title ?? "pid \(owner.pid)"
      }
      counts[.program(names[owner] ?? "", state: state), default: 0] += 1
    }
    return counts
  }
}
