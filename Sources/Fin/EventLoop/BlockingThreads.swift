internal import CFin
internal import FinBase
internal import Synchronization
internal import SystemPackage

/// Threads for work that blocks: files, locks, databases, libraries that know nothing of tasks.
///
/// A task on an event loop must not block, and neither an actor nor a `@concurrent` function leaves the loop: both run
/// where the task prefers to run. `Reactor.blocking { … }` uses ``shared``. A program makes an
/// object of its own for a limit of its own, such as the number of connections of a database.
///
/// A thread is started when work finds none free, and ends when it has had none for 10 s.
public final class BlockingThreads: Sendable {
  /// The threads of the process for work that blocks: 64 at most.
  public static let shared = BlockingThreads()

  /// A piece of work as the queue sees it.
  private struct Work: Sendable {
    let run: @Sendable () -> Void
    let refuse: @Sendable (SocketError.Cause) -> Void
  }

  private struct State {
    /// The work that has not begun, by its ticket. Work that is withdrawn leaves a gap.
    var waiting: [UInt64: Work] = [:]
    var firstTicket: UInt64 = 0
    var nextTicket: UInt64 = 0
    var idle: [Parker] = []
    var threads = 0

    mutating func takeFirst() -> Work? {
      if waiting.isEmpty { return nil }
      while true {
        let work = waiting.removeValue(forKey: firstTicket)
        firstTicket &+= 1
        if let work { return work }
      }
    }
  }

  private let limit: Int
  private let queue: Int
  private let rest: Duration
  private let start: @Sendable (@escaping @Sendable () -> Void) -> CInt
  private let state = Mutex(State())

  /// Makes threads with a limit of their own. None is started yet.
  ///
  /// - Parameters:
  ///   - threads: the largest number of threads, and so of pieces of work that run at the same time; at least 1.
  ///   - queue: the largest number of pieces of work that wait for a thread.
  public convenience init(threads: Int = 64, queue: Int = 65_536) {
    self.init(threads: threads, queue: queue, rest: .seconds(10)) { DetachedThread.start($0) }
  }

  /// - Parameters:
  ///   - rest: the time for which a thread waits for more work.
  ///   - start: starts a thread, and returns the result of `pthread_create`.
  init(
    threads: Int, queue: Int, rest: Duration, start: @escaping @Sendable (@escaping @Sendable () -> Void) -> CInt
  ) {
    limit = max(1, threads)
    self.queue = max(0, queue)
    self.rest = rest
    self.start = start
  }

  /// The number of pieces of work that wait for a thread, at one moment.
  var waitingCount: Int { state.withLock { $0.waiting.count } }

  /// The number of threads, at one moment.
  var threadCount: Int { state.withLock { $0.threads } }

  // MARK: Running

  /// Runs `body` in a thread in which it may block, and suspends the task until it has returned.
  ///
  /// The body sees the task-local values of Fin, such as ``Ledger/current``, and no others. Work that has begun cannot
  /// be interrupted: a cancelled task still waits for it.
  /// - Parameters:
  ///   - within: the time in which the work has to begin; 60 s by default.
  ///   - body: the work.
  /// - Returns: the result of the body.
  /// - Throws: the error of the body; a ``SocketError`` when the body did not begin: `.cancelled`; `.timedOut` when no
  ///   thread was free in time; `.tooManyOperations` when the queue is full; `.system(EAGAIN)` when the process can
  ///   have no further thread; `.reactorStopped`.
  @_disfavoredOverload
  public func run<R: Sendable>(
    within: Timeout = .default, _ body: @escaping @Sendable () throws -> R
  ) async throws -> R {
    try await outcome(within, body).get()
  }

  /// Runs `body`, which throws no other errors than Fin's, in a thread in which it may block.
  ///
  /// - Throws: the error of the body, or the reason why it did not begin, as the form for other errors does.
  public func run<R: Sendable>(
    within: Timeout = .default, _ body: @escaping @Sendable () throws(SocketError) -> R
  ) async throws(SocketError) -> R {
    try await outcome(within, body).get()
  }

  /// The outcome of the work. Throws when the work did not begin.
  private nonisolated(nonsending) func outcome<R: Sendable, E: Error>(
    _ within: Timeout, _ body: @escaping @Sendable () throws(E) -> R
  ) async throws(SocketError) -> Result<R, E> {
    if Task.isCancelled { throw SocketError(.blockingWork, .cancelled) }
    let registration: Registration
    do throws(WaitError) { registration = try Reactor.nearest().makeRegistration() } catch {
      throw SocketError(.blockingWork, error.cause)
    }
    defer { registration.leave() }
    // Read before the work is queued: an end that comes from then on ends the wait.
    let changes = registration.snapshot.changes
    let job = BlockingJob<R, E>(waking: registration)
    let ticket = try add(
      Work(
        run: InheritedTaskLocals.current.surround {
          do throws(E) { job.end(.success(.success(try body()))) } catch { job.end(.success(.failure(error))) }
        },
        refuse: { job.end(.failure($0)) }))
    let wake = await registration.park(
      .change(since: changes), until: Deadline(allowing: within.or(.seconds(60))))
    if let interruption = wake.interruption, withdraw(ticket) { throw SocketError(.blockingWork, interruption.cause) }
    // Work that has begun is awaited, whatever happens meanwhile: its result must not be lost.
    await job.hasEnded.wait()
    switch job.outcome.withLock({ $0.take() }) {
    case .success(let result)?: return result
    case .failure(let cause)?: throw SocketError(.blockingWork, cause)
    case nil: fatalError("work in a thread ended without an outcome")
    }
  }

