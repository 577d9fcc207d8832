internal import CFin
internal import FinBase
internal import Glibc
internal import Synchronization
internal import SystemPackage

/// The close operation of a connection. The closer is alone with the descriptor.
struct CloseOperation {
  let core: Core
  let policy: ClosePolicy
  let start: Instant
  private var ownDeadline: Deadline
  var idle: Duration = .zero
  /// The most bytes from the peer that are read and discarded. Data beyond that may turn the close into a reset.
  var discardLimit = 16 << 20
  static let mostArrived = 16 << 20
  var discarded = 0
  /// The idle deadline. It runs once everything is acknowledged, and starts again when bytes arrive.
  var silence = Deadline.never
  private var watch: EdgeWatch?
  private var waker: Waker?
  /// The parker of a closing thread that has no descriptor to wait with, and the pause until its next check.
  private var parker: Parker?
  private var pause = Duration.milliseconds(1)
  private var isListening = false
  /// Whether a task waits for this operation and can be cancelled.
  private var isForTask = false
  /// The last event that was reported to the lifecycle.
  private var next: Lifecycle.Event?
  var unacknowledged = 0
  var neverSent = 0

  init(core: Core, policy: ClosePolicy, start: Instant) {
    self.core = core
    #if TLS
    let policy = core.securedPolicy(policy)
    #endif
    self.policy = policy
    self.start = start
    switch policy {
    case .confirmed(let within): ownDeadline = Deadline(after: within)
    case .lingering(let within, let idle, let discarding):
      ownDeadline = Deadline(after: within)
      self.idle = idle
      discardLimit = max(0, discarding)
    case .background, .abort: ownDeadline = .never
    }
  }

  /// The deadline: that of this close's policy, or an earlier one set by a later close.
  private var deadline: Deadline { min(ownDeadline, core.closing.withLock { $0.limit }) }

  // MARK: Running

  /// The next thing to do.
  private enum Step {
    /// The lifecycle is over. The report is ready.
    case over(CloseReport)
    /// Wait until the socket has an event or the budget's time is up.
    case wait(Deadline)
  }

  /// Runs the close to its end, in a thread.
  mutating func run() -> CloseReport {
    var isLate = false
    while true {
      switch step(isLate: isLate) {
      case .over(let report): return report
      case .wait(let deadline): isLate = !awaitEdge(until: deadline)
      }
    }
  }

  /// Runs the close to its end, in a task.
  nonisolated(nonsending) mutating func run() async -> CloseReport {
    // A cancelled close aborts.
    if Task.isCancelled { cut() }
    var isLate = false
    while true {
      // Read before the check, so that an event from here on ends the wait.
      let changes = core.lazyRegistration.load()?.snapshot.changes
      switch step(isLate: isLate) {
      case .over(let report): return report
      case .wait(let deadline):
        let registration: Registration
        do throws(WaitError) { registration = try core.registration(.exclusive) } catch {
          // No descriptor for an event loop, or no room in its poller: a thread needs neither.
          if case .system = error { return await runInThread() }
          isLate = true
          continue
        }
        isLate = !(await awaitChange(at: registration, since: changes, until: deadline))
      }
    }
  }

  /// Runs the rest of the close in a thread of its own, for a task that cannot wait at an event loop.
  private nonisolated(nonsending) func runInThread() async -> CloseReport {
    let core = core
    return await withTaskCancellationHandler {
      unsafe await withUnsafeContinuation { (continuation: UnsafeContinuation<CloseReport, Never>) in
        let task = unsafe Resumption(continuation)
        let finish = InheritedTaskLocals.current.surround {
          var end = self
          end.isForTask = true
          task.resume(end.run())
        }
        // If no thread can be started, the task's own thread runs it.
        if DetachedThread.start(finish) != 0 { finish() }
      }
    } onCancel: {
      core.cutShort()
    }
  }

  /// Feeds events to the lifecycle until it is closed or there is no event.
  ///
  /// - Parameter isLate: whether the previous wait ended with its deadline.
  private mutating func step(isLate: Bool) -> Step {
    if next == nil {
      guard let first = begin() else { return .over(report(.shared)) }
      // A close that was cut short before it began aborts, even when its policy is background.
      next = closingIsCut ? .abort : first
    } else if isLate {
      next = .deadline
    } else if let event = nextEvent(in: core.phase) {
      next = event
    } else {
      return .wait(min(deadline, silence))
    }
    while true {
      let phase = core.phase
      guard let transition = core.advance(next!) else {
        preconditionFailure("no transition from \(phase) on \(next!)")
      }
      let came = perform(transition.actions)
      if transition.next == .closed {
        stopWatching()
        return .over(report(ending(came == .failed ? .failure : transition.outcome, from: phase)))
      }
      guard let event = came ?? nextEvent(in: transition.next) else { return .wait(min(deadline, silence)) }
      next = event
    }
  }

