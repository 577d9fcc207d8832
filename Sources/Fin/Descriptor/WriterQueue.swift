internal import CFin

/// The writers that wait for their turn at one ``Gate``, first come, first served.
///
/// A list whose links lie in its members: to come, to give up and to be served each take the same few steps, however long the
/// queue is. Everything here is guarded by the gate's lock, but for waking, which happens outside of it.
final class WriterQueue: @unchecked Sendable {
  /// Writers that may wait at one socket; one more is refused as `.tooManyOperations`.
  static let most = 65_536

  /// A writer that waits for its turn.
  final class Turn: @unchecked Sendable {
    enum State { case queued, granted, refused }

    private let waker: any Wakeable
    fileprivate(set) var state = State.queued
    fileprivate var next: Turn?
    // Not retained: it is in the list as long as this one comes after it.
    fileprivate unowned var previous: Turn?

    fileprivate init(waker: any Wakeable) { self.waker = waker }

    fileprivate func wake() { waker.wake() }
  }

  private var first: Turn?
  private unowned var last: Turn?
  private(set) var count = 0
  #if FIN_SEAM
  /// How many turns all that was done here has looked at: what a queue that is searched would give away.
  private(set) var steps = 0
  #endif

  var isEmpty: Bool { count == 0 }
  var isFull: Bool { count >= WriterQueue.most }

  func append(_ waker: any Wakeable) -> Turn {
    let turn = Turn(waker: waker)
    step(turn)
    turn.previous = last
    if let last { last.next = turn } else { first = turn }
    last = turn
    count += 1
    return turn
  }

  /// Takes out one that is in the queue.
  func remove(_ turn: Turn) {
    step(turn)
    let (previous, next) = (turn.previous, turn.next)
    if let next { next.previous = previous } else { last = previous }
    if let previous { previous.next = next } else { first = next }
    turn.previous = nil
    turn.next = nil
    count -= 1
  }

  /// Takes out the first; it is inside from now on, and has to be woken.
  func grantFirst() -> Turn? {
    guard let turn = first else { return nil }
    remove(turn)
    turn.state = .granted
    return turn
  }

  /// Takes out all of them; each is refused from now on.
  ///
  /// - Returns: the first, for ``wakeAll(from:)``.
  func refuseAll() -> Turn? {
    var turn = first
    while let refused = turn {
      step(refused)
      refused.state = .refused
      turn = refused.next
    }
    defer {
      first = nil
      last = nil
      count = 0
    }
    return first
  }

  private func step(_ turn: Turn) {
    #if FIN_SEAM
    steps += 1
    #endif
  }

  // MARK: Waking, outside of the lock

  /// Wakes one that has been granted or refused.
  ///
  /// Where an executor runs a task before `wake` returns, that writer may be done by then, and have let the next one in. That
  /// one is woken when this call has returned to the first of them: inside of it, a long queue would take a level of the stack
  /// for each.
  static func wake(_ turn: Turn) {
    if let waking = unsafe fin_thread_waking() {
      return unsafe waking.assumingMemoryBound(to: [Turn].self).pointee.append(turn)
    }
    var later: [Turn] = []
    unsafe withUnsafeMutablePointer(to: &later) { later in
      unsafe fin_set_thread_waking(later)
      defer { fin_set_thread_waking(nil) }
      turn.wake()
      while unsafe !later.pointee.isEmpty { unsafe later.pointee.removeFirst().wake() }
    }
  }

  /// Wakes all that were refused together.
  static func wakeAll(from first: Turn?) {
    var turn = first
    while let refused = turn {
      // Cut off from the others, which would else be released one inside the other.
      turn = refused.next
      refused.next = nil
      refused.previous = nil
      wake(refused)
    }
  }
}