  // MARK: Threads

  /// Queues the work, and gets it a thread if the limit allows.
  ///
  /// - Returns: the ticket with which it can be withdrawn.
  private func add(_ work: Work) throws(SocketError) -> UInt64 {
    let (ticket, sleeper, isNew): (UInt64, Parker?, Bool) = try state.withLock { state throws(SocketError) in
      let isFree = !state.idle.isEmpty || state.threads < limit
      guard isFree || state.waiting.count < queue else {
        throw SocketError(.blockingWork, .tooManyOperations, note: "\(queue) pieces of work wait for \(limit) threads")
      }
      let ticket = state.nextTicket
      state.nextTicket &+= 1
      state.waiting[ticket] = work
      if let sleeper = state.idle.popLast() { return (ticket, sleeper, false) }
      guard state.threads < limit else { return (ticket, nil, false) }
      state.threads += 1
      return (ticket, nil, true)
    }
    sleeper?.wake()
    if isNew { begin() }
    return ticket
  }

  private func begin() {
    let code = start { [self] in work() }
    guard code != 0 else { return }
    // Without any thread, the work that waits would never begin.
    let stranded: [Work] = state.withLock { state in
      state.threads -= 1
      guard state.threads == 0 else { return [] }
      defer { state.waiting = [:] }
      return Array(state.waiting.values)
    }
    for work in stranded { work.refuse(.system(Errno(rawValue: code))) }
  }

  /// Takes work that has not begun out of the queue.
  ///
  /// - Returns: `false` when it has begun.
  private func withdraw(_ ticket: UInt64) -> Bool {
    state.withLock { $0.waiting.removeValue(forKey: ticket) != nil }
  }

  /// The body of each thread: runs the work in the queue, and waits for more.
  private func work() {
    unsafe fin_name_thread("fin-blocking")
    let parker = Parker()
    while true {
      while let next = state.withLock({ $0.takeFirst() }) { next.run() }
      let isIdle = state.withLock { state in
        guard state.waiting.isEmpty else { return false }
        state.idle.append(parker)
        return true
      }
      guard isIdle else { continue }
      let isWoken = parker.park(until: Deadline(after: rest))
      let isOver = state.withLock { state in
        if let index = state.idle.firstIndex(where: { $0 === parker }) { state.idle.remove(at: index) }
        guard !isWoken, state.waiting.isEmpty else { return false }
        state.threads -= 1
        return true
      }
      if isOver { return }
    }
  }
}

/// A piece of work, which ends in one thread and is awaited in a task.
private final class BlockingJob<R: Sendable, E: Error>: Sendable {
  /// The result of the body, or the reason why it did not begin.
  let outcome = Mutex<Result<Result<R, E>, SocketError.Cause>?>(nil)
  let hasEnded = TaskParker()
  private let registration: Registration

  init(waking registration: Registration) { self.registration = registration }

  func end(_ result: Result<Result<R, E>, SocketError.Cause>) {
    outcome.withLock { $0 = result }
    hasEnded.wake()
    registration.wake()
  }
}

extension Reactor {
  /// Runs `body` in a thread in which it may block, and suspends the task until it has returned: a file, a lock, a
  /// database, a library that knows nothing of tasks.
  ///
  /// It is `run(within:_:)` of ``BlockingThreads/shared``.
  /// ```swift
  /// let page = try await Reactor.blocking { try FileDescriptor.open(path, .readOnly).closeAfter { … } }
  /// ```
  /// - Parameters:
  ///   - within: the time in which the work has to begin; 60 s by default.
  ///   - body: the work.
  /// - Returns: the result of the body.
  /// - Throws: the error of the body; a ``SocketError`` when the body did not begin.
  @_disfavoredOverload
  public static func blocking<R: Sendable>(
    within: Timeout = .default, _ body: @escaping @Sendable () throws -> R
  ) async throws -> R {
    try await BlockingThreads.shared.run(within: within, body)
  }

  /// Runs `body`, which throws no other errors than Fin's, in a thread in which it may block.
  ///
  /// - Throws: the error of the body, or the reason why it did not begin.
  public static func blocking<R: Sendable>(
    within: Timeout = .default, _ body: @escaping @Sendable () throws(SocketError) -> R
  ) async throws(SocketError) -> R {
    try await BlockingThreads.shared.run(within: within, body)
  }
}