  /// - Returns: the first event; `nil` when another descriptor of ours shares the connection. The connection goes on
  ///   there, and only this descriptor is released.
  private mutating func begin() -> Lifecycle.Event? {
    discarded = core.buffered
    let isLast = core.connectionState.update { state in
      state.owners -= 1
      return state.owners == 0
    }
    if !isLast {
      core.advance(.abort)
      return nil
    }
    // A failure that no call has reported yet has to be in the report.
    if core.takeError(.exclusive) != nil { core.advance(.failed) }
    return policy.event
  }

  /// - Returns: the event that occurred meanwhile, if there was one.
  private mutating func perform(_ actions: Lifecycle.Actions) -> Lifecycle.Event? {
    var event: Lifecycle.Event?
    // A duplicate may have sent the FIN; once the peer's FIN has arrived too, the kernel would refuse a second
    // shutdown.
    if actions.contains(.shutdownWrite), !core.connectionState.value.isFINQueued {
      core.connectionState.update { $0.finishedSending = true }
      #if TLS
      // Sealed bytes that the kernel has no room for go first; the FIN follows them, in nextEvent.
      let mayFinish = core.sayClose(.exclusive)
      #else
      let mayFinish = true
      #endif
      do {
        if mayFinish {
          try Syscalls.shutdown(core.number(.exclusive), CInt(SHUT_WR))
          core.connectionState.update { $0.isFINQueued = true }
        }
      } catch {
        if core.takeError(.exclusive) == nil { _ = core.fail(.connectionReset) }
        event = .failed
      }
    }
    // A spent budget is judged in nextEvent, together with what was acknowledged by then. After EOF nothing can arrive,
    // so the kernel is not asked.
    let hasEnded = core.connectionState.value.sawEnd
    if actions.contains(.discardInput), !hasEnded, let came = discardInput(), came != .deadline { event = came }
    if actions.contains(.boundOrphan), case .background(let timeout) = policy, core.isTCP {
      // The kernel counts up to 24 days; a longer time is clamped to that.
      try? core.set(.userTimeout, to: min(max(timeout, .milliseconds(1)), .milliseconds(CInt.max)), .exclusive)
      // It bounds FIN-WAIT-2, in which a connection whose peer has finished does not wait.
      if !hasEnded {
        try? core.set(.orphanTimeout, to: min(max(timeout, .seconds(1)), .seconds(CInt.max)), .exclusive)
      }
    }
    if actions.contains(.snapshot) {
      unacknowledged = core.unacknowledged(.exclusive)
      if core.isTCP, unacknowledged > 0 {
        let never = (try? Syscalls.queue(core.number(.exclusive), CInt(FIN_SIOCOUTQNSD))) ?? 0
        // The FIN goes last: while any byte is unsent, the FIN is unsent too, and counts as one.
        neverSent = min(core.connectionState.value.isFINQueued ? max(0, never - 1) : never, unacknowledged)
      }
      #if TLS
      let unsent = core.unsentRecords
      unacknowledged += unsent
      neverSent += unsent
      let isPlain = !core.isSecured
      if core.hasGivenUp { try? Syscalls.armReset(core.number(.exclusive)) }
      #else
      let isPlain = true
      #endif
      // close(2) discards bytes that are still unread. Sealed ones may be no data.
      if !hasEnded, isPlain { discarded += (try? Syscalls.unread(core.number(.exclusive))) ?? 0 }
    }
    if actions.contains(.armReset) { try? Syscalls.armReset(core.number(.exclusive)) }
    return event
  }

  // MARK: Waiting

