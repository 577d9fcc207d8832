/// The order of a pool: which caller gets which connection, who waits, and which connection is retired when.
///
/// It makes no system call, reads no clock and imports nothing. The shell passes each event and its time to
/// ``handle(_:at:)`` and carries out the actions, in their order. An event that comes too late, or twice, changes
/// nothing: a caller may give up while a connection is lent to it, and a peer may close while its connection is taken.
///
/// - Callers are served in their order. One that finds no idle connection waits; a dial begins for it while there is
///   room, unless an idle connection is being looked at. It gets whichever connection is free first.
/// - The connection that was used last is lent first, so that the others reach their idle time.
/// - A connection counts until it is released, also while it is dialed or closes.
struct Pool: Hashable {
  /// The limits of a pool; times in nanoseconds.
  struct Rules: Hashable {
    var connections: Int
    var idleConnections: Int
    var warm: Int
    var waiters: Int
    var idle: Int64
    /// The pause after a failed dial, or after the loss of an idle connection, before a dial for which no caller waits.
    var pause: Int64
  }

  /// An observation of the shell.
  enum Event: Hashable {
    /// A caller, with a number that no other one has, wants a connection.
    case ask(Int)
    /// The caller does not want one any more: its time is over, or it was cancelled.
    case giveUp(Int)
    /// The dial with this number has connected. The connection is to be retired at `age`.
    case dialed(Int, age: Int64)
    case failed(Int)
    /// The lease ended well, and nothing is unread on the connection.
    case giveBack(Int)
    /// The lease ended, or the inspection did, and the connection is of no further use.
    case discard(Int, Reason)
    /// The look at the lent connection found an end, an error or bytes: the caller wants another one.
    case stale(Int, caller: Int)
    /// Something came to a connection that was idle, or about to be: an end, an error or bytes.
    case noticed(Int)
    case tick
    case close
    /// The time for leases after ``close`` is over.
    case timeIsUp
    /// The connection's descriptor is released.
    case released(Int)
  }

  /// A step that the shell has to take.
  enum Action: Hashable {
    /// The connection belongs to the caller from now on, until it is given back, discarded or released.
    case lend(Int, to: Int)
    case dial(Int)
    case cancelDial(Int)
    case refuse(Int, Refusal)
    /// Looks at a connection that no caller has, and gives it back or discards it.
    case inspect(Int)
    /// Closes the connection, and reports when it is released.
    case retire(Int, Reason)
    /// Aborts a connection that a caller still uses.
    case abort(Int)
  }

  /// Why a caller gets no connection.
  enum Refusal: Hashable {
    case closed, full
    /// The dial with this number failed.
    case undialed(Int)
  }

  /// Why a connection is retired.
  enum Reason: Hashable, CaseIterable { case peer, stale, idle, age, surplus, unusable, asked, closing }

  private enum Place: Hashable {
    case dialing
    /// It is doubtful after a notice that came when it was no longer, or not yet, idle.
    case leased(isDoubtful: Bool)
    case idle(since: Int64)
    case ending
  }

  let rules: Rules
  private(set) var isClosing = false
  private var isTimeUp = false
  /// The waiting callers, the next one first.
  private(set) var waiting: [Int] = []
  /// The idle connections, in the order in which they became so.
  private(set) var idle: [Int] = []
  private var places: [Int: Place] = [:]
  private var ages: [Int: Int64] = [:]
  private(set) var dialing = 0
  /// The connections that are looked at because something came to them while they were idle.
  private var inspected: Set<Int> = []
  private var ending = 0
  private var dials = 0
  private var nextSpare = Int64.min

  init(_ rules: Rules) {
    self.rules = rules
  }

  /// The number of connections that are not released, dials included.
  var count: Int { places.count }
  /// Whether the dial with this number is under way.
  func isDialing(_ number: Int) -> Bool { places[number] == .dialing }
  /// The number of connections that will be free soon, if all goes well: nothing is dialed for as many callers.
  private var coming: Int { dialing + inspected.count }
  /// The number of these that are dialed, lent or idle.
  private var live: Int { places.count - ending }

  /// Takes an event.
  ///
  /// - Parameter now: the time of the event, which never goes back.
  /// - Returns: what follows from it, in order.
  mutating func handle(_ event: Event, at now: Int64) -> [Action] {
    switch event {
    case .ask(let caller): return isClosing ? [.refuse(caller, .closed)] : serve(caller, isAgain: false, now)
    case .giveUp(let caller):
      waiting.removeAll { $0 == caller }
      return []
    case .dialed(let number, let age):
      guard places[number] == .dialing else { return [] }
      dialing -= 1
      ages[number] = age
      return isClosing ? [retire(number, .closing)] : rest(number, now)
    case .failed(let number):
      guard places[number] == .dialing else { return [] }
      dialing -= 1
      places[number] = nil
      nextSpare = now + rules.pause
      // Callers for whom another connection will be free wait for that one.
      guard waiting.count > coming else { return [] }
      return [.refuse(waiting.removeFirst(), .undialed(number))] + dialForWaiters()
    case .giveBack(let number):
      guard case .leased(let isDoubtful)? = places[number] else { return [] }
      inspected.remove(number)
      if isClosing { return [retire(number, .closing)] }
      if isDoubtful { return [inspect(number)] }
      if isAged(number, now) {
        let retired = retire(number, .age)
        return [retired] + dialForWaiters()
      }
      return rest(number, now)
    case .discard(let number, let reason):
      guard case .leased? = places[number] else { return [] }
      // A server that closes every connection at once is not dialed all the time.
      if reason == .peer { nextSpare = now + rules.pause }
      let retired = retire(number, reason)
      return isClosing ? [retired] : [retired] + dialForWaiters()
    case .stale(let number, let caller):
      guard case .leased? = places[number] else { return [] }
      let retired = retire(number, .stale)
      return [retired] + (isClosing ? [.refuse(caller, .closed)] : serve(caller, isAgain: true, now))
    case .noticed(let number): return notice(number)
    case .tick: return isClosing ? [] : expire(now) + dialSpares(now)
    case .close: return close()
    case .timeIsUp:
      guard isClosing, !isTimeUp else { return [] }
      isTimeUp = true
      return places.keys.sorted().filter { if case .leased? = places[$0] { true } else { false } }.map { .abort($0) }
    case .released(let number):
      switch places[number] {
      case .leased?:
        places[number] = nil
        inspected.remove(number)
      case .ending?:
        places[number] = nil
        ending -= 1
      case .dialing?, .idle?, nil: return []
      }
      ages[number] = nil
      return isClosing ? [] : dialForWaiters()
    }
  }

