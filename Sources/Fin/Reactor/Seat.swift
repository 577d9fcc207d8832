internal import CFin
internal import Synchronization
internal import SystemPackage

/// A place at a loop where tasks wait: for a socket, for a deadline, for somebody's word.
///
/// What the loop hears of the socket is kept here between waits (edges are told once), so that a task that comes later does
/// not wait for what has already happened. Any thread may park, wake or deliver; whichever of {event, deadline, cancellation,
/// close} comes first takes the waiter out of the list under the lock, and only who took it resumes it.
///
/// `Proof/seat.pml` goes through every order of the steps that are named here.
final class Seat: Wakeable, Sendable {
  /// What a task waits for.
  struct Interest: Sendable {
    // As the word is made: what is meant in the low byte, the count of changes above. A waiter has one of these.
    private let word: UInt64
    private static let change: UInt64 = 1 << 7

    /// A read may bring something.
    static let input = Interest(word: UInt64(Readiness.input.rawValue))
    /// A write may be taken.
    static let output = Interest(word: UInt64(Readiness.output.rawValue))
    /// That it is time, or somebody's word.
    static let nothing = Interest(word: 0)
    /// Anything at all has happened since the moment of this count.
    static func change(since count: UInt64) -> Interest { Interest(word: count << Seat.countShift | change) }

    fileprivate func isMet(by word: UInt64) -> Bool {
      if self.word & Interest.change != 0 { return Seat.changes(word) != Seat.changes(self.word) }
      return self.word & word != 0
    }
  }

  /// Why a wait is over.
  enum Wake: Sendable {
    /// What was waited for.
    case ready
    /// Somebody wants everybody to look again: a close, a stop, a pause.
    case look
    case timedOut
    case cancelled
    /// The reactor was stopped.
    case stopped
  }

  fileprivate struct Waiter {
    let task: Resumption<Wake>
    let deadline: Deadline
    /// Who waits, if it hears of its cancellation by itself; 0 else. A task waits at one place at a time: its identity is unique
    /// among those who wait, and no count of waits comes to an end.
    let canceller: UInt
    let interest: Interest
  }

  struct State {
    fileprivate var waiters = Few<Waiter>()
    fileprivate var isStopped = false
    /// When the loop will look at this seat, at the latest.
    fileprivate var alarm = Deadline.never

    fileprivate var earliest: Deadline {
      var earliest = Deadline.never
      waiters.forEach { earliest = min(earliest, $0.deadline) }
      return earliest
    }
  }

  let loop: Loop
  let token: Token
  /// Readiness in the low byte, the count of changes above it: at a million a second it comes round in two thousand years.
  private let word: Atomic<UInt64>
  fileprivate static let countShift: UInt64 = 8
  private let state = Mutex(State())

  /// - Parameter changes: where the count begins; near its end in tests.
  init(loop: Loop, token: Token, changes: UInt64 = 0) {
    self.loop = loop
    self.token = token
    // What is ready when the poller begins to watch is told as the first event.
    word = Atomic(changes << Seat.countShift)
  }

  // MARK: What is known

  /// What was known at one moment.
  struct Knowledge: Sendable {
    fileprivate let word: UInt64
    var readiness: Readiness { Readiness(rawValue: UInt8(truncatingIfNeeded: word)) }
    var changes: UInt64 { Seat.changes(word) }
  }

  fileprivate static func changes(_ word: UInt64) -> UInt64 { word >> countShift }

  /// KNOW.
  var known: Knowledge { Knowledge(word: word.load(ordering: .acquiring)) }

  /// CLEAR: there was nothing more to be had than what was had, at the moment of `seen` or later; if anything has happened since,
  /// that stands.
  func clear(_ readiness: Readiness, since seen: Knowledge) {
    let cleared = seen.word & ~UInt64(readiness.rawValue)
    _ = word.compareExchange(expected: seen.word, desired: cleared, ordering: .acquiringAndReleasing)
  }

  /// NOTE: counted, so that a ``clear(_:since:)`` of what was ready already is told from one of what is ready again.
  private func note(_ readiness: Readiness) {
    var old = word.load(ordering: .relaxed)
    while true {
      let new = (old | UInt64(readiness.rawValue)) &+ (1 << Seat.countShift)
      let (done, seen) = word.weakCompareExchange(expected: old, desired: new, ordering: .acquiringAndReleasing)
      if done { return }
      old = seen
    }
  }

  // MARK: Waiting

  /// How many tasks wait here, at one moment.
  var waiterCount: Int { state.withLock { $0.waiters.count } }