  /// The event that has occurred: a fact, or the end of a budget; `nil` when there is none.
  private mutating func nextEvent(in phase: Phase) -> Lifecycle.Event? {
    if closingIsCut { return .abort }
    #if TLS
    core.flushSecured(.exclusive)
    #endif
    if core.takeError(.exclusive) != nil { return .failed }
    let before = discarded
    // Checked before the received bytes are read: a peer's FIN that came before the acknowledgement of ours is then
    // among them, and is the better outcome.
    let wasAcknowledged = phase != .lingeringAcknowledged && isAcknowledged
    switch phase {
    case .confirming, .lingering, .lingeringAcknowledged:
      if let event = discardInput() {
        // The budget for reading is spent. If everything of ours is acknowledged by then, that is the better outcome.
        if event == .deadline, phase == .lingering, isAcknowledged, core.takeError(.exclusive) == nil {
          return .acknowledged
        }
        return event
      }
    case .fresh, .bound, .connecting, .listening, .paused, .stopping, .connected, .sendFinished, .peerFinished,
      .bothFinished, .failed, .confirmingLast, .closed:
      break
    }
    if phase == .lingeringAcknowledged {
      if discarded > before || silence == .never { silence = Deadline(after: idle) }
    } else if wasAcknowledged {
      // Checks the error again: a close counts as acknowledged only when nothing had failed by then.
      return core.takeError(.exclusive) == nil ? .acknowledged : .failed
    }
    return nil
  }

  /// Whether everything of ours is acknowledged, the FIN included. On a Unix socket: whether the peer's program has
  /// read it all.
  private var isAcknowledged: Bool {
    #if TLS
    if core.isSecured, !core.connectionState.value.isFINQueued { return false }
    #endif
    guard let queued = try? Syscalls.queue(core.number(.exclusive), CInt(FIN_SIOCOUTQ)) else { return false }
    return queued <= core.queueFloor
  }

  /// Waits for the next edge. Without a descriptor to wait with, it sleeps and checks again: a close must not become a
  /// reset because the program is at its descriptor limit.
  ///
  /// - Returns: `false` when the deadline has passed.
  private mutating func awaitEdge(until: Deadline) -> Bool {
    let mayBeCut = isForTask || core.isShared.load(ordering: .acquiring)
    if watch == nil, beginWatching(mayBeCut) { return true }
    // Not left to poll: a peer that sends without end causes one edge after another, and poll would never report the
    // deadline.
    if until.hasPassed { return false }
    if core.ledger.isPublished { core.publish(waitFor: .input, until: until) }
    defer { if core.ledger.isPublished { core.publish(waitFor: .input, until: nil) } }
    if let watch {
      // Without a waker an abort is noticed at the next check.
      let next = mayBeCut && waker == nil ? min(until, Deadline(after: .milliseconds(50))) : until
      if let came = try? watch.wait(waker: waker, until: next) {
        // Drained, because a wake left in it would end every later wait. The state that a wake announces is written
        // before it.
        waker?.drain()
        return came || !until.hasPassed
      }
    }
    let parker = self.parker ?? Parker()
    if self.parker == nil {
      self.parker = parker
      listenForAborts(parker)
      if closingIsCut { return true }
    }
    defer { pause = min(pause * 2, .milliseconds(50)) }
    _ = parker.park(until: min(until, Deadline(after: pause)))
    return !until.hasPassed
  }

  /// - Returns: whether the watch has begun. The caller checks for earlier events once more before the first wait.
  private mutating func beginWatching(_ mayBeCut: Bool) -> Bool {
    guard let watch = try? EdgeWatch.pool.borrow() else { return false }
    do throws(Errno) { try watch.add(core.number(.exclusive)) } catch {
      EdgeWatch.pool.giveBack(watch)
      return false
    }
    self.watch = watch
    parker = nil
    if mayBeCut, let waker = try? Waker.borrow() {
      self.waker = waker
      listenForAborts(waker)
    }
    return true
  }

  /// Waits at an event loop for the next change.
  ///
  /// - Parameter changes: the registration's count before the last check; `nil` when there was no registration.
  /// - Returns: `false` when the deadline has passed.
  private nonisolated(nonsending) mutating func awaitChange(
    at registration: Registration, since changes: UInt64?, until: Deadline
  ) async -> Bool {
    guard let changes else {
      listenForAborts(registration)
      // The first event of the registration covers what happened before it.
      return true
    }
    if !isListening {
      listenForAborts(registration)
      // An abort before this point woke nothing, so it is checked here; an abort from now on changes the count. The
      // check is not made under the registration's lock, so that the lock of `closing` is never taken inside it.
      if closingIsCut || deadline < until { return true }
    }
    if until.hasPassed { return false }
    if core.ledger.isPublished { core.publish(waitFor: .input, until: until) }
    defer { if core.ledger.isPublished { core.publish(waitFor: .input, until: nil) } }
    switch await registration.park(.change(since: changes), until: until) {
    case .ready, .look: return true
    // The next step aborts.
    case .cancelled:
      cut()
      return true
    case .timedOut, .stopped: return false
    }
  }

