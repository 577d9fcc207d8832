internal import CFin
internal import Synchronization
internal import SystemPackage

/// A registration at an event loop, where tasks wait: for a socket, for a deadline, or for an explicit wake. It is
/// similar to tokio's `ScheduledIo`.
///
/// The readiness that the loop reports is cached here between waits, because each edge is reported only once. So a task
/// that waits later does not wait for an event that has already happened. Any thread may park, wake or deliver.
/// Whichever of {event, deadline, cancellation, close} comes first takes the waiter out of the list under the lock, and
/// only the thread that took it out resumes it.
///
/// `Proof/registration.pml` checks every order of the steps that are named here.
final class Registration: Wakeable, Sendable {
  /// The condition that a task waits for.
  struct Interest: Sendable {
    // Laid out like the word of the registration: the readiness in the low byte, the count of changes above it. A
    // single word, because every waiter has one.
    private let word: UInt64
    private static let change: UInt64 = 1 << 7

    /// The socket is ready for a read.
    static let input = Interest(word: UInt64(Readiness.input.rawValue))
    /// The socket is ready for a write.
    static let output = Interest(word: UInt64(Readiness.output.rawValue))
    /// Only the deadline, or an explicit wake.
    static let nothing = Interest(word: 0)
    /// Any change since the count of changes was `count`.
    static func change(since count: UInt64) -> Interest { Interest(word: count << Registration.countShift | change) }

    fileprivate func isMet(by word: UInt64) -> Bool {
      if self.word & Interest.change != 0 { return Registration.changes(word) != Registration.changes(self.word) }
      return self.word & word != 0
    }
  }

  /// Why a wait is over.
  enum WakeReason: Sendable {
    /// The condition that the task waited for.
    case ready
    /// An explicit wake, at which all waiters check again: because of a close, a stop, a pause, or the cancellation of
    /// the ``TaskScope``'s task.
    case look
    case timedOut
    case cancelled
    /// The reactor was stopped.
    case stopped
  }

  fileprivate struct Waiter {
    let task: Resumption<WakeReason>
    let deadline: Deadline
    /// The identity of the task, if it waits with a cancellation handler of its own; 0 otherwise. A task waits at one
    /// registration at a time, so that its identity is unique among the waiters. A wait id from a counter could wrap.
    let canceller: UInt
    let interest: Interest
  }

  struct State {
    fileprivate var waiters = TinyArray<Waiter>()
    fileprivate var isStopped = false
    /// The time by which the loop will check this registration.
    fileprivate var alarm = Deadline.never

    fileprivate var earliest: Deadline {
      var earliest = Deadline.never
      waiters.forEach { earliest = min(earliest, $0.deadline) }
      return earliest
    }
  }

  let loop: EventLoop
  let token: Token
  // [packed word]
  /// Readiness in the low byte, the count of changes above it. At a million changes a second, the count wraps after two
  /// thousand years.
  private let word: Atomic<UInt64>
  fileprivate static let countShift: UInt64 = 8
  private let state = Mutex(State())

  /// - Parameter changes: the initial count of changes; tests begin near its maximum.
  init(loop: EventLoop, token: Token, changes: UInt64 = 0) {
    self.loop = loop
    self.token = token
    // Begins without readiness: the poller reports what is ready when it begins to watch as the first event.
    word = Atomic(changes << Registration.countShift)
  }

  // MARK: Cached readiness

  /// The cached readiness and the count of changes, at one moment.
  struct Snapshot: Sendable {
    fileprivate let word: UInt64
    var readiness: Readiness { Readiness(rawValue: UInt8(truncatingIfNeeded: word)) }
    var changes: UInt64 { Registration.changes(word) }
  }

  fileprivate static func changes(_ word: UInt64) -> UInt64 { word >> countShift }

  /// KNOW: loads the word.
  var snapshot: Snapshot { Snapshot(word: word.load(ordering: .acquiring)) }

  /// CLEAR: clears `readiness`, because a system call made at the moment of `seen` or later has used it up. If anything
  /// has changed since `seen`, the word stays as it is.
  func clear(_ readiness: Readiness, since seen: Snapshot) {
    let cleared = seen.word & ~UInt64(readiness.rawValue)
    _ = word.compareExchange(expected: seen.word, desired: cleared, ordering: .acquiringAndReleasing)
  }

  /// NOTE: sets the bits and counts the change. Without the count, a ``clear(_:since:)`` could not distinguish
  /// readiness that it has seen from readiness that has come back since.
  private func note(_ readiness: Readiness) {
    var old = word.load(ordering: .relaxed)
    while true {
      let new = (old | UInt64(readiness.rawValue)) &+ (1 << Registration.countShift)
      let (done, seen) = word.weakCompareExchange(expected: old, desired: new, ordering: .acquiringAndReleasing)
      if done { return }
      old = seen
    }
  }

  // MARK: Waiting

  /// The number of tasks that wait here, at one moment.
  var waiterCount: Int { state.withLock { $0.waiters.count } }

