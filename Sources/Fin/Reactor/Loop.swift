internal import CFin
internal import Synchronization
internal import SystemPackage

/// One thread that waits for many sockets and runs the tasks that use them.
///
/// It is a `TaskExecutor`: a task that prefers it runs on the loop's own thread, so that whoever waits for a socket is
/// resumed without a hop. A turn is: run the jobs that are there, at most ``jobsATurn``; ask the poller; resume whom it
/// names; resume whose time is up; take in what other threads brought. So nobody keeps the others waiting for longer than
/// ``jobsATurn`` jobs, each of which gets ``operationsAJob`` operations before it goes to the end of the queue. A job
/// that computes without an `await` cannot be interrupted, here as anywhere in Swift.
@safe
final class Loop: TaskExecutor, @unchecked Sendable {
  static let jobsATurn = 64
  static let operationsAJob = 64

  private let poller: Poller
  private let table = Mutex(Table())

  private struct Table {
    var seats: [Seat?] = []
    var generations: [UInt32] = []
    var free: [UInt32] = []
    var deadlines = Deadlines()
    var isStopped = false
  }

  /// What other threads brought.
  private struct Inbox {
    var jobs: [UnownedJob] = []
    /// The thread has ended, or is about to; jobs go elsewhere.
    var isOver = false
  }

  private let inbox = Mutex(Inbox())
  /// Set with the first job in the inbox, so that those after it need not wake anybody.
  private let hasMail = Atomic<Bool>(false)
  private let isStopping = Atomic<Bool>(false)

  /// What only the loop's own thread touches. Behind a pointer, because checking each access for exclusivity, as the
  /// language does for a class, would cost more than the access.
  private struct Own {
    var queue = JobQueue()
    var yielded: [Resumption<Void>] = []
    /// The other half of its storage.
    var resuming: [Resumption<Void>] = []
    var arrived: [(token: Token, readiness: Readiness)] = []
    var batch: [(seat: Seat, readiness: Readiness)] = []
    /// The other half of the inbox's storage.
    var spare: [UnownedJob] = []
  }

  private let own: UnsafeMutablePointer<Own>

  /// Where the counters of a new loop begin: near their ends in tests.
  struct Beginnings {
    var generation: UInt32 = 0
    var changes: UInt64 = 0
    var wakes: UInt64 = 0
    /// Of a reactor: which loop is the next.
    var turn = 0
  }

  private let beginnings: Beginnings

  init(_ beginnings: Beginnings = Beginnings()) throws(Errno) {
    self.beginnings = beginnings
    poller = try Poller(wakes: beginnings.wakes)
    unsafe own = .allocate(capacity: 1)
    unsafe own.initialize(to: Own())
    // Each job of a turn can be here once: nothing is allocated when, after a long time, one does not wait for the first time.
    unsafe own.pointee.yielded.reserveCapacity(Loop.jobsATurn)
    unsafe own.pointee.resuming.reserveCapacity(Loop.jobsATurn)
  }

  deinit {
    unsafe own.deinitialize(count: 1)
    unsafe own.deallocate()
  }

  /// The loop whose thread this is.
  static var current: Loop? {
    guard let mark = unsafe fin_thread_mark() else { return nil }
    return unsafe Unmanaged<Loop>.fromOpaque(mark).takeUnretainedValue()
  }

  var isCurrent: Bool { unsafe fin_thread_mark() == Unmanaged.passUnretained(self).toOpaque() }

