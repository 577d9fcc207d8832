import Glibc
import Peers
import Synchronization
import TestTraits
import Testing

@_spi(Fin) @testable import Fin

@Suite("Promise 4: closing wakes everyone, even on a registration that another task has just made", .onThreads)
struct RegistrationOfferTests {
  @Test("a socket's registration is visible to others only when a close will wake it")
  func heardBeforeOffered() throws {
    for _ in 0..<2000 {
      let pair = try Connection.pair()
      let core = pair.first.reference.core
      // Reads the gate the moment the registration becomes visible.
      let finder = onThread {
        while core.lazyRegistration.load() == nil {}
        return core.gate.snapshot.parked
      }
      _ = try core.registration(.suspending)
      #expect(try finder.join() == 1)
      pair.first.abort()
      pair.second.abort()
    }
  }

  @Test("two tasks that register a socket at the same time: one registration, woken once, and the other is discarded")
  func madeTwice() throws {
    for _ in 0..<500 {
      let pair = try Connection.pair()
      let core = pair.first.reference.core
      let other = onThread { ObjectIdentifier(try core.registration(.suspending)) }
      let mine = ObjectIdentifier(try core.registration(.suspending))
      #expect(try other.join() == mine)
      #expect(core.gate.snapshot.parked == 1)
      pair.first.abort()
      pair.second.abort()
    }
  }

  @Test("an abort while the closing task goes to sleep cuts its close short, and neither waits for the other")
  func cutShortWhileParking() throws {
    // A loop of its own: in the pool of all tests, the task might begin long after the thread.
    let reactor = try Reactor(loops: 1)
    defer { reactor.stop() }
    for round in 0..<100 {
      let pair = try Connection.pair()
      let shared = pair.first.share()
      let core = shared.reference.core
      let begun = Tally(), released = Tally()
      // Its peer never finishes, so the close has to wait.
      let closing = errand(on: reactor.executor) {
        begun.add()
        while released.value == 0 { sched_yield() }
        return await shared.close(.lingering(within: .seconds(60), idle: .seconds(60), discarding: 1 << 20))
      }
      let aborting = onThread { () -> CloseReport in
        let start = Result { try eventually(within: .seconds(60), "the closing task runs") { begun.value == 1 } }
        released.add()
        try start.get()
        while core.closing.withLock({ $0.waker == nil }) {}
        // Varies the point on the closing task's way to sleep.
        for _ in 0..<(round % 60) { _ = core.phase }
        return shared.abort()
      }
      #expect(try closing.join().ending == .aborted)
      #expect(try aborting.join().ending == .aborted)
      pair.second.abort()
    }
  }
}
