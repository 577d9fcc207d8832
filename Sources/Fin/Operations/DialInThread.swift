internal import CFin
internal import Glibc
internal import SystemPackage

/// A dial in a thread: one `poll(2)` over all attempts.
///
/// No other thread knows its sockets before one of them is returned, so that no close can come from elsewhere.
struct DialInThread {
  /// An attempt that runs, inside the gate of its socket.
  private struct Attempt {
    let number: Int
    let core: Core
    let access: Access
    var handshake: ConnectAttempt
  }

  private var dial: Dial
  private var race: Race
  private var attempts: [Attempt] = []
  private var timer = (number: 0, due: Deadline.never)
  /// The events that the race has not taken yet.
  private var events: [Race.Event]
  /// Why the race will be given up, when ``Race/Event/giveUp`` is among the events.
  private var reason = SocketError.Cause.timedOut

  init(_ dial: Dial) {
    self.dial = dial
    race = Race(limit: dial.options.attemptsAtOnce)
    events = [dial.beginning]
  }

  /// Dials until one attempt has won or all are lost.
  mutating func run() throws(SocketError) -> Core {
    while true {
      while !events.isEmpty { take(events.removeFirst()) }
      switch race.outcome {
      case .won(let winner):
        let core = attempts.first { $0.number == winner }!.core
        core.leave(.using)
        return core
      case .lost: throw dial.error
      case nil: wait()
      }
    }
  }

  private mutating func take(_ event: Race.Event) {
    if event == .giveUp, race.outcome == nil { dial.giveUp(reason, running: race.running) }
    for action in race.handle(event) {
      switch action {
      case .start(let number): start(number)
      case .arm(let number): timer = (number, dial.nextTick)
      case .abort(let number): end(number, .abort)
      }
    }
  }

  private mutating func start(_ number: Int) {
    dial.began(number)
    let peer = dial.peers[number]
    do throws(SocketError) {
      let core = try Core.fresh(toDial: peer, dial.options, site: dial.site)
      let access = try core.enterAmongOthers(.connect)
      let handshake = ConnectAttempt(peer: peer, timeouts: dial.timeouts, sourcePorts: dial.options.sourcePorts)
      attempts.append(Attempt(number: number, core: core, access: access, handshake: handshake))
    } catch {
      dial.failed(number, error.cause)
      return events.append(.failed(number))
    }
    step(number)
  }

  /// Makes the next step of an attempt. One that is connected stays among the attempts until the race has decided.
  private mutating func step(_ number: Int) {
    guard let index = attempts.firstIndex(where: { $0.number == number }) else { return }
    do throws(SocketError) {
      switch try attempts[index].handshake.step(attempts[index].core, attempts[index].access) {
      case .done: events.append(.connected(number))
      case .blocked, .more, .pause: break
      }
    } catch {
      dial.failed(number, error.cause)
      end(number, attempts[index].handshake.givingUp(attempts[index].core) ?? .abort)
      events.append(.failed(number))
    }
  }

  private mutating func end(_ number: Int, _ event: Lifecycle.Event) {
    guard let index = attempts.firstIndex(where: { $0.number == number }) else { return }
    let core = attempts.remove(at: index).core
    core.leave(.using)
    core.end(event)
  }

  /// Waits until an attempt has a result, the next one is due, or the time is over. All results of one look come before
  /// the timer, and the timer before the end.
  private mutating func wait() {
    let end = min(timer.due, dial.deadline)
    do throws(Errno) {
      let ready = try Syscalls.poll(attempts.map { $0.core.number($0.access) }, CInt(POLLOUT), until: end)
      let numbers = attempts.indices.filter { ready[$0] }.map { attempts[$0].number }
      for number in numbers { step(number) }
      if timer.due.hasPassed {
        timer.due = .never
        events.append(.tick(timer.number))
      }
      if dial.deadline.hasPassed { events.append(.giveUp) }
    } catch {
      reason = .system(error)
      events.append(.giveUp)
    }
  }
}
