import TestTraits
import Testing

@testable import Fin

/// The observations of a pool's shell, kept apart from the machine's own bookkeeping.
private struct PoolObserver: Hashable {
  enum Connection: Hashable {
    case dialing
    /// `nil` while the shell inspects it.
    case lent(Int?)
    case idle(since: Int64)
    case ending, gone
  }

  enum Caller: Hashable { case unknown, waiting, holding(Int), over }

  var connections: [Int: Connection] = [:]
  var callers: [Int: Caller] = [:]
  /// The callers that wait, in the order in which they are to be served.
  var queue: [Int] = []
  /// The idle connections, in the order in which they became so.
  var idle: [Int] = []
  var ages: [Int: Int64] = [:]
  var isClosing = false

  func count(_ isMeant: (Connection) -> Bool) -> Int { connections.values.count(where: isMeant) }
  var present: Int { count { $0 != .gone } }
  var live: Int { count { $0 != .gone && $0 != .ending } }
  var dialing: Int { count { $0 == .dialing } }
  /// The connections that are looked at: no caller has them.
  var inspected: Int { connections.values.count { $0 == .lent(nil) } }
}

private struct PoolNode: Hashable {
  var pool: Pool
  var seen = PoolObserver()
  var now: Int64 = 0
}

private struct PoolSetting: CustomTestStringConvertible {
  let rules: Pool.Rules
  let callers: Int
  let dials: Int
  let end: Int64
  var testDescription: String { "\(rules), \(callers) callers" }

  init(_ connections: Int, idle: Int, warm: Int = 0, waiters: Int = 9, callers: Int, dials: Int, end: Int64) {
    rules = Pool.Rules(
      connections: connections, idleConnections: idle, warm: warm, waiters: waiters, idle: 1, pause: 1)
    self.callers = callers
    self.dials = dials
    self.end = end
  }
}

@Suite("The machine of a pool: every order of its events", .onThreads)
struct PoolOrders {
  private static let settings = [
    PoolSetting(1, idle: 1, callers: 3, dials: 2, end: 1),
    PoolSetting(1, idle: 0, waiters: 0, callers: 3, dials: 2, end: 1),
    PoolSetting(2, idle: 1, waiters: 1, callers: 3, dials: 2, end: 1),
    PoolSetting(2, idle: 2, callers: 2, dials: 2, end: 2),
    PoolSetting(2, idle: 2, warm: 1, callers: 1, dials: 2, end: 3),
  ]

  /// Every event that a shell could report, also those that come too late or twice.
  private func events(_ node: PoolNode, _ setting: PoolSetting) -> [Pool.Event] {
    var events: [Pool.Event] = [.tick, .close, .timeIsUp]
    let fresh = (1...setting.callers).filter { node.seen.callers[$0, default: .unknown] == .unknown }
    if let caller = fresh.first { events.append(.ask(caller)) }
    for caller in 1...setting.callers { events.append(.giveUp(caller)) }
    for number in 1...setting.dials {
      events += [.dialed(number, age: node.now + 2), .failed(number), .giveBack(number), .noticed(number)]
      events += [.discard(number, .unusable), .released(number)]
      // The caller that holds the connection asks again, with another number.
      if let caller = fresh.first, case .lent(.some)? = node.seen.connections[number] {
        events.append(.stale(number, caller: caller))
      }
    }
    return events
  }

