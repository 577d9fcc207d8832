internal import CFin
internal import FinBase
internal import Synchronization
internal import SystemPackage

/// An event loop: one thread that waits for many sockets and runs the tasks that use them.
///
/// It is a `TaskExecutor`. A task that prefers it runs on the loop's own thread, so that a task that waits for a socket
/// is resumed without a hop. A turn runs the queued jobs, at most ``jobsATurn``; polls; resumes the tasks that have
/// events; resumes the tasks whose deadlines have passed; takes in the jobs of other threads; and resumes the tasks
/// that yielded. So no task keeps the others waiting for longer than ``jobsATurn`` jobs, each of which gets
/// ``operationsAJob`` operations before it goes to the end of the queue. A job that computes without an `await` cannot
/// be interrupted, here as anywhere in Swift.
@safe
final class EventLoop: TaskExecutor, @unchecked Sendable {
  static let jobsATurn = 64
  static let operationsAJob = 64

  private let poller: Poller
  private let table = Mutex(Table())

  private struct Table {
    var registrations: [Registration?] = []
    var generations: [UInt32] = []
    var free: [UInt32] = []
    var deadlines = TimerHeap()
    var isStopped = false
  }

  /// The jobs that other threads enqueued.
  private struct Inbox {
    var jobs: [UnownedJob] = []
    /// Whether the thread has ended, or is about to. Jobs then go to the global executor.
    var isOver = false
  }

  private let inbox = Mutex(Inbox())
  /// Set with the first job in the inbox, so that the jobs after it need not wake the loop.
  private let hasMail = Atomic<Bool>(false)
  private let isStopping = Atomic<Bool>(false)

  /// The state that only the loop's own thread uses. Behind a pointer, because the check for exclusivity that Swift
  /// makes at each access to a class's properties would cost more than the access.
  private struct Own: ~Copyable {
    var queue = JobQueue()
    var yielded: [Resumption<Void>] = []
    /// Swapped with `yielded`, so that both keep their storage.
    var resuming: [Resumption<Void>] = []
    var arrived: [(token: Token, readiness: Readiness)] = []
    var batch: [Delivery] = []
    /// Swapped with the inbox's jobs, so that both keep their storage.
    var spare: [UnownedJob] = []
    #if DEBUG
    var watch: HoldWatch
    #endif
  }

  /// An event on its way to its registration, which is retained once, from the table to the end of the delivery.
  @safe private struct Delivery {
    private let registration: Unmanaged<Registration>
    private let readiness: Readiness

    init(_ readiness: Readiness, to registration: Registration) {
      unsafe self.registration = .passRetained(registration)
      self.readiness = readiness
    }

    /// Called once.
    func carryOut() {
      unsafe registration._withUnsafeGuaranteedRef { $0.deliver(readiness) }
      unsafe registration.release()
    }
  }

  private let own: UnsafeMutablePointer<Own>

  /// The values at which the counters of a new loop begin. Tests begin near the maximum.
  struct Beginnings {
    var generation: UInt32 = 0
    var changes: UInt64 = 0
    var wakes: UInt64 = 0
    /// The reactor's count of the loops it has handed out, which selects the next one.
    var turn = 0
    #if DEBUG
    var reportHold = HeldLoop.report
    #endif
  }

  private let beginnings: Beginnings

  init(_ beginnings: Beginnings = Beginnings()) throws(Errno) {
    self.beginnings = beginnings
    poller = try Poller(wakes: beginnings.wakes)
    unsafe own = .allocate(capacity: 1)
    #if DEBUG
    unsafe own.initialize(to: Own(watch: HoldWatch(beginnings.reportHold)))
    #else
    unsafe own.initialize(to: Own())
    #endif
    // Each job of a turn can yield once. With this capacity, no memory is allocated when a job yields for the first
    // time after it has long waited at each turn instead.
    unsafe own.pointee.yielded.reserveCapacity(EventLoop.jobsATurn)
    unsafe own.pointee.resuming.reserveCapacity(EventLoop.jobsATurn)
  }

