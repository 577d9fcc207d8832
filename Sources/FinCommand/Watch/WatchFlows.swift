import FinDoctor

/// The changes of state between two looks, by the sockets' identities.
///
/// A socket that was opened and ended between the two looks is in none of them, and is not counted. One that was in one
/// state and is in another has passed all that lies on every way between the two; those arrows count it.
struct WatchFlows: Sendable {
  /// A place in the drawing of RFC 9293: a state, or none.
  enum Place: Hashable, Sendable, CustomStringConvertible {
    /// Before the first state.
    case begin
    case state(SocketState)
    /// After the last state.
    case end

    var description: String {
      switch self {
      case .begin: "no connection"
      case .state(let state): state.description
      case .end: "the end"
      }
    }
  }

  /// An arrow of the drawing.
  struct Arrow: Hashable, Sendable {
    var from: Place
    var to: Place
  }

  /// The time between the looks, in seconds.
  var seconds: Double
  /// The number of sockets by their places in the two looks, if these differ.
  var moves: [Arrow: Int] = [:]
  /// The number of sockets that certainly took each arrow.
  private(set) var taken: [Arrow: Int] = [:]

  /// The arrows that the drawing has.
  static let arrows: [Arrow] = {
    func arrow(_ from: SocketState, _ to: SocketState) -> Arrow { Arrow(from: .state(from), to: .state(to)) }
    return [
      Arrow(from: .begin, to: .state(.listen)), Arrow(from: .begin, to: .state(.synSent)),
      Arrow(from: .begin, to: .state(.synReceived)), arrow(.synSent, .established), arrow(.synReceived, .established),
      arrow(.established, .finWait1), arrow(.established, .closeWait), arrow(.finWait1, .finWait2),
      arrow(.finWait1, .closing), arrow(.finWait2, .timeWait), arrow(.closing, .timeWait),
      arrow(.closeWait, .lastAck), Arrow(from: .state(.lastAck), to: .end), Arrow(from: .state(.timeWait), to: .end),
    ]
  }()

  /// Compares two looks.
  /// - Parameters:
  ///   - before: The states of the earlier look, by identity.
  ///   - after: The states of the later look.
  ///   - seconds: The time between the two.
  init(from before: [UInt64: SocketState], to after: [UInt64: SocketState], seconds: Double) {
    self.seconds = max(seconds, 0.001)
    for (identity, state) in after {
      let old = before[identity]
      if old != state { moves[Arrow(from: old.map { .state($0) } ?? .begin, to: .state(state)), default: 0] += 1 }
    }
    for (identity, state) in before where after[identity] == nil {
      moves[Arrow(from: .state(state), to: .end), default: 0] += 1
    }
    for (move, count) in moves {
      for arrow in Self.certain(move) { taken[arrow, default: 0] += count }
    }
  }

  /// A second for the rate of a number of sockets.
  func rate(_ count: Int) -> Double { Double(count) / seconds }

  /// The rate of an arrow, at least.
  func rate(of arrow: Arrow) -> Double { rate(taken[arrow] ?? 0) }

  /// The number of sockets that came into a state, and that left it.
  func passing(_ state: SocketState) -> (came: Int, left: Int) {
    var (came, left) = (0, 0)
    for (move, count) in moves {
      if move.to == .state(state) { came += count }
      if move.from == .state(state) { left += count }
    }
    return (came, left)
  }

  /// The number of sockets that are gone from a state without an arrow of the drawing to the end: they were reset or
  /// given up, or the rest of their life was shorter than a look.
  var vanished: [(state: SocketState, count: Int)] {
    moves.compactMap { move, count -> (SocketState, Int)? in
      guard move.to == .end, case .state(let state) = move.from, state != .lastAck, state != .timeWait else {
        return nil
      }
      return (state, count)
    }.sorted { ($1.1, $0.0.rawValue) < ($0.1, $1.0.rawValue) }
  }

  /// The arrows that lie on every way from one place to another; none if there is no way.
  static func certain(_ move: Arrow) -> [Arrow] {
    var common: [Arrow]?
    func walk(_ place: Place, _ path: [Arrow]) {
      if place == move.to, !path.isEmpty {
        common = common.map { $0.filter(path.contains) } ?? path
        return
      }
      // The drawing has no circle: every way ends.
      for arrow in arrows where arrow.from == place { walk(arrow.to, path + [arrow]) }
    }
    // A socket that ends without TIME-WAIT or LAST-ACK in sight may have been reset where it was.
    if move.to == .end, move.from != .state(.lastAck), move.from != .state(.timeWait) { return [] }
    walk(move.from, [])
    return common ?? []
  }

  /// The states of a look, by identity. Both kinds of SYN-RECEIVED are one, as in the drawing.
  static func states(of rows: [WatchRow]) -> [UInt64: SocketState] {
    var states: [UInt64: SocketState] = [:]
    states.reserveCapacity(rows.count)
    for row in rows where row.hasState {
      states[row.identity] = row.state == .newSynReceived ? .synReceived : row.state
    }
    return states
  }
}
