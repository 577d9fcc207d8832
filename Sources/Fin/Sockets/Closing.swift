internal import CFin
internal import Glibc
internal import Synchronization
internal import SystemPackage

extension Core {
  /// Ends a connection by a policy. Safe from any thread, any number of times: the first closes, the others get its report.
  ///
  /// Mark → wake → wait until everybody is out → what the policy says, as the lifecycle's table tells it → release.
  func close(_ policy: ClosePolicy) -> CloseReport {
    closeUnlessDetached(policy) ?? CloseReport(ending: .background)
  }

  /// The same in a task. Cancelled, it becomes an abort, and the report still comes.
  nonisolated(nonsending) func close(_ policy: ClosePolicy) async -> CloseReport {
    await closeUnlessDetached(policy) ?? CloseReport(ending: .background)
  }

  /// - Returns: `nil` when the descriptor was given away instead.
  func closeUnlessDetached(_ policy: ClosePolicy) -> CloseReport? {
    let start = Instant.now
    let loans = Loan.count(of: self)
    guard beginClosing(policy) else {
      // The other close waits until this thread is out.
      if loans > 0 { return CloseReport(ending: .background) }
      gate.awaitRelease()
      return closing.withLock { $0.report }
    }
    gate.awaitQuiescence(besides: loans)
    var end = End(core: self, policy: policy, start: start)
    return finishClosing(end.run())
  }

  /// The same in a task.
  nonisolated(nonsending) func closeUnlessDetached(_ policy: ClosePolicy) async -> CloseReport? {
    let start = Instant.now
    guard beginClosing(policy) else {
      // Cancelled, this close is an abort as well, and cuts short the one that is under way.
      await withTaskCancellationHandler {
        await gate.awaitRelease()
      } onCancel: {
        cutShort()
      }
      return closing.withLock { $0.report }
    }
    await gate.awaitQuiescence()
    var end = End(core: self, policy: policy, start: start)
    return finishClosing(await end.run())
  }

  private func beginClosing(_ policy: ClosePolicy) -> Bool {
    if gate.beginClosing() { return true }
    hurry(policy)
    return false
  }

  /// A later close can leave the one that is under way less time, and never more. Forceful is graceful with no time left: an
  /// abort cuts it short.
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
    leave(.passing)
    return report
  }

  /// Gives the descriptor away; what was received and not read comes with it.
  ///
  /// - Throws: `.closed` when a close has begun: a server's drain ends what its handler still owns.
  func detach() throws(SocketError) -> (number: CInt, unread: [UInt8]) {
    guard gate.beginClosing() else { throw error(.detach, .closed) }
    gate.awaitQuiescence()
    if phase == .paused { try? setReuse(true, .alone) }
    advance(.detach)
    let unread = unsafe buffer.map { Array($0.bytes) } ?? []
    // The number is gone from here; leaving the gate would release it.
    let number = handOver()
    gate.finishClosing()
    return (number, unread)
  }

  func cutShort() {
    interrupt { state in
      state.isCut = true
      return true
    }
  }

  /// Changes how the close that is under way goes on.
  ///
  /// - Parameter change: whether the closer has to look again.
  private func interrupt(_ change: (inout ClosingState) -> Bool) {
    let waker: (any Wakeable)? = closing.withLock { state in
      guard change(&state) else { return nil }
      guard let waker = state.waker else { return nil }
      if !waker.isLent { return waker }
      // Under the lock, so that it is not woken after it was given back.
      waker.wake()
      return nil
    }
    waker?.wake()
  }
}
