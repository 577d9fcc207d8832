import TestTraits
import Testing

@testable import Fin

@Suite("The course of a pump: every order of its events", .onThreads)
struct PumpCourseTests {
  private typealias Side = PumpCourse.Side

  private static let events: [PumpCourse.Event] =
    Side.allCases.flatMap { side in
      [
        .ended(side, .finish), .ended(side, .reset), .ended(side, .truncation), .failed(side), .acknowledged(side),
      ]
    } + [.late(.idle), .late(.halfClosed), .late(.whole), .undelivered, .closed]

  /// The facts of a shell, kept apart from the machine's own bookkeeping.
  private struct Seen: Hashable {
    var ended: Set<Int> = []
    var failed: Set<Int> = []
    var finishes: Set<Int> = []
    var acknowledged: Set<Int> = []
  }

  private struct Node: Hashable {
    var course = PumpCourse()
    var seen = Seen()
  }

  @Test("every end is passed on once, a reset only after what came before it, and nothing changes after the end")
  func everyOrder() {
    var known: Set<Node> = [Node()]
    var open = [Node()]
    var ends = 0
    while let node = open.popLast() {
      for event in Self.events {
        var next = node
        let action = next.course.handle(event)
        check(node, event, action, &next)
        if next.course.isOver { ends += 1 }
        if known.insert(next).inserted { open.append(next) }
      }
    }
    #expect(known.count > 60 && ends > 100, "\(known.count) states, \(ends) ends")
  }

  private func check(_ node: Node, _ event: PumpCourse.Event, _ action: PumpCourse.Action?, _ next: inout Node) {
    let (before, after) = (node.course, next.course)
    if before.isOver {
      #expect(action == nil && before == after)
      return
    }
    for side in Side.allCases {
      // An end is final.
      if case .finished = before[from: side] { #expect(before[from: side] == after[from: side]) }
    }
    switch event {
    case .ended(let side, _) where before.isCopying(from: side):
      next.seen.ended.insert(side.rawValue)
      if case .ended(_, .finish) = event {} else { next.seen.failed.insert(side.rawValue) }
    case .failed(let side): next.seen.failed.insert(side.rawValue)
    case .acknowledged(let side) where before.awaitsAcknowledgement(of: side):
      #expect(!before.isCopying(from: side.other), "an acknowledgement counts only when all was handed over")
      next.seen.acknowledged.insert(side.rawValue)
    case .ended, .acknowledged, .late, .undelivered, .closed: break
    }
    let seen = next.seen
    switch action {
    case .finishSending(let side):
      #expect(event == .ended(side.other, .finish) && before.isCopying(from: side.other))
      #expect(next.seen.finishes.insert(side.rawValue).inserted, "one FIN each way")
    case .close:
      #expect(Side.allCases.allSatisfy { after[from: $0] == .finished(.finished) } && seen.finishes == [0, 1])
      #expect(seen.failed.isEmpty)
      if case .late = event {} else { #expect(seen.acknowledged == [0, 1]) }
    case .abort:
      switch event {
      case .acknowledged(let side):
        #expect(seen.failed == [side.other.rawValue], "the other side has failed, and this one has everything")
      case .undelivered: #expect(seen.failed.count == 1)
      case .ended, .failed: #expect(seen.failed == [0, 1], "with one side alive, its bytes are delivered first")
      case .late, .closed: break
      }
    case nil: #expect(!after.isOver)
    }
    #expect(after.isOver == (action == .close || action == .abort))
    if after.isOver {
      for side in Side.allCases {
        guard case .finished = after[from: side] else {
          Issue.record("a pump is over, and a direction is not")
          return
        }
      }
    }
  }

  @Test("a FIN each way, then both acknowledged: both directions finished, and the connections are closed")
  func finishes() {
    var course = PumpCourse()
    #expect(course.handle(.ended(.first, .finish)) == .finishSending(.second))
    #expect(course.isHalfClosed && course.isCopying(from: .second))
    #expect(course.handle(.ended(.second, .finish)) == .finishSending(.first))
    #expect(course.handle(.acknowledged(.first)) == nil)
    #expect(course.handle(.acknowledged(.second)) == .close)
  }

  @Test("a reset: the other direction has no destination, and the reset follows the acknowledgement")
  func reset() {
    var course = PumpCourse()
    #expect(course.handle(.ended(.first, .reset)) == nil)
    #expect(course[from: .second] == .finished(.undeliverable))
    #expect(course.owesReset == .second && course.awaitsAcknowledgement(of: .second))
    #expect(course.handle(.acknowledged(.first)) == nil)
    #expect(course.handle(.acknowledged(.second)) == .abort)
    #expect(course[from: .first] == .finished(.reset))
  }

  @Test("a failure that a send meets: what the failed side sent before is still delivered")
  func failure() {
    var course = PumpCourse()
    #expect(course.handle(.failed(.second)) == nil)
    #expect(course[from: .first] == .finished(.undeliverable))
    #expect(course.isCopying(from: .second) && !course.awaitsAcknowledgement(of: .first))
    #expect(course.handle(.acknowledged(.first)) == nil)
    #expect(course.handle(.ended(.second, .reset)) == nil)
    #expect(course.handle(.acknowledged(.first)) == .abort)
    #expect(course[from: .second] == .finished(.reset))
  }

  @Test("a reset after a FIN in the same direction: the FIN stays, and the reset follows it")
  func resetAfterFinish() {
    var course = PumpCourse()
    #expect(course.handle(.ended(.first, .finish)) == .finishSending(.second))
    #expect(course.handle(.failed(.first)) == nil)
    #expect(course.handle(.acknowledged(.second)) == .abort)
    #expect(course[from: .first] == .finished(.finished) && course[from: .second] == .finished(.undeliverable))
  }

  @Test("a truncated stream is passed on as a reset, and reported as truncated", arguments: [true, false])
  func truncated(_ isDelivered: Bool) {
    var course = PumpCourse()
    #expect(course.handle(.ended(.second, .truncation)) == nil)
    #expect(course.handle(isDelivered ? .acknowledged(.first) : .undelivered) == .abort)
    #expect(course[from: .second] == .finished(.truncated))
  }

  @Test("a limit ends both directions, except those that have ended", arguments: [PumpLimit.idle, .halfClosed, .whole])
  func limits(_ limit: PumpLimit) {
    var course = PumpCourse()
    _ = course.handle(.ended(.first, .finish))
    #expect(course.handle(.late(limit)) == .abort)
    #expect(course[from: .first] == .finished(.finished) && course[from: .second] == .finished(.timedOut(limit)))
  }
}