  deinit {
    unsafe own.deinitialize(count: 1)
    unsafe own.deallocate()
  }

  /// The loop whose thread is the calling one; `nil` on any other thread.
  static var current: EventLoop? {
    guard let mark = unsafe fin_thread_mark() else { return nil }
    return unsafe Unmanaged<EventLoop>.fromOpaque(mark).takeUnretainedValue()
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
    // A loop that was stopped has no thread. A task that still prefers it runs in the global pool.
    guard isTaken else { return globalConcurrentExecutor.enqueue(job) }
    if !hasMail.exchange(true, ordering: .acquiringAndReleasing) { poller.wake() }
  }

  /// Starts the loop's thread.
  ///
  /// - Returns: what `pthread_create` returned.
  func start(name: String) -> CInt {
    DetachedThread.start {
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
      // The clock is read before the poll, so that events that had arrived by a deadline are delivered before the
      // time-out.
      let now = earliest == .never ? Int64.min : Instant.now.nanoseconds
      let isDue = earliest.nanoseconds <= now
      poller.wait(until: isBusy || isDue ? .passed : earliest) { token, readiness in
        unsafe own.pointee.arrived.append((token, readiness))
      }
      if unsafe !own.pointee.arrived.isEmpty { deliver() }
      if isDue { expire(at: now) }
      drainInbox()
      if unsafe !own.pointee.yielded.isEmpty { resumeYielded() }
    }
  }

  private func runJobs() {
    var left = EventLoop.jobsATurn
    let executor = unsafe asUnownedTaskExecutor()
    while left > 0, let job = unsafe own.pointee.queue.popFirst() {
      fin_begin_share()
      #if DEBUG
      let beginning = unsafe own.pointee.watch.begin()
      #endif
      unsafe job.runSynchronously(on: executor)
      #if DEBUG
      unsafe own.pointee.watch.end(beginning)
      #endif
      left -= 1
    }
  }

  #if DEBUG
  /// Records that the job which runs on this thread uses the socket that was opened at `site`.
  static func noteUse(of site: Ledger.Site) {
    if let loop = current { unsafe loop.own.pointee.watch.use(of: site) }
  }
  #endif

  /// Delivers the events to their registrations. An event whose slot has been reused since is dropped here.
  private func deliver() {
    table.withLock { table in
      for (token, readiness) in unsafe own.pointee.arrived
      where table.generations[Int(token.slot)] == token.generation {
        if let registration = table.registrations[Int(token.slot)] {
          unsafe own.pointee.batch.append(Delivery(readiness, to: registration))
        }
      }
    }
    unsafe own.pointee.arrived.removeAll(keepingCapacity: true)
    // A registration that is removed from here on has no waiters.
    for delivery in unsafe own.pointee.batch {
      // A new share, for a task that its executor runs before this call returns.
      fin_begin_share()
      delivery.carryOut()
    }
    unsafe own.pointee.batch.removeAll(keepingCapacity: true)
  }

  private func expire(at now: Int64) {
    while true {
      // The slot may have been freed. Then there is nothing to expire.
      let (isDue, registration): (Bool, Registration?) = table.withLock { table in
        guard let slot = table.deadlines.takeDue(at: now) else { return (false, nil) }
        return (true, table.registrations[Int(slot)])
      }
      if !isDue { return }
      if let registration { look(at: registration, by: registration.expire(at: now)) }
    }
  }

  private func drainInbox() {
    guard hasMail.load(ordering: .acquiring) else { return }
    // Cleared before the inbox is read: a job that is added later wakes the loop again.
    hasMail.store(false, ordering: .sequentiallyConsistent)
    inbox.withLock { inbox in unsafe swap(&inbox.jobs, &own.pointee.spare) }
    for job in unsafe own.pointee.spare { unsafe own.pointee.queue.append(job) }
    unsafe own.pointee.spare.removeAll(keepingCapacity: true)
  }

  // MARK: Stopping

