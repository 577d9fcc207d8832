internal import Synchronization
internal import SystemPackage

/// Things that cost a descriptor each and are needed only while somebody waits: lent and taken back.
final class Lending<Lent: Sendable>: Sendable {
  private struct State {
    var idle: [Lent] = []
    /// Made ahead of need, for threads that must not fail for want of one.
    var provided = 0
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

  /// Takes one back. Its borrower has left every list from which somebody could use it.
  func giveBack(_ lent: Lent) {
    state.withLock { state in
      if state.idle.count < kept + state.provided { state.idle.append(lent) }
    }
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
