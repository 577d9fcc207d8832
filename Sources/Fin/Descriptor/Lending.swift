internal import Synchronization
internal import SystemPackage

/// Things that cost a descriptor each and are needed only while somebody waits: lent and taken back.
final class Lending<Lent: Sendable>: Sendable {
  private struct State {
    var idle: [Lent] = []
    /// Made ahead of need, for threads that must not fail for want of one.
    var provided = 0
    var waiting: [Parker] = []
  }

  /// How many are kept for the next who needs one, beside those that were provided.
  private let kept = 64
  private let make: @Sendable () throws(Errno) -> Lent
  private let state = Mutex(State())

  init(make: @escaping @Sendable () throws(Errno) -> Lent) { self.make = make }

  /// One that nobody else has.
  func borrow() throws(Errno) -> Lent {
    if let lent = state.withLock({ $0.idle.popLast() }) { return lent }
    return try make()
  }

  /// One that nobody else has; when none can be made, the next that is given back.
  ///
  /// - Returns: `nil` when the deadline passed first.
  func borrow(until deadline: Deadline) -> Lent? {
    while true {
      if let lent = try? borrow() { return lent }
      let parker = Parker()
      let lent: Lent? = state.withLock { state in
        if let lent = state.idle.popLast() { return lent }
        state.waiting.append(parker)
        return nil
      }
      if let lent { return lent }
      let woken = parker.park(until: deadline)
      state.withLock { state in state.waiting.removeAll { $0 === parker } }
      // Time is up; but what was given back at this moment was meant for this thread, and nobody else is told of it.
      if !woken { return state.withLock { $0.idle.popLast() } }
    }
  }

  /// Takes one back. Its borrower has left every list from which somebody could use it.
  func giveBack(_ lent: Lent) {
    let next = state.withLock { state -> Parker? in
      if state.idle.count < kept + state.provided { state.idle.append(lent) }
      return state.waiting.isEmpty ? nil : state.waiting.removeFirst()
    }
    next?.wake()
  }

  /// Makes one more, to be there when it is needed.
  ///
  /// - Returns: `false` when there is no descriptor for it.
  func provide() -> Bool {
    guard let lent = try? make() else { return false }
    state.withLock { $0.provided += 1 }
    giveBack(lent)
    return true
  }

  /// Takes back what ``provide()`` made.
  func withdraw() {
    let surplus = state.withLock { state in
      state.provided -= 1
      return state.idle.count > 1 ? state.idle.popLast() : nil
    }
    _ = consume surplus
  }

  /// Closes those that nobody uses, except so many: for those who count descriptors.
  func releaseIdle(except most: Int = 0) {
    let surplus = state.withLock { state in
      let surplus = Array(state.idle.dropFirst(most))
      state.idle.removeLast(surplus.count)
      return surplus
    }
    _ = consume surplus
  }
}