  /// The time of the next ``Event/tick`` that may change something; `nil` for none.
  var due: Int64? {
    if isClosing { return nil }
    var due = idle.compactMap { ages[$0] }.min()
    if live > rules.warm, let first = idle.first, case .idle(let since)? = places[first] {
      due = min(due ?? .max, since.adding(rules.idle))
    }
    if live < rules.warm, places.count < rules.connections { due = min(due ?? .max, nextSpare) }
    return due
  }

  // MARK: Callers

  /// Lends an idle connection to a caller, or lets it wait.
  ///
  /// - Parameter isAgain: whether it has waited its turn before: it goes to the front, and is not refused.
  private mutating func serve(_ caller: Int, isAgain: Bool, _ now: Int64) -> [Action] {
    var actions: [Action] = []
    while let number = idle.popLast() {
      if let reason = overdue(number, now) {
        actions.append(retire(number, reason))
        continue
      }
      places[number] = .leased(isDoubtful: false)
      return actions + [.lend(number, to: caller)]
    }
    let isFull = waiting.count >= coming && places.count >= rules.connections
    if !isAgain, isFull, waiting.count - coming >= rules.waiters { return actions + [.refuse(caller, .full)] }
    waiting.insert(caller, at: isAgain ? 0 : waiting.count)
    return actions + dialForWaiters()
  }

  /// Begins dials until a connection is coming for each waiting caller, or there is no room.
  private mutating func dialForWaiters() -> [Action] {
    var actions: [Action] = []
    while waiting.count > coming, places.count < rules.connections { actions.append(dial()) }
    return actions
  }

  private mutating func dial() -> Action {
    dials += 1
    dialing += 1
    places[dials] = .dialing
    return .dial(dials)
  }

  /// Gives a connection that is free to the next caller, or keeps it idle.
  private mutating func rest(_ number: Int, _ now: Int64) -> [Action] {
    if !waiting.isEmpty {
      places[number] = .leased(isDoubtful: false)
      return [.lend(number, to: waiting.removeFirst())]
    }
    places[number] = .idle(since: now)
    idle.append(number)
    guard idle.count > rules.idleConnections else { return [] }
    return [retire(idle.removeFirst(), .surplus)]
  }

  // MARK: Ends

  private mutating func inspect(_ number: Int) -> Action {
    places[number] = .leased(isDoubtful: false)
    inspected.insert(number)
    return .inspect(number)
  }

  private mutating func retire(_ number: Int, _ reason: Reason) -> Action {
    inspected.remove(number)
    places[number] = .ending
    ending += 1
    return .retire(number, reason)
  }

  private mutating func notice(_ number: Int) -> [Action] {
    switch places[number] {
    case .idle?:
      idle.removeAll { $0 == number }
      return [inspect(number)]
    case .leased?:
      places[number] = .leased(isDoubtful: true)
      return []
    case .dialing?, .ending?, nil: return []
    }
  }

  private func isAged(_ number: Int, _ now: Int64) -> Bool { ages[number].map { $0 <= now } ?? false }

  /// Why an idle connection is to be retired at this time; `nil` when it is not.
  private func overdue(_ number: Int, _ now: Int64) -> Reason? {
    if isAged(number, now) { return .age }
    guard case .idle(let since)? = places[number], since.adding(rules.idle) <= now else { return nil }
    return live > rules.warm ? .idle : nil
  }

  private mutating func expire(_ now: Int64) -> [Action] {
    var actions: [Action] = []
    // The oldest first, so that the one that was used last is the one that is kept warm.
    for number in idle {
      guard let reason = overdue(number, now) else { continue }
      actions.append(retire(number, reason))
      idle.removeAll { $0 == number }
    }
    return actions
  }

  private mutating func dialSpares(_ now: Int64) -> [Action] {
    var actions: [Action] = []
    guard now >= nextSpare else { return [] }
    while live < rules.warm, places.count < rules.connections { actions.append(dial()) }
    return actions
  }

  private mutating func close() -> [Action] {
    guard !isClosing else { return [] }
    isClosing = true
    var actions: [Action] = waiting.map { .refuse($0, .closed) }
    waiting = []
    for number in idle { actions.append(retire(number, .closing)) }
    idle = []
    return actions + places.keys.sorted().filter { places[$0] == .dialing }.map { .cancelDial($0) }
  }
}

extension Int64 {
  /// The sum, or the largest number when it cannot be represented.
  fileprivate func adding(_ other: Int64) -> Int64 {
    let (sum, isTooMuch) = addingReportingOverflow(other)
    return isTooMuch ? .max : sum
  }
}
