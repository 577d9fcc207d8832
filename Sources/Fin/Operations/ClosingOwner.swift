internal import CFin
internal import Glibc
internal import Synchronization
internal import SystemPackage

extension Core {
  /// Ends a connection by a policy. Safe from any thread, any number of times: the first call closes, the others return
  /// its report.
  ///
  /// The steps: mark the gate as closing, wake the waiters, wait until all operations have left, carry out the policy
  /// by the lifecycle's table, release the descriptor.
  func close(_ policy: ClosePolicy) -> CloseReport {
    closeUnlessDetached(policy) ?? CloseReport(ending: .detached)
  }

  /// Ends a connection by a policy, in a task. A cancelled close becomes an abort and still returns its report.
  nonisolated(nonsending) func close(_ policy: ClosePolicy) async -> CloseReport {
    await closeUnlessDetached(policy) ?? CloseReport(ending: .detached)
  }

  /// Closes unless the descriptor was given away meanwhile.
  ///
  /// - Returns: `nil` when it was.
  func closeUnlessDetached(_ policy: ClosePolicy) -> CloseReport? {
    let start = Instant.now
    let loans = Loan.count(of: self)
    guard beginClosing(policy) else {
      // The other close waits until this thread has left, so this one must not wait.
      if loans > 0 { return CloseReport(ending: .background) }
      gate.awaitRelease()
      return closing.withLock { $0.report }
    }
    gate.awaitQuiescence(besides: loans)
    var end = CloseOperation(core: self, policy: policy, start: start)
    return finishClosing(end.run())
  }

  /// Closes unless the descriptor was given away meanwhile, in a task; `nil` when it was.
  nonisolated(nonsending) func closeUnlessDetached(_ policy: ClosePolicy) async -> CloseReport? {
    let start = Instant.now
    guard beginClosing(policy) else {
      // A cancelled close is an abort as well, and cuts short the one that is under way.
      await withTaskCancellationHandler {
        await gate.awaitRelease()
      } onCancel: {
        cutShort()
      }
      return closing.withLock { $0.report }
    }
    await gate.awaitQuiescence()
    var end = CloseOperation(core: self, policy: policy, start: start)
    return finishClosing(await end.run())
  }

  private func beginClosing(_ policy: ClosePolicy) -> Bool {
    if gate.beginClosing() { return true }
    hurry(policy)
    return false
  }

  /// Brings the end of the close that is under way nearer. A later close can only shorten its time. An abort cuts it
  /// short: a forced end is a graceful one whose time is up.
  private func hurry(_ policy: ClosePolicy) {
    switch policy {
    case .abort: cutShort()
    case .background: break
    case .confirmed(let within), .lingering(let within, _, _):
      let deadline = Deadline(after: within)
      interrupt { state in
        guard deadline < state.limit else { return false }
        state.limit = deadline
        return true
      }
    }
  }

  private func finishClosing(_ report: CloseReport) -> CloseReport {
    closing.withLock { $0.report = report }
    leave(.using)
    return report
  }

  /// Gives the descriptor away, with the bytes that were received and not read.
  ///
  /// - Throws: `.closed` when a close has begun: a server's drain ends the connections that its handlers still own.
  func detach() throws(SocketError) -> (number: CInt, unread: [UInt8]) {
    try beginGivingAway()
    gate.awaitQuiescence()
    return giveAway()
  }

  /// Gives the descriptor away, in a task.
  nonisolated(nonsending) func detach() async throws(SocketError) -> (number: CInt, unread: [UInt8]) {
    try beginGivingAway()
    await gate.awaitQuiescence()
    return giveAway()
  }

  private func beginGivingAway() throws(SocketError) {
    #if TLS
    if isSecured {
      let error = error(.detach, .invalid("a secured connection cannot be given away: its keys would stay behind"))
      _ = close(.abort)
      throw error
    }
    #endif
    guard gate.beginClosing() else { throw error(.detach, .closed) }
  }

  private func giveAway() -> (number: CInt, unread: [UInt8]) {
    if phase == .paused { try? setReuse(true, .exclusive) }
    takeHandshakes(.exclusive)
    advance(.detach)
    let unread = unsafe buffer.map { Array($0.bytes) } ?? []
    // The descriptor has another owner now. The gate is not left, because that would release it.
    let number = handOver()
    gate.finishClosing()
    return (number, unread)
  }

  /// Prepares the release of an attempt to connect that is given up, which may connect at this moment. A reset tells
  /// the peer that no client is there; a FIN would look like one that came and went. While there is no connection,
  /// nothing is sent.
  func armResetOfAttempt() {
    if phase == .connecting || phase == .connected, isTCP { try? Syscalls.armReset(number(.exclusive)) }
  }

  func cutShort() {
    interrupt { state in
      state.isCut = true
      return true
    }
  }

  /// Changes the state of the close that is under way, and wakes the closer if necessary.
  ///
  /// - Parameter change: returns whether the closer has to check again.
  private func interrupt(_ change: (inout ClosingState) -> Bool) {
    let waker: (any Wakeable)? = closing.withLock { state in
      guard change(&state) else { return nil }
      guard let waker = state.waker else { return nil }
      if !waker.isLent { return waker }
      // Under the lock, so that it is not woken after it was returned to its pool.
      waker.wake()
      return nil
    }
    waker?.wake()
  }
}
