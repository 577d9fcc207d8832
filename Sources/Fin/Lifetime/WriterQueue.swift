internal import CFin

/// The writers that wait for their turn at one ``Gate``, first come, first served.
///
/// An intrusive list: to append, to give up and to grant a turn takes constant time, however long the queue is. The
/// gate's lock guards everything here except waking, which happens outside it.
final class WriterQueue: @unchecked Sendable {
  /// The most writers that may wait at one socket. One more is refused as `.tooManyOperations`.
  static let most = 65_536

  /// A writer that waits for its turn.
  final class Turn: @unchecked Sendable {
    enum State { case queued, granted, refused }

    private let waker: any Wakeable
    fileprivate(set) var state = State.queued
    fileprivate var next: Turn?
    // Not retained: the previous turn stays in the list for as long as this one follows it.
    fileprivate unowned var previous: Turn?

    fileprivate init(waker: any Wakeable) { self.waker = waker }

    fileprivate func wake() { waker.wake() }
  }

  private var first: Turn?
  private unowned var last: Turn?
  private(set) var count = 0
  #if FIN_SEAM
  /// The number of turns that all operations here have visited. A queue that is searched would show by it.
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

  /// Removes a turn that is in the queue.
  func remove(_ turn: Turn) {
    step(turn)
    let (previous, next) = (turn.previous, turn.next)
    if let next { next.previous = previous } else { last = previous }
    if let previous { previous.next = next } else { first = next }
    turn.previous = nil
    turn.next = nil
    count -= 1
  }

  /// Removes the first turn and grants it. Its writer is inside the gate from now on, and has to be woken.
  func grantFirst() -> Turn? {
    guard let turn = first else { return nil }
    remove(turn)
    turn.state = .granted
    return turn
  }

  /// Removes all turns and refuses them.
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

  // MARK: Waking, outside the lock

  /// Wakes a writer whose turn has been granted or refused.
  ///
  /// An executor may run a task before `wake` returns. The woken writer may then finish and pass the gate to the next
  /// one, which calls this function again further down the stack. Such a call only adds its turn to a list, and the
  /// first call wakes the turns in the list one by one. Otherwise a long queue would take a level of the stack for
  /// each writer.
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

  /// Wakes all writers that were refused together.
  static func wakeAll(from first: Turn?) {
    var turn = first
    while let refused = turn {
      // Unlinked from the others, whose memory would otherwise be released recursively.
      turn = refused.next
      refused.next = nil
      refused.previous = nil
      wake(refused)
    }
  }
}