  /// Ends all waits here and refuses new ones. The thread ends when it has run the jobs that it has.
  func stop() {
    let registrations = table.withLock { table in
      table.isStopped = true
      return table.registrations
    }
    for registration in registrations { registration?.stop() }
    isStopping.store(true, ordering: .releasing)
    poller.wake()
  }

  /// Ends the loop, unless the inbox has jobs.
  ///
  /// - Returns: `false` when it has. The thread that enqueued them wakes the loop, or has woken it.
  private func end() -> Bool {
    inbox.withLock { inbox in
      inbox.isOver = inbox.jobs.isEmpty
      return inbox.isOver
    }
  }

  // MARK: Fairness

  /// Counts an operation of the task that runs on this thread, whether the thread is a loop's or not. A task begins a
  /// new share with each job of a loop, with each wait, and when it has yielded.
  ///
  /// - Returns: whether the share is used up, so that the task should yield.
  static func countOperation() -> Bool { fin_count_operation() >= operationsAJob }

  /// Moves the task that runs to the end of its executor's queue.
  // [outlined slow path] Keeps its locals out of the async frame of every function that may yield.
  @inline(never)
  nonisolated(nonsending) static func yield() async {
    if let loop = current {
      return unsafe await withUnsafeContinuation { unsafe loop.own.pointee.yielded.append(Resumption($0)) }
    }
    fin_begin_share()
    // Goes to a loop and back as a job, which cannot be back on its executor before it has left it. `Task.yield` hands
    // over a continuation instead, and a continuation that is resumed before the task has suspended lets no other task
    // run. It would also allocate memory each time.
    guard let loop = try? Reactor.nearest() else { return await Task.yield() }
    await withTaskExecutorPreference(loop) { await pass() }
  }

  @concurrent private static func pass() async {}

  private func resumeYielded() {
    // Swapped out first: an executor may run a task before `resume` returns, and that task may yield again.
    unsafe swap(&own.pointee.yielded, &own.pointee.resuming)
    for task in unsafe own.pointee.resuming {
      fin_begin_share()
      task.resume(())
    }
    unsafe own.pointee.resuming.removeAll(keepingCapacity: true)
  }

  // MARK: Registrations

  /// Makes the registration of a socket, which is watched from now on, or with −1 one for waits without a socket.
  func makeRegistration(_ descriptor: CInt = -1) throws(WaitError) -> Registration {
    let registration: Registration? = table.withLock { table in
      if table.isStopped { return nil }
      let slot: UInt32
      if let free = table.free.popLast() {
        slot = free
      } else {
        slot = UInt32(table.registrations.count)
        table.registrations.append(nil)
        table.generations.append(beginnings.generation)
      }
      let token = Token(slot: slot, generation: table.generations[Int(slot)])
      let registration = Registration(loop: self, token: token, changes: beginnings.changes)
      table.registrations[Int(slot)] = registration
      return registration
    }
    guard let registration else { throw .reactorStopped }
    if descriptor >= 0 {
      do { try poller.add(descriptor, token: registration.token) } catch {
        vacate(registration)
        throw .system(error)
      }
    }
    return registration
  }

  func remove(_ registration: Registration, watching descriptor: CInt) {
    if descriptor >= 0 { poller.remove(descriptor) }
    vacate(registration)
  }

  private func vacate(_ registration: Registration) {
    table.withLock { table in
      let slot = Int(registration.token.slot)
      guard table.registrations[slot] === registration else { return }
      table.registrations[slot] = nil
      // From here on an event that is still on its way matches no registration.
      table.generations[slot] &+= 1
      table.free.append(registration.token.slot)
    }
  }

  /// Schedules a check of the deadlines at `registration`, no later than `deadline`.
  func look(at registration: Registration, by deadline: Deadline) {
    let isFirst = table.withLock { table in
      guard table.registrations[Int(registration.token.slot)] === registration else { return false }
      table.deadlines.set(registration.token.slot, deadline)
      return table.deadlines.earliest == deadline
    }
    // The thread may sleep until a later deadline.
    if isFirst, !isCurrent { poller.wake() }
  }
}