  /// Waits until `interest` is met, ``wake()`` is called, the task is cancelled, the reactor stops, or the
  /// deadline passes.
  ///
  /// - Parameters:
  ///   - isWatched: whether the task's ``TaskScope`` calls ``wake()`` when the task is cancelled. The wait then needs
  ///     no cancellation handler of its own.
  ///   - isOver: called when no concurrent wake can be missed any more; if it returns true, there is no wait.
  @inline(__always)
  nonisolated(nonsending) func park(
    _ interest: Interest, until deadline: Deadline, isWatched: Bool = false, unless isOver: () -> Bool = { false }
  ) async -> WakeReason {
    if isWatched {
      return unsafe await withUnsafeContinuation { continuation in
        let task = unsafe Resumption(continuation)
        begin(Waiter(task: task, deadline: deadline, canceller: 0, interest: interest), unless: isOver)
      }
    }
    return await parkWatching(interest, until: deadline, unless: isOver)
  }

  // [outlined slow path] Keeps its locals out of the async frame of a wait that is watched.
  @inline(never)
  private nonisolated(nonsending) func parkWatching(
    _ interest: Interest, until deadline: Deadline, unless isOver: () -> Bool
  ) async -> WakeReason {
    let canceller = CurrentTask.identity
    return await withTaskCancellationHandler {
      unsafe await withUnsafeContinuation { continuation in
        let task = unsafe Resumption(continuation)
        begin(Waiter(task: task, deadline: deadline, canceller: canceller, interest: interest), unless: isOver)
      }
    } onCancel: {
      cancel(canceller)
    }
  }

  /// BEGIN, for a task whose ``TaskScope`` calls ``wake()`` when the task is cancelled.
  @inline(__always)
  func begin(
    _ task: Resumption<WakeReason>, for interest: Interest, until deadline: Deadline, unless isOver: () -> Bool
  ) {
    begin(Waiter(task: task, deadline: deadline, canceller: 0, interest: interest), unless: isOver)
  }

  /// BEGIN: adds the waiter to the list, or resumes it at once when there is a reason not to wait.
  private func begin(_ waiter: Waiter, unless isOver: () -> Bool) {
    enum Beginning { case over(WakeReason), waiting, waitingEarlier }
    let beginning: Beginning = state.withLock { state in
      if state.isStopped { return .over(.stopped) }
      if isOver() { return .over(.look) }
      // A task is marked as cancelled before its handlers run, and the handler here takes the lock. Checked before the
      // readiness, which stays cached: a task that finds an event at each wait, perhaps one that yields nothing, would
      // otherwise never notice its cancellation.
      if CurrentTask.isCancelled { return .over(.cancelled) }
      // `deliver` writes the word before it takes the lock.
      if waiter.interest.isMet(by: word.load(ordering: .acquiring)) { return .over(.ready) }
      state.waiters.append(waiter)
      if waiter.deadline >= state.alarm { return .waiting }
      state.alarm = waiter.deadline
      return .waitingEarlier
    }
    switch beginning {
    case .over(let wake): waiter.task.resume(wake)
    // The task that runs on this thread next begins a new share.
    case .waiting: fin_begin_share()
    // EARLIER: the loop may sleep until a later deadline.
    case .waitingEarlier:
      fin_begin_share()
      loop.look(at: self, by: waiter.deadline)
    }
  }

  /// CANCEL: ends the wait of that task only. Other tasks go on waiting.
  private func cancel(_ canceller: UInt) { resumeAll(.cancelled) { $0.canceller == canceller } }

  /// DELIVER: caches the readiness that the loop reports, and resumes the tasks whose interest is met.
  func deliver(_ readiness: Readiness) {
    note(readiness)
    let word = word.load(ordering: .acquiring)
    resumeAll(.ready) { $0.interest.isMet(by: word) }
  }

  /// WAKE: makes all waiters check again. The wake counts as a change, so that a task that waits for
  /// ``Interest/change(since:)`` and is not in the list yet sees it when it begins to wait.
  func wake() {
    note([])
    resumeAll(.look) { _ in true }
  }

  /// STOP: ends all waits and refuses new ones, because the loop delivers no more events.
  func stop() {
    state.withLock { $0.isStopped = true }
    note(.untracked)
    resumeAll(.stopped) { _ in true }
  }

  /// EXPIRE: ends the waits whose deadlines have passed.
  ///
  /// - Returns: when to check again.
  func expire(at now: Int64) -> Deadline {
    resumeAll(.timedOut) { $0.deadline.nanoseconds <= now }
    return state.withLock { state in
      state.alarm = state.earliest
      return state.alarm
    }
  }

  /// TAKE: takes all waiters that match at one moment out of the list, and resumes them after the lock is released. A
  /// task that waits again meanwhile is not among them. An executor may run a task before `resume` returns, and two
  /// tasks could otherwise wake each other for as long as they wait.
  private func resumeAll(_ wake: WakeReason, _ isMeant: (Waiter) -> Bool) {
    // A single match takes no memory: so it is with one waiter, or with two that wait for different conditions.
    let taken = state.withLock { $0.waiters.takeAll(where: isMeant) }
    taken.forEach { $0.task.resume(wake) }
  }

  /// Removes the registration from the loop, before the descriptor is closed.
  ///
  /// - Parameter descriptor: the socket that was watched; −1 for a registration without a socket.
  func leave(watching descriptor: CInt = -1) { loop.remove(self, watching: descriptor) }
}