  private mutating func listenForAborts(_ waker: any Wakeable) {
    isListening = true
    core.closing.withLock { $0.waker = waker }
  }

  private func cut() { core.closing.withLock { $0.isCut = true } }

  private var closingIsCut: Bool { core.closing.withLock { $0.isCut } }

  private mutating func stopWatching() {
    if let watch {
      watch.remove(core.number(.exclusive))
      EdgeWatch.pool.giveBack(watch)
    }
    watch = nil
    // Before the waker returns to the pool, where another thread may borrow it.
    if isListening { core.closing.withLock { $0.waker = nil } }
    waker?.giveBack()
    waker = nil
  }

  /// Reads, counts and discards the bytes that have arrived.
  private mutating func discardInput() -> Lifecycle.Event? {
    let before = discarded
    while true {
      let most = min(1 << 20, discardLimit - discarded)
      // Once the budget is spent, a confirmed close stops reading. A lingering one ends with the first byte beyond it.
      if most <= 0 { guard case .lingering = policy else { return nil } }
      // Reads what had arrived by the deadline: no receive buffer holds more than this. A peer that sends without end
      // is not waited for, and cannot prevent an abort or a cancellation.
      if discarded - before >= CloseOperation.mostArrived, deadline.hasPassed || closingIsCut || Task.isCancelled {
        return nil
      }
      do {
        let count = try most > 0 ? take(most) : peek()
        if count == 0 { return core.connectionState.value.failure == nil ? .peerFinished : .failed }
        if most <= 0 { return .deadline }
        discarded += count
      } catch {
        if error == .resourceTemporarilyUnavailable { return nil }
        _ = core.fail(error)
        return .failed
      }
    }
  }

  private func peek() throws(Errno) -> Int {
    if core.kind == .sequencedPacket { return try core.discardPacket(peeking: true, .exclusive) }
    return try Syscalls.peek(core.number(.exclusive))
  }

  private func take(_ most: Int) throws(Errno) -> Int {
    #if TLS
    if let layer = unsafe core.secured { return try core.discardSecured(layer, most, .exclusive) }
    #endif
    if core.isTCP { return try Syscalls.discard(core.number(.exclusive), most) }
    if core.kind == .sequencedPacket { return try core.discardPacket(.exclusive) }
    return try unsafe withUnsafeTemporaryAllocation(byteCount: 64 << 10, alignment: 1) { room throws(Errno) in
      try unsafe Syscalls.receive(
        core.number(.exclusive), UnsafeMutableRawBufferPointer(rebasing: room[..<min(most, room.count)]))
    }
  }

  // MARK: Reporting

  private func ending(_ outcome: Lifecycle.Outcome?, from phase: Phase) -> Ending {
    switch outcome {
    case .acknowledged: .acknowledged
    case .peerFinished: isCutOff ? .truncated : .peerFinished
    case .timedOut: .timedOut(phase)
    case .aborted: .aborted
    case .background: .background
    case .failure: failure(from: phase)
    case .leaked, .detached, .released, nil: .aborted
    }
  }

  private func failure(from phase: Phase) -> Ending {
    switch core.connectionState.value.failure {
    case .lost(.timedOut)?: .timedOut(phase)
    // An administrator had this machine's kernel end the connection and send the reset. The peer had no part in it.
    case .lost(.connectionAbort)?: .aborted
    // This side ended it, after an alert.
    case .tls?, .unverified?: .aborted
    // No byte of ours was in flight: the peer's kernel had received all of them, and its program discarded them.
    default: unacknowledged == 0 && hasSent ? .discardedByPeer : .reset
    }
  }

  /// Whether this side sent bytes that the peer could discard. A Unix peer resets only when it discards bytes.
  private var hasSent: Bool {
    guard core.isTCP else { return true }
    return (try? TCPInfo.read(core.number(.exclusive)))?.bytesSent != 0
  }

  private func report(_ ending: Ending) -> CloseReport {
    CloseReport(
      ending: ending, bytesUnacknowledged: unacknowledged, bytesNeverSent: neverSent, bytesDiscarded: discarded,
      duration: start.elapsed, closeNotify: core.closeNotify)
  }

  /// Whether a secured stream ended without the peer's close_notify.
  private var isCutOff: Bool { core.closeNotify?.received == false }
}
