internal import CFin
internal import Glibc
internal import Synchronization
internal import SystemPackage

/// A connection on its way out. The closer is alone with the descriptor.
struct End {
  let core: Core
  let policy: ClosePolicy
  let start: Instant
  private var ownDeadline: Deadline
  var idle: Duration = .zero
  /// How much of what the peer still sends is read; beyond it, the rest may become a reset.
  var discardLimit = 16 << 20
  static let mostArrived = 16 << 20
  var discarded = 0
  /// When silence will have lasted too long; runs once everything is acknowledged.
  var silence = Deadline.never
  private var watch: EdgeWatch?
  private var waker: Waker?
  /// Where a thread sleeps that has no descriptor to wait with, and for how long until it looks again.
  private var parker: Parker?
  private var pause = Duration.milliseconds(1)
  private var isListening = false
  /// Whether a task waits for this, which can be cancelled.
  private var isForTask = false
  /// What the lifecycle was told last.
  private var next: Event?
  var unacknowledged = 0
  var neverSent = 0

  init(core: Core, policy: ClosePolicy, start: Instant) {
    self.core = core
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

  /// When time is up: by this close's policy, or by a later close that has less.
  private var deadline: Deadline { min(ownDeadline, core.closing.withLock { $0.limit }) }

  // MARK: Driving

  /// What is to be done next.
  private enum Step {
    /// Released as far as the lifecycle goes; this is what there is to tell.
    case over(CloseReport)
    /// Nothing until the socket has news or the budget's time is up.
    case wait(Deadline)
  }

  /// Runs it to its end, in a thread.
  mutating func run() -> CloseReport {
    var isLate = false
    while true {
      switch step(isLate: isLate) {
      case .over(let report): return report
      case .wait(let deadline): isLate = !awaitEdge(until: deadline)
      }
    }
  }

  /// Runs it to its end, in a task.
  nonisolated(nonsending) mutating func run() async -> CloseReport {
    // A task that is cancelled has no time left.
    if Task.isCancelled { cut() }
    var isLate = false
    while true {
      // Before the look: what happens from here on ends the wait.
      let changes = core.place.load()?.known.changes
      switch step(isLate: isLate) {
      case .over(let report): return report
      case .wait(let deadline):
        let seat: Seat
        do throws(Interruption) { seat = try core.seat(.alone) } catch {
          // No descriptor for a loop, or no room in its poller: a thread needs neither.
          if case .system = error { return await runInThread() }
          isLate = true
          continue
        }
        isLate = !(await awaitChange(at: seat, since: changes, until: deadline))
      }
    }
  }

  /// Runs the rest of it in a thread of its own, for a task that cannot wait at a loop.
  private nonisolated(nonsending) func runInThread() async -> CloseReport {
    let core = core
    return await withTaskCancellationHandler {
      unsafe await withUnsafeContinuation { (continuation: UnsafeContinuation<CloseReport, Never>) in
        let task = unsafe Resumption(continuation)
        let finish = Surroundings.current.surround {
          var end = self
          end.isForTask = true
          task.resume(end.run())
        }
        // Without a thread either, the task's own has to do.
        if Threads.start(finish) != 0 { finish() }
      }
    } onCancel: {
      core.cutShort()
    }
  }

  /// Feeds the lifecycle until it says closed or there is nothing to feed it with.
  ///
  /// - Parameter isLate: whether the wait that came before ended with its deadline.
  private mutating func step(isLate: Bool) -> Step {
    if next == nil {
      guard let first = begin() else { return .over(report(.background)) }
      // Cut before it began: then there is nothing to be graceful about, not in the background either.
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
        preconditionFailure("no way out of \(phase) on \(next!)")
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

  /// - Returns: the first event; `nil` when another descriptor of ours shares the connection: it goes on there, and this one is
  ///   only let go.
  private mutating func begin() -> Event? {
    discarded = core.buffered
    let isLast = core.latch.update { state in
      state.owners -= 1
      return state.owners == 0
    }
    if !isLast {
      core.advance(.abort)
      return nil
    }
    // A failure that nobody has heard yet has to be told in the report.
    if core.takeError(.alone) != nil { core.advance(.failed) }
    return policy.event
  }

  /// - Returns: the event that came up meanwhile, if one did.
  private mutating func perform(_ actions: Actions) -> Event? {
    var event: Event?
    // A duplicate may have sent the FIN; once the peer's has come too, the kernel would refuse a second one.
    if actions.contains(.shutdownWrite), !core.latch.value.isFINQueued {
      core.latch.update { $0.finishedSending = true }
      do {
        try Syscalls.shutdown(core.number(.alone), CInt(SHUT_WR))
        core.latch.update { $0.isFINQueued = true }
      } catch {
        if core.takeError(.alone) == nil { _ = core.fail(.connectionReset) }
        event = .failed
      }
    }
    // A budget that is spent is looked at together with what was acknowledged by then: in nextEvent.
    // After the end of file nothing can come, and the kernel need not be asked.
    let hasEnded = core.latch.value.sawEnd
    if actions.contains(.discardInput), !hasEnded, let came = discardInput(), came != .deadline { event = came }
    if actions.contains(.boundOrphan), case .background(let timeout) = policy, core.isTCP {
      // What is longer than the kernel can count, 24 days, is as long as it can count.
      try? core.set(.userTimeout, to: min(max(timeout, .milliseconds(1)), .milliseconds(CInt.max)), .alone)
      // It bounds FIN-WAIT-2, in which nobody waits whose peer has finished.
      if !hasEnded {
        try? core.set(.orphanTimeout, to: min(max(timeout, .seconds(1)), .seconds(CInt.max)), .alone)
      }
    }
    if actions.contains(.snapshot) {
      unacknowledged = core.unacknowledged(.alone)
      if core.isTCP, unacknowledged > 0 {
        let never = (try? Syscalls.queue(core.number(.alone), CInt(FIN_SIOCOUTQNSD))) ?? 0
        // The FIN goes last: while anything was never sent, it is among that and counts as one.
        neverSent = min(core.latch.value.isFINQueued ? max(0, never - 1) : never, unacknowledged)
      }
      // What is still unread is thrown away by close(2).
      if !hasEnded { discarded += (try? Syscalls.unread(core.number(.alone))) ?? 0 }
    }
    if actions.contains(.armReset) { try? Syscalls.armReset(core.number(.alone)) }
    return event
  }

  // MARK: Waiting

  /// What has happened: a fact, or the end of a budget; `nil` when nothing has.
  private mutating func nextEvent(in phase: Phase) -> Event? {
    if closingIsCut { return .abort }
    if core.takeError(.alone) != nil { return .failed }
    let before = discarded
    // Asked before what came is read: a FIN that came before the acknowledgement of ours is then among it, and is the better
    // news.
    let wasAcknowledged = phase != .lingeringAcknowledged && isAcknowledged
    switch phase {
    case .confirming, .lingering, .lingeringAcknowledged:
      if let event = discardInput() {
        // All the reading that is allowed is done. If all of ours has arrived by then, that is the better news.
        if event == .deadline, phase == .lingering, isAcknowledged, core.takeError(.alone) == nil {
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
      // The error is looked at again: acknowledged is said only when nothing had failed by then.
      return core.takeError(.alone) == nil ? .acknowledged : .failed
    }
    return nil
  }

  /// Everything of ours, the FIN included. On a Unix socket: the peer's program has read it all.
  private var isAcknowledged: Bool {
    guard let queued = try? Syscalls.queue(core.number(.alone), CInt(FIN_SIOCOUTQ)) else { return false }
    return queued <= core.queueFloor
  }

  /// Without a descriptor to wait with, this sleeps and looks again: a close must not become a reset for want of one.
  ///
  /// - Returns: `false` when the time is up.
  private mutating func awaitEdge(until: Deadline) -> Bool {
    let mayBeCut = isForTask || core.isShared.load(ordering: .acquiring)
    if watch == nil, beginWatching(mayBeCut) { return true }
    // Not left to poll: while a peer sends without end there is always one more edge, and it would never say that time
    // is up.
    if until.hasPassed { return false }
    if core.ledger.isPublished { core.publish(waitFor: .input, until: until) }
    defer { if core.ledger.isPublished { core.publish(waitFor: .input, until: nil) } }
    if let watch {
      // Without a waker an abort is seen at the next look.
      let next = mayBeCut && waker == nil ? min(until, Deadline(after: .milliseconds(50))) : until
      if let came = try? watch.wait(waker: waker, until: next) {
        // A word is heard once, else it would end each wait from here on. What it is about was written before it came.
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

  /// - Returns: whether the watch has begun. What happened before it is looked at again before the first wait.
  private mutating func beginWatching(_ mayBeCut: Bool) -> Bool {
    guard let watch = try? EdgeWatch.pool.borrow() else { return false }
    do throws(Errno) { try watch.add(core.number(.alone)) } catch {
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

  /// - Parameter changes: what the seat's count was before the last look; `nil` when there was no seat.
  /// - Returns: `false` when the time is up.
  private nonisolated(nonsending) mutating func awaitChange(
    at seat: Seat, since changes: UInt64?, until: Deadline
  ) async -> Bool {
    guard let changes else {
      listenForAborts(seat)
      // What happened before the watch began is told as its first event.
      return true
    }
    if !isListening {
      listenForAborts(seat)
      // One that came before has woken nobody; those that come from now on change the count. They are not asked for under the
      // seat's lock: whoever cuts a close short wakes the seat under the lock that would have to be taken there.
      if closingIsCut || deadline < until { return true }
    }
    if until.hasPassed { return false }
    if core.ledger.isPublished { core.publish(waitFor: .input, until: until) }
    defer { if core.ledger.isPublished { core.publish(waitFor: .input, until: nil) } }
    switch await seat.park(.change(since: changes), until: until) {
    case .ready, .look: return true
    // The next look comes with an abort.
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
      watch.remove(core.number(.alone))
      EdgeWatch.pool.giveBack(watch)
    }
    watch = nil
    // Before the waker goes to somebody else.
    if isListening { core.closing.withLock { $0.waker = nil } }
    waker?.giveBack()
    waker = nil
  }

  /// Reads and counts what has arrived.
  private mutating func discardInput() -> Event? {
    let before = discarded
    while true {
      let most = min(1 << 20, discardLimit - discarded)
      // With the budget spent a confirmed close only stops reading. A lingering one is over with the first byte beyond it.
      if most <= 0 { guard case .lingering = policy else { return nil } }
      // What had arrived by the deadline is read, and no receive buffer holds more than this; a peer that sends without end
      // is not waited for, and does not keep anybody from cutting this short.
      if discarded - before >= End.mostArrived, deadline.hasPassed || closingIsCut || Task.isCancelled { return nil }
      do {
        let count = try most > 0 ? take(most) : Syscalls.peek(core.number(.alone))
        if count == 0 { return core.latch.value.failure == nil ? .peerFinished : .failed }
        if most <= 0 { return .deadline }
        discarded += count
      } catch {
        if error == .resourceTemporarilyUnavailable { return nil }
        _ = core.fail(error)
        return .failed
      }
    }
  }

  private func take(_ most: Int) throws(Errno) -> Int {
    if core.isTCP { return try Syscalls.discard(core.number(.alone), most) }
    return try unsafe withUnsafeTemporaryAllocation(byteCount: 64 << 10, alignment: 1) { room throws(Errno) in
      try unsafe Syscalls.receive(
        core.number(.alone), UnsafeMutableRawBufferPointer(rebasing: room[..<min(most, room.count)]))
    }
  }

  // MARK: Telling

  private func ending(_ outcome: Outcome?, from phase: Phase) -> Ending {
    switch outcome {
    case .acknowledged: .acknowledged
    case .peerFinished: .peerFinished
    case .timedOut: .timedOut(phase)
    case .aborted: .aborted
    case .background: .background
    case .failure: failure(from: phase)
    case .leaked, .detached, .released, nil: .aborted
    }
  }

  private func failure(from phase: Phase) -> Ending {
    switch core.latch.value.failure {
    case .lost(.timedOut)?: .timedOut(phase)
    // The peer had no part in it: this machine's kernel was told to end it, and sent the reset.
    case .lost(.connectionAbort)?: .aborted
    // Nothing of ours was in flight: the peer's kernel had it all, and its program did not want it.
    default: unacknowledged == 0 && hasSent ? .discardedByPeer : .reset
    }
  }

  /// Whether there was anything to discard. A Unix peer resets only when it throws bytes away.
  private var hasSent: Bool {
    guard core.isTCP else { return true }
    return (try? TCPInfo.read(core.number(.alone)))?.bytesSent != 0
  }

  private func report(_ ending: Ending) -> CloseReport {
    CloseReport(
      ending: ending, bytesUnacknowledged: unacknowledged, bytesNeverSent: neverSent, bytesDiscarded: discarded,
      duration: start.elapsed)
  }
}