  private func follow(_ node: PoolNode, _ event: Pool.Event) -> PoolNode {
    var next = node
    let actions = next.pool.handle(event, at: next.now)
    let wasDue = node.pool.due.map { $0 <= node.now } ?? false
    var asking: Int?
    var isNews = true
    switch event {
    case .ask(let caller):
      asking = caller
      next.seen.callers[caller] = .waiting
    case .giveUp(let caller):
      isNews = next.seen.callers[caller] == .waiting
      if isNews { next.seen.callers[caller] = .over }
      next.seen.queue.removeAll { $0 == caller }
      #expect(actions.isEmpty)
    case .dialed(let number, let age):
      isNews = next.seen.connections[number] == .dialing
      if isNews {
        next.seen.connections[number] = .lent(nil)
        next.seen.ages[number] = age
      }
    case .failed(let number):
      isNews = next.seen.connections[number] == .dialing
      if isNews { next.seen.connections[number] = .gone }
    case .giveBack(let number), .discard(let number, _), .stale(let number, _):
      isNews = false
      if case .lent(let caller)? = next.seen.connections[number] {
        isNews = true
        if let caller { next.seen.callers[caller] = .over }
        next.seen.connections[number] = .lent(nil)
      }
      if case .stale(_, let caller) = event, isNews {
        asking = caller
        next.seen.callers[caller] = .waiting
      }
    case .noticed(let number):
      if case .idle? = next.seen.connections[number] {
        #expect(actions == [.inspect(number)])
      } else {
        #expect(actions.isEmpty)
      }
    case .tick:
      // A tick does something exactly when the machine has asked for it.
      #expect(actions.isEmpty != wasDue, "due \(String(describing: node.pool.due)) at \(node.now): \(actions)")
    case .close: next.seen.isClosing = true
    case .timeIsUp: break
    case .released(let number):
      switch next.seen.connections[number] {
      case .lent(let caller)?:
        if let caller { next.seen.callers[caller] = .over }
        next.seen.connections[number] = .gone
      case .ending?: next.seen.connections[number] = .gone
      case .dialing?, .idle?, .gone?, nil: isNews = false
      }
    }
    #expect(isNews || actions.isEmpty, "\(event) came too late and led to \(actions)")
    if let asking { next.seen.queue.insert(asking, at: isStale(event) ? 0 : next.seen.queue.count) }
    for action in actions { carryOut(action, event, &next) }
    // A connection that was dialed or given back, and to which nothing was done, is idle.
    switch event {
    case .dialed(let number, _), .giveBack(let number):
      if next.seen.connections[number] == .lent(nil), isNews, !actions.contains(.inspect(number)) {
        next.seen.connections[number] = .idle(since: next.now)
        next.seen.idle.append(number)
      }
    default: break
    }
    return next
  }

  private func isStale(_ event: Pool.Event) -> Bool { if case .stale = event { true } else { false } }

