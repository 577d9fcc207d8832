import TestTraits
import Testing

@testable import Fin

@Suite("The race of a dial: every order of its events", .onThreads)
struct RaceTests {
  /// The observations of a shell in a race, kept apart from the machine's own bookkeeping.
  private struct Observer: Hashable {
    var started: [Int] = []
    var running: Set<Int> = []
    var connectedFirst: Int?
    var gaveUp = false
    var late: Set<Int> = []
    var superfluous = 0
    var timer = 0
    var timerIsArmed = false
  }

  private struct Node: Hashable {
    var race: Race
    var seen = Observer()
  }

  private struct Setting: CustomTestStringConvertible {
    let families: [Int]
    let limit: Int
    var testDescription: String { "families \(families), \(limit) at a time" }
    /// The order that RFC 8305, section 4, asks for.
    let order: [Int]
  }

  private static let settings: [Setting] = [
    Setting(families: [6], limit: 6, order: [0]),
    Setting(families: [6, 4], limit: 6, order: [0, 1]),
    Setting(families: [4, 4], limit: 1, order: [0, 1]),
    Setting(families: [6, 6, 4], limit: 2, order: [0, 2, 1]),
    Setting(families: [6, 6, 4, 4], limit: 6, order: [0, 2, 1, 3]),
    Setting(families: [4, 6, 6, 6], limit: 2, order: [0, 1, 2, 3]),
    Setting(families: [4, 4, 4, 6], limit: 3, order: [0, 3, 1, 2]),
  ]

  /// Every event that a shell could report in this state, also those that come too late or twice.
  private func events(_ node: Node, _ setting: Setting) -> [Race.Event] {
    var events: [Race.Event] = [.giveUp, .addresses(setting.families)]
    for attempt in setting.families.indices { events += [.failed(attempt), .connected(attempt)] }
    for timer in 0...setting.families.count { events.append(.tick(timer)) }
    return events
  }

  private func follow(_ node: Node, _ event: Race.Event, _ setting: Setting) -> Node {
    var node = node
    let before = node
    let actions = node.race.handle(event)
    var isNews = false
    switch event {
    case .addresses: isNews = before.seen.started.isEmpty && before.race.outcome == nil
    case .failed(let attempt): isNews = node.seen.running.remove(attempt) != nil
    case .connected(let attempt):
      if node.seen.running.remove(attempt) != nil {
        node.seen.connectedFirst = attempt
        isNews = true
      } else if node.seen.late.remove(attempt) != nil {
        node.seen.superfluous += 1
      }
    case .tick(let timer): isNews = before.seen.timerIsArmed && timer == before.seen.timer && before.race.outcome == nil
    case .giveUp:
      isNews = before.race.outcome == nil
      if isNews { node.seen.gaveUp = true }
    }
    if case .tick = event, isNews { node.seen.timerIsArmed = false }
    #expect(isNews || actions.isEmpty, "\(event) came too late and led to \(actions)")
    for action in actions {
      switch action {
      case .start(let attempt):
        #expect(node.race.outcome == nil && !node.seen.started.contains(attempt))
        node.seen.started.append(attempt)
        node.seen.running.insert(attempt)
      case .arm(let timer):
        #expect(timer != node.seen.timer, "a timer's number came again")
        node.seen.timer = timer
        node.seen.timerIsArmed = true
      case .abort(let attempt):
        #expect(node.race.outcome != nil, "an attempt was aborted before the race was over")
        #expect(node.seen.running.remove(attempt) != nil)
        node.seen.late.insert(attempt)
      }
    }
    if isNews, node.race.outcome != nil { node.seen.timerIsArmed = false }
    return node
  }

  private func check(_ node: Node, after event: Race.Event, _ setting: Setting) {
    let (race, seen) = (node.race, node.seen)
    let isOpen = seen.connectedFirst == nil && !seen.gaveUp
    #expect(Set(race.running) == seen.running)
    #expect(seen.running.count <= setting.limit)
    #expect(seen.started == Array(setting.order.prefix(seen.started.count)), "the order of the starts")
    #expect(race.superfluous == seen.superfluous)
    switch race.outcome {
    case nil:
      #expect(isOpen)
      guard !seen.started.isEmpty else { break }
      #expect(!seen.running.isEmpty, "an open race in which nothing runs")
      let hasRoom = seen.running.count < setting.limit && seen.started.count < setting.order.count
      #expect(!hasRoom || seen.timerIsArmed, "an address waits, and no timer will start it")
    case .won(let winner):
      #expect(seen.connectedFirst == winner)
      #expect(seen.running.isEmpty, "an attempt outlives the race")
    case .lost:
      #expect(seen.connectedFirst == nil)
      #expect(seen.gaveUp || seen.started.count == setting.order.count, "an address was not tried")
      #expect(seen.running.isEmpty, "an attempt outlives the race")
    }
  }

  @Test(
    "in every order of answers, timers and ends: one winner, no attempt killed before, none left after",
    arguments: settings)
  private func everyOrder(_ setting: Setting) {
    let first = Node(race: Race(limit: setting.limit))
    var visited: Set<Node> = [first]
    var frontier = [first]
    var outcomes: Set<Race.Outcome> = []
    while let node = frontier.popLast() {
      for event in events(node, setting) {
        let next = follow(node, event, setting)
        guard visited.insert(next).inserted else { continue }
        check(next, after: event, setting)
        if let outcome = next.race.outcome { outcomes.insert(outcome) }
        frontier.append(next)
      }
    }
    #expect(outcomes == Set(setting.families.indices.map { .won($0) } + [.lost]))
    #expect(visited.count > setting.families.count * 3)
  }

  @Test("no address at all: lost at once")
  func nothing() {
    var race = Race(limit: 6)
    #expect(race.handle(.addresses([])) == [])
    #expect(race.outcome == .lost)
  }

  @Test("the next attempt starts when one fails, and the timer of before that starts none beside it")
  func failureAndTimerInOneTurn() {
    var race = Race(limit: 6)
    #expect(race.handle(.addresses([6, 4, 6])) == [.start(0), .arm(1)])
    #expect(race.handle(.failed(0)) == [.start(1), .arm(2)])
    // The timer fired in the same turn as the failure.
    #expect(race.handle(.tick(1)) == [])
    #expect(race.handle(.tick(2)) == [.start(2)])
  }

  @Test("two attempts connect in one turn: the first wins, the second is aborted and counted")
  func twoWinners() {
    var race = Race(limit: 6)
    _ = race.handle(.addresses([6, 4]))
    _ = race.handle(.tick(1))
    #expect(race.handle(.connected(1)) == [.abort(0)])
    #expect(race.handle(.connected(0)) == [])
    #expect(race.outcome == .won(1) && race.superfluous == 1)
    #expect(race.handle(.connected(0)) == [] && race.superfluous == 1)
  }

  @Test("seven silent addresses: six attempts run, and the seventh starts when one fails")
  func limit() {
    var race = Race(limit: 6)
    _ = race.handle(.addresses(Array(repeating: 4, count: 8)))
    for timer in 1...5 { #expect(race.handle(.tick(timer)) == [.start(timer), .arm(timer + 1)]) }
    #expect(race.handle(.tick(6)) == [])
    #expect(race.handle(.failed(2)) == [.start(6), .arm(7)])
    #expect(race.running == [0, 1, 3, 4, 5, 6])
  }
}
