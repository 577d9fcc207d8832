import Glibc
import Peers
import Synchronization
import TestTraits
import Testing

@testable import Fin

@Suite("A registration with a loop: every wait ends once, and no event is lost", .onThreads)
struct Registrations {
  /// A registration with a loop whose thread does not run, so that only the test causes events.
  private func registration() throws -> Registration { try EventLoop().makeRegistration() }

  private func wait(
    _ registration: Registration, _ interest: Registration.Interest = .input, until deadline: Fin.Deadline = .never
  ) throws -> TestTask<Registration.WakeReason> {
    let before = registration.waiterCount
    let waiting = errand { await registration.park(interest, until: deadline) }
    try eventually("a waiter", equals: before + 1) { registration.waiterCount }
    return waiting
  }

  @Test("an event between the attempt and the wait ends the wait at once")
  func between() throws {
    let registration = try registration()
    let seen = registration.snapshot
    registration.deliver(.input)
    #expect(try inTask { await registration.park(.input, until: .never) } == .ready)
    #expect(try inTask { await registration.park(.change(since: seen.changes), until: .never) } == .ready)
    // That event was input, so a wait for output still waits.
    let waiting = try wait(registration, .output)
    registration.deliver(.output)
    #expect(try waiting.join() == .ready)
  }

  @Test("clear forgets the known readiness, and no event that arrived since")
  func clear() throws {
    let registration = try registration()
    registration.deliver([.input, .output, .inputIsPartial])
    registration.clear(.input, since: registration.snapshot)
    #expect(registration.snapshot.readiness == [.output, .inputIsPartial])
    registration.deliver(.input)
    let stale = registration.snapshot
    registration.deliver(.input)
    registration.clear([.input, .inputIsPartial], since: stale)
    #expect(
      registration.snapshot.readiness == [.input, .output, .inputIsPartial], "the second edge came after the look")
    registration.clear([.input, .inputIsPartial], since: registration.snapshot)
    #expect(registration.snapshot.readiness == .output)
    // An explicit wake without an event counts as a change as well.
    let before = registration.snapshot
    registration.wake()
    #expect(registration.snapshot.changes != before.changes && registration.snapshot.readiness == .output)
  }

  @Test("an event wakes the tasks that wait for it, and leaves the others")
  func interests() throws {
    let registration = try registration()
    let reading = try wait(registration, .input)
    let writing = try wait(registration, .output)
    registration.deliver(.output)
    #expect(try writing.join() == .ready)
    #expect(registration.waiterCount == 1 && !reading.isFinished)
    let changing = try wait(registration, .change(since: registration.snapshot.changes))
    registration.deliver(.output)
    #expect(try changing.join() == .ready)
    #expect(registration.waiterCount == 1)
    registration.deliver(.input)
    #expect(try reading.join() == .ready)
  }

  @Test("a wake, a stop, a deadline and a cancellation each end the wait, each with its own result")
  func names() throws {
    let woken = try registration()
    let looking = try wait(woken)
    woken.wake()
    #expect(try looking.join() == .look)

    let late = try registration()
    let soon = try wait(late, until: Fin.Deadline(nanoseconds: 100))
    let later = try wait(late, until: Fin.Deadline(nanoseconds: 300))
    let never = try wait(late)
    #expect(late.expire(at: 99) == Fin.Deadline(nanoseconds: 100))
    #expect(late.expire(at: 100) == Fin.Deadline(nanoseconds: 300))
    #expect(try soon.join() == .timedOut)
    #expect(late.waiterCount == 2)
    #expect(late.expire(at: 1000) == .never)
    #expect(try later.join() == .timedOut)
    never.cancel()
    #expect(try never.join() == .cancelled)
    #expect(late.waiterCount == 0)

    let stopped = try registration()
    let two = [try wait(stopped), try wait(stopped, .output)]
    stopped.stop()
    for waiting in two { #expect(try waiting.join() == .stopped) }
    stopped.deliver(.input)
    #expect(try inTask { await stopped.park(.input, until: .never) } == .stopped)
  }

  @Test("a task that is already cancelled, or whose answer has arrived, does not wait", .faults(62))
  func noWait() throws {
    let registration = try registration()
    let cancelled = try inTask {
      cancelThisTask()
      return await registration.park(.input, until: .never)
    }
    #expect(cancelled == .cancelled)
    #expect(try inTask { await registration.park(.input, until: .never, unless: { true }) } == .look)
    // Cancellation takes precedence over the event, which stays.
    registration.deliver(.input)
    let told = try inTask {
      cancelThisTask()
      return await registration.park(.input, until: .never)
    }
    #expect(told == .cancelled && registration.snapshot.readiness == .input)
    #expect(registration.waiterCount == 0)
  }

  @Test("event, wake, deadline, cancellation and stop at the same moment: each wait ends exactly once", .faults(62))
  func race() throws {
    // Resuming a wait twice would trap, and never resuming it would hang here.
    for round in 0..<300 {
      let registration = try registration()
      let waits = try [
        wait(registration),
        wait(registration, .change(since: registration.snapshot.changes), until: Fin.Deadline(nanoseconds: 5)),
      ]
      let start = Flag()
      let actions: [@Sendable () -> Void] = [
        { registration.deliver(.input) }, { registration.wake() }, { _ = registration.expire(at: 10) },
        { for wait in waits { wait.cancel() } },
      ]
      let threads = actions.map { action in
        onThread {
          while !start.isSet {}
          action()
        }
      }
      start.set()
      if round % 3 == 0 { registration.stop() }
      for thread in threads { try thread.join() }
      for wait in waits { _ = try wait.join() }
      #expect(registration.waiterCount == 0)
    }
  }

  @Test("an event for a slot that has been reused since is dropped", .faults(9))
  func stale() throws {
    let loop = try EventLoop()
    #expect(loop.start(name: "stale") == 0)
    defer { loop.stop() }
    var ends: [CInt] = [-1, -1]
    var others: [CInt] = [-1, -1]
    try #require(unsafe socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends) == 0)
    try #require(
      unsafe socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &others) == 0)
    defer { for number in [ends[1], others[0], others[1]] { close(number) } }
    let first = try loop.makeRegistration(ends[0])
    try eventually("its first event", equals: .output) { first.snapshot.readiness }
    // A duplicate keeps the epoll watch alive, because neither closing the descriptor nor leaving the registration can
    // end it: so an event arrives with a token that belongs to no registration.
    let duplicate = fcntl(ends[0], F_DUPFD_CLOEXEC, 0)
    try #require(duplicate >= 0)
    defer { close(duplicate) }
    close(ends[0])
    first.leave()
    let second = try loop.makeRegistration()
    #expect(second.token.slot == first.token.slot && second.token.generation != first.token.generation)
    let third = try loop.makeRegistration(others[0])
    try eventually("its first event", equals: .output) { third.snapshot.readiness }
    try #require(unsafe send(ends[1], [1] as [UInt8], 1, CInt(MSG_NOSIGNAL)) == 1)
    try #require(unsafe send(others[1], [1] as [UInt8], 1, CInt(MSG_NOSIGNAL)) == 1)
    // The poller delivers events in order.
    try eventually("the event behind it", equals: [.input, .output]) { third.snapshot.readiness }
    #expect(second.snapshot.readiness == [] && second.snapshot.changes == 0)
    #expect(!first.snapshot.readiness.contains(.input), "its tenant has left")
    third.leave()
    second.leave()
  }
}
