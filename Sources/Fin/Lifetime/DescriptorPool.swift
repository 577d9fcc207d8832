internal import Synchronization
internal import SystemPackage

/// A pool of objects that each own a descriptor and are needed only during a wait.
final class DescriptorPool<Element: Sendable>: Sendable {
  private struct State {
    var idle: [Element] = []
    /// The number of objects created ahead of need, for threads that must not fail for lack of one.
    var provided = 0
  }

  /// The number of idle objects that are kept for later waits, besides those that were provided.
  private let kept = 64
  private let make: @Sendable () throws(Errno) -> Element
  private let state = Mutex(State())

  init(make: @escaping @Sendable () throws(Errno) -> Element) { self.make = make }

  /// Takes an object out of the pool, or makes one when the pool is empty. It is the caller's alone until it is
  /// given back.
  func borrow() throws(Errno) -> Element {
    if let lent = state.withLock({ $0.idle.popLast() }) { return lent }
    return try make()
  }

  /// Puts an object back. The borrower must have removed it from every list through which another thread could use it.
  func giveBack(_ lent: Element) {
    state.withLock { state in
      if state.idle.count < kept + state.provided { state.idle.append(lent) }
    }
  }

  /// Makes one more object ahead of need.
  ///
  /// - Returns: `false` when no descriptor was available for it.
  func reserve() -> Bool {
    guard let lent = try? make() else { return false }
    state.withLock { $0.provided += 1 }
    giveBack(lent)
    return true
  }

  /// Reverses one ``reserve()``: closes an idle object, unless it is the last idle one.
  func unreserve() {
    let surplus = state.withLock { state in
      state.provided -= 1
      return state.idle.count > 1 ? state.idle.popLast() : nil
    }
    _ = consume surplus
  }

  /// Closes the idle objects, except `most` of them. For code that counts the process's descriptors.
  func releaseIdle(except most: Int = 0) {
    let surplus = state.withLock { state in
      let surplus = Array(state.idle.dropFirst(most))
      state.idle.removeLast(surplus.count)
      return surplus
    }
    _ = consume surplus
  }
}