  /// Waits until `interest` is met, somebody calls ``wake()``, or the deadline passes.
  ///
  /// - Parameters:
  ///   - isWatched: somebody will call ``wake()`` when this task is cancelled: it need not be arranged for each wait.
  ///   - isOver: asked once nobody's wake can be missed any more; when true there is no wait.
  @inline(__always)
  nonisolated(nonsending) func park(
    _ interest: Interest, until deadline: Deadline, isWatched: Bool = false, unless isOver: () -> Bool = { false }
  ) async -> Wake {
    if isWatched {
      return unsafe await withUnsafeContinuation { continuation in
        let task = unsafe Resumption(continuation)
        begin(Waiter(task: task, deadline: deadline, canceller: 0, interest: interest), unless: isOver)
      }
    }
    return await parkWatching(interest, until: deadline, unless: isOver)
  }

  // Apart, so that its room is not kept where waits are watched.
  @inline(never)
  private nonisolated(nonsending) func parkWatching(
    _ interest: Interest, until deadline: Deadline, unless isOver: () -> Bool
  ) async -> Wake {
    let canceller = unsafe UInt(bitPattern: swift_task_getCurrent())
    return await withTaskCancellationHandler {
      unsafe await withUnsafeContinuation { continuation in
        let task = unsafe Resumption(continuation)
        begin(Waiter(task: task, deadline: deadline, canceller: canceller, interest: interest), unless: isOver)
      }
    } onCancel: {
      cancel(canceller)
    }
  }

  /// BEGIN.
  private func begin(_ waiter: Waiter, unless isOver: () -> Bool) {
    enum Beginning { case over(Wake), waiting, waitingEarlier }
    let beginning: Beginning = state.withLock { state in
      if state.isStopped { return .over(.stopped) }
      if isOver() { return .over(.look) }
      // A task is marked as cancelled before its handlers run, and ours takes the lock. Asked before the event: what is
      // there stays, but who each time finds one that brings nothing, or one more, would never hear of the cancellation.
      if Task.isCancelled { return .over(.cancelled) }
      // Whoever delivers writes the word before it takes the lock.
      if waiter.interest.isMet(by: word.load(ordering: .acquiring)) { return .over(.ready) }
      state.waiters.append(waiter)
      if waiter.deadline >= state.alarm { return .waiting }
      state.alarm = waiter.deadline
      return .waitingEarlier
    }
    switch beginning {
    case .over(let wake): waiter.task.resume(wake)
    // Whoever runs here next begins anew.
    case .waiting: fin_begin_share()
    // EARLIER: the loop may sleep until a later one.
    case .waitingEarlier:
      fin_begin_share()
      loop.look(at: self, by: waiter.deadline)
    }
  }

  /// CANCEL: that task only, whoever else waits here.
  private func cancel(_ canceller: UInt) { resumeAll(.cancelled) { $0.canceller == canceller } }

  /// DELIVER: the loop tells what has happened to the socket.
  func deliver(_ readiness: Readiness) {
    note(readiness)
    let word = word.load(ordering: .acquiring)
    resumeAll(.ready) { $0.interest.isMet(by: word) }
  }

  /// WAKE: everybody looks again, now or, for ``Interest/change(since:)``, when they next would wait.
  func wake() {
    note([])
    resumeAll(.look) { _ in true }
  }

  /// STOP: the loop will not deliver any more.
  func stop() {
    state.withLock { $0.isStopped = true }
    note(.untold)
    resumeAll(.stopped) { _ in true }
  }

  /// EXPIRE: the loop looks because it is time.
  ///
  /// - Returns: when to look again.
  func expire(at now: Int64) -> Deadline {
    resumeAll(.timedOut) { $0.deadline.nanoseconds <= now }
    return state.withLock { state in
      state.alarm = state.earliest
      return state.alarm
    }
  }

  /// TAKE: all who are meant at this moment, and nobody is resumed under the lock. Who waits again meanwhile is not among them:
  /// where an executor runs a task before `resume` returns, two tasks would else wake each other for as long as they wait.
  private func resumeAll(_ wake: Wake, _ isMeant: (Waiter) -> Bool) {
    // One waiter, or two for different things, take no memory.
    let taken = state.withLock { $0.waiters.takeAll(where: isMeant) }
    taken.forEach { $0.task.resume(wake) }
  }

  /// Gives the place back, before the descriptor is closed.
  ///
  /// - Parameter descriptor: the socket that was watched; −1 when only deadlines and words were waited for.
  func leave(watching descriptor: CInt = -1) { loop.remove(self, watching: descriptor) }
}
