import Fin
import FinDoctor
import Synchronization

/// Looks at the machine that several scrapes share: one census at a time, on a thread of its own, because it blocks.
final class SharedLooks: Sendable {
  /// A look, or the reason why there is none.
  struct Look: Sendable {
    var samples: [MetricSample]
    /// The moment when the look ended.
    var taken = ContinuousClock.now
    var failure: String?
  }

  /// A scrape that waits for a look.
  private struct Waiter {
    var number: UInt64
    var resume: @Sendable (Look?) -> Void
  }

  private struct State {
    var latest: Look?
    var isLooking = false
    var waiters: [Waiter] = []
    var last: UInt64 = 0

    var fresh: Look? {
      guard let latest, latest.failure == nil, ContinuousClock.now - latest.taken <= SharedLooks.freshness else {
        return nil
      }
      return latest
    }
  }

  private let state = Mutex(State())
  private let looks: Mutex<MachineLooks>

  /// The age up to which a look is shared.
  static let freshness = Duration.seconds(1)

  init(_ looks: sending MachineLooks) { self.looks = Mutex(looks) }

  /// A look that is at most ``freshness`` old, or the next one; nil if it takes longer than the time given.
  func look(within time: Duration) async -> Look? {
    if let fresh = state.withLock({ $0.fresh }) { return fresh }
    let number = state.withLock { state in
      state.last += 1
      return state.last
    }
    return await withTaskGroup(of: Void.self) { group in
      group.addTask {
        try? await Task.sleep(for: time)
        self.giveUp(number)
      }
      let result = await withCheckedContinuation { continuation in
        self.wait(Waiter(number: number) { continuation.resume(returning: $0) })
      }
      group.cancelAll()
      return result
    }
  }

  private func wait(_ waiter: Waiter) {
    let begins = state.withLock { state in
      state.waiters.append(waiter)
      if state.isLooking { return false }
      state.isLooking = true
      return true
    }
    guard begins else { return }
    if !MachineLooks.onThread({ self.lookOnce() }) {
      finish(Look(samples: [], failure: "no thread could be started"))
    }
  }

  private func giveUp(_ number: UInt64) {
    let waiter = state.withLock { state -> Waiter? in
      guard let place = state.waiters.firstIndex(where: { $0.number == number }) else { return nil }
      return state.waiters.remove(at: place)
    }
    waiter?.resume(nil)
  }

  private func lookOnce() {
    let result = looks.withLock { looks in
      do {
        return Look(samples: try looks.next().samples)
      } catch {
        return Look(samples: [], failure: "\(error)")
      }
    }
    finish(result)
  }

  private func finish(_ result: Look) {
    let waiters = state.withLock { state in
      state.isLooking = false
      state.latest = result
      defer { state.waiters = [] }
      return state.waiters
    }
    for waiter in waiters { waiter.resume(result) }
  }
}
