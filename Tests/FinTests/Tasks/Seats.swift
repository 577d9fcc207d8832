import Glibc
import Peers
import Synchronization
import Testing

@testable import Fin

@Suite("A registration with a loop: every wait ends once, and no event is lost")
struct Seats {
  /// A registration with a loop whose thread does not run, so that only the test causes events.
  private func seat() throws -> Seat { try Loop().makeSeat() }

  private func wait(
    _ seat: Seat, _ interest: Seat.Interest = .input, until deadline: Fin.Deadline = .never
  ) throws -> Errand<Seat.Wake> {
    let before = seat.waiterCount
    let waiting = errand { await seat.park(interest, until: deadline) }
    try eventually("a waiter", equals: before + 1) { seat.waiterCount }
    return waiting
  }

  @Test("an event between the attempt and the wait ends the wait at once")
  func between() throws {
    let seat = try seat()
    let seen = seat.known
    seat.deliver(.input)
    #expect(try inTask { await seat.park(.input, until: .never) } == .ready)
    #expect(try inTask { await seat.park(.change(since: seen.changes), until: .never) } == .ready)
    // That event was input, so a wait for output still waits.
    let waiting = try wait(seat, .output)
    seat.deliver(.output)
    #expect(try waiting.join() == .ready)
  }

  @Test("clear forgets the known readiness, and no event that arrived since")
  func clear() throws {
    let seat = try seat()
    seat.deliver([.input, .output, .mixed])
    seat.clear(.input, since: seat.known)
    #expect(seat.known.readiness == [.output, .mixed])
    seat.deliver(.input)
    let stale = seat.known
    seat.deliver(.input)
    seat.clear([.input, .mixed], since: stale)
    #expect(seat.known.readiness == [.input, .output, .mixed], "the second edge came after the look")
    seat.clear([.input, .mixed], since: seat.known)
    #expect(seat.known.readiness == .output)
    // An explicit wake without an event counts as a change as well.
    let before = seat.known
    seat.wake()
    #expect(seat.known.changes != before.changes && seat.known.readiness == .output)
  }

  @Test("an event wakes the tasks that wait for it, and leaves the others")
  func interests() throws {
    let seat = try seat()
    let reading = try wait(seat, .input)
    let writing = try wait(seat, .output)
    seat.deliver(.output)
    #expect(try writing.join() == .ready)
    #expect(seat.waiterCount == 1 && !reading.isFinished)
    let changing = try wait(seat, .change(since: seat.known.changes))
    seat.deliver(.output)
    #expect(try changing.join() == .ready)
    #expect(seat.waiterCount == 1)
    seat.deliver(.input)
    #expect(try reading.join() == .ready)
  }

  @Test("a wake, a stop, a deadline and a cancellation each end the wait, each with its own result")
  func names() throws {
    let woken = try seat()
    let looking = try wait(woken)
    woken.wake()
    #expect(try looking.join() == .look)

    let late = try seat()
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

    let stopped = try seat()
    let two = [try wait(stopped), try wait(stopped, .output)]
    stopped.stop()
    for waiting in two { #expect(try waiting.join() == .stopped) }
    stopped.deliver(.input)
    #expect(try inTask { await stopped.park(.input, until: .never) } == .stopped)
  }

  @Test("a task that is already cancelled, or whose answer has arrived, does not wait", .faults(62))
  func noWait() throws {
    let seat = try seat()
    let cancelled = try inTask {
      cancelThisTask()
      return await seat.park(.input, until: .never)
    }
    #expect(cancelled == .cancelled)
    #expect(try inTask { await seat.park(.input, until: .never, unless: { true }) } == .look)
    // Cancellation takes precedence over the event, which stays.
    seat.deliver(.input)
    let told = try inTask {
      cancelThisTask()
      return await seat.park(.input, until: .never)
    }
    #expect(told == .cancelled && seat.known.readiness == .input)
    #expect(seat.waiterCount == 0)
  }

  @Test("event, wake, deadline, cancellation and stop at the same moment: each wait ends exactly once", .faults(62))
  func race() throws {
    // Resuming a wait twice would trap, and never resuming it would hang here.
    for round in 0..<300 {
      let seat = try seat()
      let waits = try [wait(seat), wait(seat, .change(since: seat.known.changes), until: Fin.Deadline(nanoseconds: 5))]
      let start = Flag()
      let actions: [@Sendable () -> Void] = [
        { seat.deliver(.input) }, { seat.wake() }, { _ = seat.expire(at: 10) }, { for wait in waits { wait.cancel() } },
      ]
      let threads = actions.map { action in
        onThread {
          while !start.isSet {}
          action()
        }
      }
      start.set()
      if round % 3 == 0 { seat.stop() }
      for thread in threads { try thread.join() }
      for wait in waits { _ = try wait.join() }
      #expect(seat.waiterCount == 0)
    }
  }

  @Test("an event for a slot that has been reused since is dropped", .faults(9))
  func stale() throws {
    let loop = try Loop()
    #expect(loop.start(name: "stale") == 0)
    defer { loop.stop() }
    var ends: [CInt] = [-1, -1]
    var others: [CInt] = [-1, -1]
    try #require(unsafe socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends) == 0)
    try #require(
      unsafe socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &others) == 0)
    defer { for number in [ends[1], others[0], others[1]] { close(number) } }
    let first = try loop.makeSeat(ends[0])
    try eventually("its first event", equals: .output) { first.known.readiness }
    // A duplicate keeps the epoll watch alive, because neither closing the descriptor nor leaving the registration can
    // end it: so an event arrives with a token that belongs to no registration.
    let duplicate = fcntl(ends[0], F_DUPFD_CLOEXEC, 0)
    try #require(duplicate >= 0)
    defer { close(duplicate) }
    close(ends[0])
    first.leave()
    let second = try loop.makeSeat()
    #expect(second.token.slot == first.token.slot && second.token.generation != first.token.generation)
    let third = try loop.makeSeat(others[0])
    try eventually("its first event", equals: .output) { third.known.readiness }
    try #require(unsafe send(ends[1], [1] as [UInt8], 1, CInt(MSG_NOSIGNAL)) == 1)
    try #require(unsafe send(others[1], [1] as [UInt8], 1, CInt(MSG_NOSIGNAL)) == 1)
    // The poller delivers events in order.
    try eventually("the event behind it", equals: [.input, .output]) { third.known.readiness }
    #expect(second.known.readiness == [] && second.known.changes == 0)
    #expect(!first.known.readiness.contains(.input), "its tenant has left")
    third.leave()
    second.leave()
  }
}
