/// The race of a dial: which of a name's addresses is tried when, and which attempt wins (RFC 8305, section 5).
///
/// It makes no system call, reads no clock and imports nothing. The shell, which makes the attempts, passes each event
/// to ``handle(_:)`` and carries out the actions, in their order. An event that comes too late, or twice, changes
/// nothing: timers and answers may meet in one turn of the shell, in any order.
///
/// - The addresses are tried in the resolver's order, with the families in turn.
/// - The next attempt starts when one fails, or when none has ended for a while. At most `limit` run at a time.
/// - A running attempt goes on until the race is over: a far peer may need longer than the pause between two starts.
/// - The first attempt that connects wins, and all others are aborted.
struct Race: Hashable {
  /// An observation of the shell.
  enum Event: Hashable {
    /// The name is resolved. There is one family number for each address, in the resolver's order.
    case addresses([Int])
    /// The attempt with this number has failed.
    case failed(Int)
    /// The attempt with this number is connected.
    case connected(Int)
    /// The timer with this number has fired.
    case tick(Int)
    /// The race's time is over, or the caller has given up.
    case giveUp
  }

  /// A step that the shell has to take.
  enum Action: Hashable {
    /// Starts the attempt at the address with this number in the resolver's order.
    case start(Int)
    /// Arms the timer with this number, instead of the one that is armed.
    case arm(Int)
    /// Aborts the attempt with this number.
    case abort(Int)
  }

  /// The end of the race.
  enum Outcome: Hashable {
    case won(Int)
    /// Every attempt has failed, or the shell has given up.
    case lost
  }

  /// The maximum number of attempts that run at a time.
  let limit: Int
  /// `nil` while the race goes on.
  private(set) var outcome: Outcome?
  /// The attempts that connected as well, after another one had won.
  private(set) var superfluous = 0
  /// The addresses that are not tried yet, the next one first.
  private(set) var waiting: [Int] = []
  /// The attempts that run, in the order of their starts.
  private(set) var running: [Int] = []
  private var aborted: [Int] = []
  /// The number of attempts that were started; also the number of the timer that is armed.
  private var started = 0
  private var isResolved = false

  /// - Parameter limit: the maximum number of attempts that run at a time, 1 or more.
  init(limit: Int) { self.limit = max(1, limit) }

  /// Takes an event.
  ///
  /// - Returns: what follows from it, in order.
  mutating func handle(_ event: Event) -> [Action] {
    switch event {
    case .addresses(let families):
      guard !isResolved, outcome == nil else { return [] }
      isResolved = true
      waiting = Race.alternating(families)
      return next()
    case .failed(let attempt):
      guard outcome == nil, end(attempt) else { return [] }
      return next()
    case .tick(let timer):
      // A timer that was armed before the latest start has been replaced.
      guard outcome == nil, timer == started else { return [] }
      return start()
    case .connected(let attempt):
      if let position = aborted.firstIndex(of: attempt) {
        aborted.remove(at: position)
        superfluous += 1
        return []
      }
      guard outcome == nil, end(attempt) else { return [] }
      return finish(.won(attempt))
    case .giveUp:
      guard outcome == nil else { return [] }
      return finish(.lost)
    }
  }

  /// Removes an attempt from those that run.
  ///
  /// - Returns: `false` when it does not run.
  private mutating func end(_ attempt: Int) -> Bool {
    guard let position = running.firstIndex(of: attempt) else { return false }
    running.remove(at: position)
    return true
  }

  /// Starts the next attempt after one has ended, or ends the race when there is none.
  private mutating func next() -> [Action] {
    if waiting.isEmpty, running.isEmpty { return finish(.lost) }
    return start()
  }

  private mutating func start() -> [Action] {
    guard !waiting.isEmpty, running.count < limit else { return [] }
    let attempt = waiting.removeFirst()
    running.append(attempt)
    started += 1
    return waiting.isEmpty ? [.start(attempt)] : [.start(attempt), .arm(started)]
  }

  private mutating func finish(_ outcome: Outcome) -> [Action] {
    self.outcome = outcome
    aborted = running
    running = []
    waiting = []
    return aborted.map { .abort($0) }
  }

  /// The addresses' numbers in the order in which they are tried: the first address, then one of each other family in
  /// turn (RFC 8305, section 4), each family in the resolver's order.
  static func alternating(_ families: [Int]) -> [Int] {
    var order: [Int] = []
    var names: [Int] = []
    for family in families where !names.contains(family) { names.append(family) }
    var queues = names.map { name in families.indices.filter { families[$0] == name } }
    while order.count < families.count {
      for index in queues.indices where !queues[index].isEmpty { order.append(queues[index].removeFirst()) }
    }
    return order
  }
}
