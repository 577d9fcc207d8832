/// A dial in a task: a child task for each attempt, and one for the timer. The children wait at the event loop, and are
/// cancelled when the race is over or the dialing task is cancelled.
struct DialInTask {
  private enum Message: Sendable {
    case connected(Int, Core)
    case failed(Int, SocketError.Cause)
    case tick(Int)
  }

  private var dial: Dial
  private var race: Race
  private var winner: Core?

  init(_ dial: Dial) {
    self.dial = dial
    race = Race(limit: dial.options.attemptsAtOnce)
  }

  /// Dials until one attempt has won or all are lost, and every other one has ended.
  nonisolated(nonsending) mutating func run() async throws(SocketError) -> Core {
    await withTaskGroup(of: Message.self) { group in
      take(dial.beginning, &group)
      while let message = await group.next() {
        switch message {
        case .connected(let number, let core):
          take(.connected(number), &group)
          // A second winner of the same turn is reset.
          if winner == nil, race.outcome == .won(number) { winner = core } else { _ = await core.close(.abort) }
        case .failed(let number, let cause):
          guard race.outcome == nil else { break }
          switch cause {
          case .timedOut, .cancelled, .reactorStopped:
            dial.giveUp(cause, running: race.running)
            take(.giveUp, &group)
          default:
            dial.failed(number, cause)
            take(.failed(number), &group)
          }
        case .tick(let number): take(.tick(number), &group)
        }
        if race.outcome != nil { group.cancelAll() }
      }
    }
    guard let winner else { throw dial.error }
    return winner
  }

  private mutating func take(_ event: Race.Event, _ group: inout TaskGroup<Message>) {
    for action in race.handle(event) {
      switch action {
      case .start(let number): start(number, &group)
      case .arm(let number):
        let due = dial.nextTick
        group.addTask { @concurrent in
          await DialInTask.sleep(until: due)
          return .tick(number)
        }
      // The race is over, so that all of them are.
      case .abort: group.cancelAll()
      }
    }
  }

  private mutating func start(_ number: Int, _ group: inout TaskGroup<Message>) {
    dial.began(number)
    let (peer, options, timeouts, site) = (dial.peers[number], dial.options, dial.timeouts, dial.site)
    let timeout = LazyDeadline(until: dial.deadline)
    group.addTask { @concurrent [timeout] in
      var timeout = timeout
      do throws(SocketError) {
        return .connected(number, try await Core.connected(to: peer, options, timeouts, &timeout, site: site))
      } catch { return .failed(number, error.cause) }
    }
  }

  /// Suspends the task until the time comes, or the task is cancelled.
  private static func sleep(until due: Deadline) async {
    guard let registration = try? Reactor.nearest().makeRegistration() else { return }
    _ = await registration.park(.nothing, until: due)
    registration.leave()
  }
}