  private func carryOut(_ action: Pool.Action, _ event: Pool.Event, _ node: inout PoolNode) {
    switch action {
    case .lend(let number, let caller):
      #expect(!node.seen.isClosing)
      #expect(node.seen.queue.first == caller, "callers are served in their order")
      node.seen.queue.removeAll { $0 == caller }
      switch node.seen.connections[number] {
      case .idle?:
        #expect(node.seen.idle.last == number, "the connection that was used last is lent first")
        #expect(node.seen.ages[number]! > node.now, "a connection of age is not lent")
        node.seen.idle.removeLast()
      case .lent(nil)?: break
      case .lent(.some)?, .dialing?, .ending?, .gone?, nil: Issue.record("connection \(number) was not free")
      }
      node.seen.connections[number] = .lent(caller)
      node.seen.callers[caller] = .holding(number)
    case .dial(let number):
      #expect(node.seen.connections[number] == nil && !node.seen.isClosing)
      node.seen.connections[number] = .dialing
    case .cancelDial(let number): #expect(node.seen.connections[number] == .dialing && event == .close)
    case .refuse(let caller, let refusal):
      #expect(node.seen.callers[caller] == .waiting)
      node.seen.callers[caller] = .over
      node.seen.queue.removeAll { $0 == caller }
      switch refusal {
      case .closed: #expect(node.seen.isClosing)
      case .full:
        #expect(node.seen.present == node.pool.rules.connections)
        #expect(node.seen.queue.count - node.seen.dialing - node.seen.inspected >= node.pool.rules.waiters)
      case .undialed(let number): #expect(event == .failed(number))
      }
    case .inspect(let number):
      node.seen.idle.removeAll { $0 == number }
      node.seen.connections[number] = .lent(nil)
    case .retire(let number, let reason):
      switch node.seen.connections[number] {
      case .idle(let since)?:
        if reason == .idle {
          #expect(since + node.pool.rules.idle <= node.now && node.seen.live > node.pool.rules.warm)
        }
        if reason == .age { #expect(node.seen.ages[number]! <= node.now) }
        // A connection that has just become idle comes after the others.
        if reason == .surplus { #expect(node.seen.idle.first == number) }
      case .lent(nil)?: break
      case .lent(.some)?, .dialing?, .ending?, .gone?, nil: Issue.record("connection \(number) could not be retired")
      }
      node.seen.idle.removeAll { $0 == number }
      node.seen.connections[number] = .ending
    case .abort(let number):
      #expect(event == .timeIsUp)
      if case .lent? = node.seen.connections[number] {} else { Issue.record("connection \(number) was aborted") }
    }
  }

  private func check(_ node: PoolNode, after event: Pool.Event) {
    let (pool, seen) = (node.pool, node.seen)
    #expect(pool.waiting == seen.queue && pool.idle == seen.idle)
    #expect(pool.count == seen.present && pool.dialing == seen.dialing)
    #expect(seen.present <= pool.rules.connections)
    #expect(seen.idle.count <= pool.rules.idleConnections)
    #expect(seen.queue.isEmpty || seen.idle.isEmpty, "a caller waits beside an idle connection")
    // No caller waits for nothing: a dial or a look is under way for it, or there is no room for a dial.
    #expect(seen.queue.count <= seen.dialing + seen.inspected || seen.present == pool.rules.connections)
    if seen.isClosing { #expect(seen.queue.isEmpty && seen.idle.isEmpty && pool.due == nil) }
    if event == .tick, !seen.isClosing {
      for number in seen.idle { #expect(seen.ages[number]! > node.now) }
    }
  }

  @Test(
    "in every order of requests, dials, ends and times: callers in turn, no more connections than allowed, none lost",
    arguments: settings)
  private func everyOrder(_ setting: PoolSetting) {
    let first = PoolNode(pool: Pool(setting.rules))
    var visited: Set<PoolNode> = [first]
    var frontier = [first]
    var drained = 0
    while let node = frontier.popLast() {
      var successors = events(node, setting).map { ($0, follow(node, $0)) }
      if node.now < setting.end {
        var later = node
        later.now += 1
        successors.append((.giveUp(0), later))
      }
      for (event, next) in successors {
        if next.seen.connections.count > setting.dials { continue }
        guard visited.insert(next).inserted else { continue }
        check(next, after: event)
        if next.seen.isClosing, next.pool.count == 0 { drained += 1 }
        frontier.append(next)
      }
    }
    #expect(drained > 0 && visited.count > 500, "\(visited.count) states, \(drained) of them drained")
  }

  @Test("a stale connection costs its caller no place in the queue")
  func staleGoesFirst() {
    var pool = Pool(
      .init(connections: 1, idleConnections: 1, warm: 0, waiters: 9, idle: 100, pause: 10))
    #expect(pool.handle(.ask(1), at: 0) == [.dial(1)])
    #expect(pool.handle(.dialed(1, age: 1000), at: 1) == [.lend(1, to: 1)])
    #expect(pool.handle(.ask(2), at: 2) == [])
    #expect(pool.handle(.stale(1, caller: 3), at: 3) == [.retire(1, .stale)])
    #expect(pool.waiting == [3, 2])
    #expect(pool.handle(.released(1), at: 4) == [.dial(2)])
    #expect(pool.handle(.dialed(2, age: 1000), at: 5) == [.lend(2, to: 3)])
  }

  @Test("what came between the look and the return is inspected before the connection is idle")
  func noticedOnTheWay() {
    var pool = Pool(.init(connections: 1, idleConnections: 1, warm: 0, waiters: 9, idle: 100, pause: 10))
    _ = pool.handle(.ask(1), at: 0)
    _ = pool.handle(.dialed(1, age: 1000), at: 0)
    #expect(pool.handle(.noticed(1), at: 1) == [])
    #expect(pool.handle(.giveBack(1), at: 2) == [.inspect(1)])
    // Nothing harmful, such as the session ticket of a secured connection.
    #expect(pool.handle(.giveBack(1), at: 3) == [])
    #expect(pool.idle == [1])
  }

  @Test("connections are kept warm: after a loss the next dial waits for the pause, and no caller waits for it")
  func warm() {
    var pool = Pool(.init(connections: 4, idleConnections: 4, warm: 2, waiters: 9, idle: 100, pause: 10))
    #expect(pool.handle(.tick, at: 0) == [.dial(1), .dial(2)])
    _ = pool.handle(.dialed(1, age: 5000), at: 1)
    _ = pool.handle(.dialed(2, age: 5000), at: 1)
    #expect(pool.due == 5000, "the idle time does not end those that are kept warm")
    #expect(pool.handle(.noticed(1), at: 2000) == [.inspect(1)])
    #expect(pool.handle(.discard(1, .peer), at: 2000) == [.retire(1, .peer)])
    #expect(pool.due == 2010)
    #expect(pool.handle(.tick, at: 2005) == [])
    #expect(pool.handle(.ask(7), at: 2006) == [.lend(2, to: 7)])
    #expect(pool.handle(.tick, at: 2010) == [.dial(3)])
  }
}