  // MARK: Jobs

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    if isCurrent { return unsafe own.pointee.queue.append(job) }
    let isTaken = inbox.withLock { inbox in
      if inbox.isOver { return false }
      inbox.jobs.append(job)
      return true
    }
    // A loop that was stopped has no thread; whoever still prefers it runs where everybody runs.
    guard isTaken else { return globalConcurrentExecutor.enqueue(job) }
    if !hasMail.exchange(true, ordering: .acquiringAndReleasing) { poller.wake() }
  }

  /// Starts the loop's thread.
  ///
  /// - Returns: what `pthread_create` returned.
  func start(name: String) -> CInt {
    Threads.start {
      unsafe fin_name_thread(name)
      unsafe fin_set_thread_mark(Unmanaged.passUnretained(self).toOpaque())
      self.run()
      fin_set_thread_mark(nil)
    }
  }

  private func run() {
    while true {
      runJobs()
      let isBusy = unsafe !own.pointee.queue.isEmpty || !own.pointee.yielded.isEmpty
      if !isBusy, isStopping.load(ordering: .acquiring), end() { return }
      let earliest = table.withLock { $0.deadlines.earliest }
      // Read before the poll: what had come when a time was up is told first, so that nobody hears of the time instead.
      let now = earliest == .never ? Int64.min : Instant.now.nanoseconds
      let isDue = earliest.nanoseconds <= now
      poller.wait(until: isBusy || isDue ? .passed : earliest) { token, readiness in
        unsafe own.pointee.arrived.append((token, readiness))
      }
      if unsafe !own.pointee.arrived.isEmpty { deliver() }
      if isDue { expire(at: now) }
      takeMail()
      if unsafe !own.pointee.yielded.isEmpty { resumeYielded() }
    }
  }

  private func runJobs() {
    var left = Loop.jobsATurn
    let executor = unsafe asUnownedTaskExecutor()
    while left > 0, let job = unsafe own.pointee.queue.popFirst() {
      fin_begin_share()
      unsafe job.runSynchronously(on: executor)
      left -= 1
    }
  }

  /// An event whose slot has another tenant by now is dropped here.
  private func deliver() {
    table.withLock { table in
      for (token, readiness) in unsafe own.pointee.arrived
      where table.generations[Int(token.slot)] == token.generation {
        if let seat = table.seats[Int(token.slot)] { unsafe own.pointee.batch.append((seat, readiness)) }
      }
    }
    unsafe own.pointee.arrived.removeAll(keepingCapacity: true)
    // A seat that is given back from here on has nobody waiting on it.
    for (seat, readiness) in unsafe own.pointee.batch {
      // For a task that its executor runs before this returns.
      fin_begin_share()
      seat.deliver(readiness)
    }
    unsafe own.pointee.batch.removeAll(keepingCapacity: true)
  }

  private func expire(at now: Int64) {
    while true {
      // A slot that nobody has any more is looked at for nothing.
      let (isDue, seat): (Bool, Seat?) = table.withLock { table in
        guard let slot = table.deadlines.takeDue(at: now) else { return (false, nil) }
        return (true, table.seats[Int(slot)])
      }
      if !isDue { return }
      if let seat { look(at: seat, by: seat.expire(at: now)) }
    }
  }

  private func takeMail() {
    guard hasMail.load(ordering: .acquiring) else { return }
    // Before the look: who comes after it rings again.
    hasMail.store(false, ordering: .sequentiallyConsistent)
    inbox.withLock { inbox in unsafe swap(&inbox.jobs, &own.pointee.spare) }
    for job in unsafe own.pointee.spare { unsafe own.pointee.queue.append(job) }
    unsafe own.pointee.spare.removeAll(keepingCapacity: true)
  }

  // MARK: The end

  /// Nobody can wait here any more, and whoever does is told. The thread ends when it has run what it has.
  func stop() {
    let seats = table.withLock { table in
      table.isStopped = true
      return table.seats
    }
    for seat in seats { seat?.stop() }
    isStopping.store(true, ordering: .releasing)
    poller.wake()
  }

  /// - Returns: `false` when there still is something to do: whoever brought it rings, or has rung.
  private func end() -> Bool {
    inbox.withLock { inbox in
      inbox.isOver = inbox.jobs.isEmpty
      return inbox.isOver
    }
  }

  // MARK: Fairness

  /// Counts an operation of the task that runs on this thread, be it a loop's or not. A task begins its share with each job of
  /// a loop, with each wait, and when it has let others run.
  ///
  /// - Returns: whether it has had its share, and should let others run.
  static func countOperation() -> Bool { fin_count_operation() >= operationsAJob }

  /// The task that runs goes to the end of its executor's queue.
  // Apart, so that its room is not kept in every function that may yield.
  @inline(never)
  nonisolated(nonsending) static func yield() async {
    if let loop = current {
      return unsafe await withUnsafeContinuation { unsafe loop.own.pointee.yielded.append(Resumption($0)) }
    }
    fin_begin_share()
    // To a loop and back, as a job, which cannot be there again before it has left. `Task.yield` hands over a continuation: one
    // that is resumed before the task has suspended lets nobody run. It would ask for memory each time, too.
    guard let loop = try? Reactor.nearest() else { return await Task.yield() }
    await withTaskExecutorPreference(loop) { await pass() }
  }

  @concurrent private static func pass() async {}

  private func resumeYielded() {
    // Out of the way first: where an executor runs a task before `resume` returns, it may be here again.
    unsafe swap(&own.pointee.yielded, &own.pointee.resuming)
    for task in unsafe own.pointee.resuming {
      fin_begin_share()
      task.resume(())
    }
    unsafe own.pointee.resuming.removeAll(keepingCapacity: true)
  }

  // MARK: Seats

  /// A place for a socket, watched from now on, or with −1 for waits without one.
  func makeSeat(_ descriptor: CInt = -1) throws(Interruption) -> Seat {
    let seat: Seat? = table.withLock { table in
      if table.isStopped { return nil }
      let slot: UInt32
      if let free = table.free.popLast() {
        slot = free
      } else {
        slot = UInt32(table.seats.count)
        table.seats.append(nil)
        table.generations.append(beginnings.generation)
      }
      let token = Token(slot: slot, generation: table.generations[Int(slot)])
      let seat = Seat(loop: self, token: token, changes: beginnings.changes)
      table.seats[Int(slot)] = seat
      return seat
    }
    guard let seat else { throw .reactorStopped }
    if descriptor >= 0 {
      do { try poller.add(descriptor, token: seat.token) } catch {
        vacate(seat)
        throw .system(error)
      }
    }
    return seat
  }

  func remove(_ seat: Seat, watching descriptor: CInt) {
    if descriptor >= 0 { poller.remove(descriptor) }
    vacate(seat)
  }

  private func vacate(_ seat: Seat) {
    table.withLock { table in
      let slot = Int(seat.token.slot)
      guard table.seats[slot] === seat else { return }
      table.seats[slot] = nil
      // From here on an event that is still on its way finds nobody.
      table.generations[slot] &+= 1
      table.free.append(seat.token.slot)
    }
  }

  /// Looks at `seat` by `deadline`, whoever else comes or does not.
  func look(at seat: Seat, by deadline: Deadline) {
    let isFirst = table.withLock { table in
      guard table.seats[Int(seat.token.slot)] === seat else { return false }
      table.deadlines.set(seat.token.slot, deadline)
      return table.deadlines.earliest == deadline
    }
    // The thread may sleep until a later one.
    if isFirst, !isCurrent { poller.wake() }
  }
}
