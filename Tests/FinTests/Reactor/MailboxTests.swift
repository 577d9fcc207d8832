import Glibc
import Peers
import TestTraits
import Testing

@testable import Fin

@Suite("A loop's inbox: a job from another thread runs, whether or not another job follows", .onThreads)
struct Mailbox {
  @Test("of two jobs, the second enqueued at any time after the first, both run without a third one")
  func twoAtAnyDistance() throws {
    let reactor = try Reactor(loops: 1)
    defer { reactor.stop() }
    let executor = reactor.executor
    let done = Tally()
    for round in 1...10_000 {
      Task(executorPreference: executor) { done.add() }
      // Spins until the loop is waking or takes the first job in: some fifty microseconds at most.
      for _ in 0..<(round * 7 % 997) { _ = Fin.Instant.now }
      Task(executorPreference: executor) { done.add() }
      // A lost job would be found with the next one that is enqueued, so none is enqueued here.
      let end = Fin.Deadline(after: .seconds(10))
      while done.value < 2 * round {
        if end.hasPassed { throw RigError("of the two jobs of round \(round) one has not run") }
        sched_yield()
      }
    }
  }

  @Test("a job for a sleeping loop wakes it, with a deadline or without")
  func asleep() throws {
    let reactor = try Reactor(loops: 1)
    defer { reactor.stop() }
    #expect(try onLoop(of: reactor) { 1 }.join() == 1)
    let (ours, theirs) = try Medium.pair.open()
    let waiting = try onLoop(of: reactor) { try await ours.receive(upTo: 1, within: .seconds(60)) }
    try ours.awaitParked()
    #expect(try onLoop(of: reactor) { 2 }.join() == 2)
    try theirs.send([3])
    #expect(try waiting.join() == [3])
    ours.abort()
    theirs.abort()
  }
}
